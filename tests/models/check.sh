#!/usr/bin/env bash
# The checker: models that are legal pass, and where the onnx package is installed, defects planted into some of them
# are found where onnx.checker rejects them.
# shellcheck source=tests/tools/cli.sh
. "$(dirname "$0")/../tools/cli.sh"

# ---- by hand: exit codes, formats

good=$digits/digits.onnx
tool inspect --check $good
gives "a legal model" exit=0 silent "out=valid, 0 errors"
tool inspect --check --json $good
gives "a legal model, JSON" exit=0 silent json 'out="errors": *0'
tool inspect --check testdata/models/unsupported.onnx
gives "an unknown operator" exit=3 "out=OT303 error" "out=where: main" "out=to do:"
tool inspect --check --json testdata/models/unsupported.onnx
gives "an unknown operator, JSON" exit=3 json 'out="code": *"OT303"' 'out="severity": *"error"' 'out="offset": *219'
tool inspect --check --format csv testdata/models/unsupported.onnx
gives "an unknown operator, CSV" exit=3 'out=OT303,error'
tool inspect --check testdata/models/no_such_file.onnx
gives "no such model" exit=3 no_out=OT

# ---- what cannot be decoded: where, and what that is most likely

size=$(wc -c <$good)
head -c $((size / 2)) $good >"$tmp/cut.onnx"
tool inspect --check "$tmp/cut.onnx"
gives "a file that is cut off" exit=3 "out=OT001" "out=graph says that it has [0-9]* bytes" "out=it is cut off .*missing"
cp $good "$tmp/bad.onnx"
printf '\377' | dd of="$tmp/bad.onnx" bs=1 seek=$(($(grep -abo Conv $good | head -n 1 | cut -d: -f1) - 1)) conv=notrunc \
    2>"$tmp/dd"
tool inspect --check "$tmp/bad.onnx"
gives "a damaged byte in a node" exit=3 "out=OT001" "out=in graph.node\[[0-9]*\]: " no_out=cut

# ---- real models, where they are

for model in ../shared/models/*/model.onnx; do
    [ -f "$model" ] || continue
    tool inspect --check "$model"
    gives "$model" exit=0 silent "out=0 errors"
done

# ---- against onnx.checker

python=${PYTHON:-python3}
if ! "$python" -c 'import onnx.backend.test.case.node' 2>/dev/null; then
    echo "skip defects against onnx.checker: the Python package onnx is not there"
    exit 0
fi
if "$python" scripts/check_defects.py --tool "$tool" --bases 8 --cases 60 --legal testdata/models >"$tmp/defects" 2>&1
then
    echo "ok planted defects are found as by onnx.checker"
else
    echo "not ok planted defects are found as by onnx.checker"
    tail -n 20 "$tmp/defects" | sed 's/^/  /'
fi
