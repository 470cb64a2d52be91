#!/usr/bin/env bash
# Shape inference beside ONNX Runtime's, and against what runs say, on some models: `make shapes` takes all of them.
# shellcheck source=tests/tools/cli.sh
. "$(dirname "$0")/../tools/cli.sh"

python=${ONNXTOOL_PYTHON:-python3}
if ! "$python" -c 'import onnx.backend.test.loader, onnxruntime.tools.symbolic_shape_infer' 2>/dev/null; then
    echo "skip shape inference beside ONNX Runtime's: one of the Python packages onnx, onnxruntime, sympy is not there"
    exit 0
fi

# shapes NAME OPTION...
shapes() {
    local name=$1
    shift
    if "$python" scripts/check_shapes.py --tool "$tool" --jobs 1 "$@" >"$tmp/out" 2>&1; then
        echo "ok $name"
    else
        echo "not ok $name"
        grep -v "^ *[a-z-]* *[0-9]" "$tmp/out" | head -n 20 | sed 's/^/  /'
    fi
}

shapes "operators and models of exporters" --kinds simple,pytorch-converted,pytorch-operator
shapes "bodies of loops" --kinds node --only 'test_scan*'
shapes "broadcasts" --kinds node --only 'test_add*'

# A tool that is wrong is caught: it says that what an Add gives has the dims of its first input.
cat >"$tmp/liar" <<END
#!/bin/sh
"$tool" "\$@" | sed 's/broadcast(s0_\([0-9]\), [^)]*)/s0_\1/g'
END
chmod +x "$tmp/liar"
"$python" scripts/check_shapes.py --tool "$tmp/liar" --jobs 1 --kinds node --only test_add --models none \
    >"$tmp/out" 2>"$tmp/err" </dev/null
code=$?
gives "a wrong guess" exit=1 "out=FAIL test_add: contradiction: .*dim 0" "out=1 models, 1 failed"
