#!/usr/bin/env bash
# The conformance harness: what it must not let through is planted. Needs the Python package onnx (ONNXTOOL_PYTHON).
# shellcheck source=tests/tools/cli.sh
. "$(dirname "$0")/../tools/cli.sh"

python=${ONNXTOOL_PYTHON:-python3}
if ! "$python" -c 'import onnx.backend.test.loader' 2>/dev/null; then
    echo "skip conformance harness: the Python package onnx is not there"
    exit 0
fi

# A folder a case, each with one defect in what it expects of Abs; "right" has none.
"$python" - "$tmp" <<'END' || exit 1
import os
import sys
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

graph = helper.make_graph([helper.make_node("Abs", ["x"], ["y"])], "g",
                          [helper.make_tensor_value_info("x", TensorProto.FLOAT, None)],
                          [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
x = np.array([[-1, 2, -3]], np.float32)
y = np.abs(x)
planted = {"right": y, "value": y + np.float32(0.01), "nan": np.where(y > 2, np.nan, y).astype("f4"),
           "shape": y.T, "rank": y[0], "type": y.astype("f8"), "none": None}
for name, want in planted.items():
    data = os.path.join(sys.argv[1], name, "test_" + name, "test_data_set_0")
    os.makedirs(data)
    onnx.save(model, os.path.join(os.path.dirname(data), "model.onnx"))
    for file, value in (("input_0", x), ("output_0", want)):
        if value is not None:
            with open(os.path.join(data, file + ".pb"), "wb") as f:
                f.write(numpy_helper.from_array(value).SerializeToString())
empty = os.path.join(sys.argv[1], "empty", "test_empty")
os.makedirs(empty)
onnx.save(model, os.path.join(empty, "model.onnx"))
END
printf 'test_right failed it once did\n' >"$tmp/known_right"
printf 'test_right unsupported it once was\n' >"$tmp/known_unsupported"
printf 'test_value failed planted\n' >"$tmp/known_value"
printf 'test_value disputed planted\n' >"$tmp/disputed_value"
printf 'test_value unsupported planted\n' >"$tmp/known_otherwise"
printf 'test_value failed\n' >"$tmp/no_reason"
for code in 0 3 4 5; do
    printf '#!/bin/sh\nexit %d\n' $code >"$tmp/exits_$code"
done
# shellcheck disable=SC2016 # the planted script is to see $$
printf '#!/bin/sh\nkill -SEGV $$\n' >"$tmp/dies"
chmod +x "$tmp"/exits_* "$tmp/dies"

# harness CASE LIST [BINARY [OPTION...]]
harness() {
    local binary=${3:-$tool}
    "$python" scripts/check_backend.py --cases "$tmp/$1" --known "$2" --tool "$binary" --jobs 1 "${@:4}" \
        >"$tmp/out" 2>"$tmp/err" </dev/null
    code=$?
}
# The last line of the table: passed, failed, unsupported, disputed, all.
totals() {
    echo "out=^all $(printf ' +%d' "$@")\$"
}

harness right ""
gives "a right answer passes" exit=0 silent "$(totals 1 0 0 0 1)" no_out=FAIL
for case in value nan shape rank type none empty; do
    harness $case ""
    gives "planted wrong answer: $case" exit=1 "$(totals 0 1 0 0 1)" "out=FAIL test_$case: failed"
done
harness value "$tmp/known_value"
gives "a failure that is listed" exit=0 "$(totals 0 1 0 0 1)" no_out=FAIL
harness value "$tmp/disputed_value"
gives "a disputed case" exit=0 "$(totals 0 0 0 1 1)" no_out=FAIL
harness value "$tmp/known_otherwise"
gives "listed as unsupported, but wrong" exit=1 "out=FAIL test_value: failed, listed as unsupported"
harness right "$tmp/known_right"
gives "listed, but passes" exit=1 "$(totals 1 0 0 0 1)" "out=FAIL test_right: passes"
harness value "$tmp/no_reason"
gives "a list without reasons" exit=1 "err=no_reason:1: expected"

harness right "" "$tmp/exits_4"
gives "unsupported is not passed" exit=1 "$(totals 0 0 1 0 1)" "out=FAIL test_right: unsupported"
harness right "$tmp/known_unsupported" "$tmp/exits_4"
gives "unsupported is not passed when listed" exit=0 "$(totals 0 0 1 0 1)" no_out=FAIL
for binary in exits_3 exits_5 dies; do
    harness right "$tmp/known_unsupported" "$tmp/$binary"
    gives "a tool that $binary" exit=1 "$(totals 0 1 0 0 1)" "out=FAIL test_right: failed"
done
harness right "" "$tmp/exits_0" --only 'no_such_*'
gives "no case chosen" exit=1 "err=no case"

# Without the package there is one clear sentence.
mkdir -p "$tmp/hide/onnx"
echo 'raise ImportError("planted")' >"$tmp/hide/onnx/__init__.py"
PYTHONPATH=$tmp/hide harness right ""
gives "no onnx package" exit=1 "err=cannot import the onnx package .*ONNXTOOL_PYTHON" no_err=Traceback

if ! "$python" -c 'import onnxruntime' 2>/dev/null; then
    echo "skip ONNX Runtime through the harness: onnxruntime is not there"
    exit 0
fi
harness right "" "$tool" --runtime ort
gives "ONNX Runtime, right answer" exit=0 "$(totals 1 0 0 0 1)"
for case in value nan shape rank type; do
    harness $case "" "$tool" --runtime ort
    gives "ONNX Runtime, planted wrong answer: $case" exit=0 "$(totals 0 1 0 0 1)"
done
