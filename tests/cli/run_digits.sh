#!/usr/bin/env bash
# The bundled classifier answers as its training framework did, to the last sample, whatever runs it.
# shellcheck source=tests/tools/cli.sh
. "$(dirname "$0")/../tools/cli.sh"

right=$(python3 -c 'import json; print(json.load(open("testdata/digits/expected.json"))["correct"])')
total=$(python3 -c 'import json; print(json.load(open("testdata/digits/expected.json"))["samples"])')

# accuracy NAME ARGS...
accuracy() {
    local name=$1
    shift
    tool run $digits/digits.onnx --input $digits/test_images.npy --truth $digits/test_labels.npy \
        --expect $digits/expected_logits.npy "$@"
    gives "$name" exit=0 silent "out=\($right of $total right" 'out=logits .*matches'
}

for level in none basic all; do
    for threads in 1 2; do
        accuracy "accuracy -O $level, $threads threads" -O $level --threads $threads
    done
done
for mask in c avx2 avx512 vnni all; do
    accuracy "accuracy --cpu-mask $mask" --cpu-mask $mask
done

# The same bits whenever it runs on the same kernels and threads; the classes are the framework's own.
tool run $digits/digits.onnx -q --input $digits/test_images.npy --save "$tmp/a"
tool run $digits/digits.onnx -q --input $digits/test_images.npy --save "$tmp/b"
cmp -s "$tmp/a/logits.npy" "$tmp/b/logits.npy" && echo "ok two runs give the same bytes" ||
    echo "not ok two runs give the same bytes"
tool run $digits/digits.onnx --json --input $digits/test_images.npy --top 1
mine=$(json_at '",".join(str(r[0]["index"]) for r in d["models"][0]["samples"][0]["outputs"][0]["top"])')
want=$(python3 - <<'P'
import ast, struct
b = open("testdata/digits/expected_classes.npy", "rb").read()
n = struct.unpack("<H", b[8:10])[0]
h = ast.literal_eval(b[10:10 + n].decode())
assert h["descr"] == "<i8"
print(",".join(map(str, struct.unpack(f"<{h['shape'][0]}q", b[10 + n:]))))
P
)
equal "classes of every test image" "$mine" "$want"

tool run $digits/digits.onnx --input $digits/seven.npy --top 3 --labels $digits/labels.txt
gives "a seven is a seven" exit=0 silent 'out=top +7 .* seven$' 'out=^ +[0-9]+ .* nine$'
tool run $digits/digits.onnx --input $digits/test_images.npy --truth $digits/test_labels.npy --min-top1 0.99
gives "accuracy below the bar is a finding" exit=1 'out=below --min-top1 0.99'
tool run $digits/digits.onnx --input $digits/test_images.npy --truth $digits/test_labels.npy --min-top1 0.98
gives "accuracy above the bar" exit=0
tool run $digits/digits.onnx --json --input $digits/test_images.npy --truth $digits/test_labels.npy
gives "accuracy as JSON" exit=0 silent json
equal "accuracy in the JSON" "$(json_at 'd["models"][0]["accuracy"]["right"]')" "$right"
