#!/usr/bin/env bash
# What check-opset predicts is what ONNX Runtime releases did: every limit, and each Nth of the models with one operator
# (ONNXTOOL_TRUTH_SHARE, 12) in every release that was tried. Profiles of old and new releases read alike, and agree.
# Needs no ONNX Runtime: testdata/truth holds what scripts/check_truth.py observed.
# shellcheck source=tests/tools/cli.sh
. "$(dirname "$0")/../tools/cli.sh"

# compared TOOL ARG...: the last line of the comparison, $tmp/compared has all of it.
compared() {
    python3 scripts/check_truth.py compare "$@" >"$tmp/compared" 2>&1
    tail -n 1 "$tmp/compared"
}

last=$(compared "$tool" --share "${ONNXTOOL_TRUTH_SHARE:-12}")
case $last in
*" answers, 0 of them wrong"*) echo "ok predictions beside what releases did: $last" ;;
*)
    echo "not ok predictions beside what releases did: $last"
    grep -v '^ ' "$tmp/compared" | head -n 20 | cut -c 1-200
    ;;
esac

# A limit that is wrong by one is found.
cat >"$tmp/wrong.json" <<'JSON'
{"onnxtool_facts": 1, "releases": [{"runtime": "ort", "version": "1.12.1", "opset": 18, "ml_opset": 3, "ir": 8,
 "refuses_newer": true}]}
JSON
printf '#!/bin/sh\nexec "%s" "$@" --facts "%s"\n' "$(realpath "$tool")" "$tmp/wrong.json" >"$tmp/wrong"
chmod +x "$tmp/wrong"
last=$(compared "$tmp/wrong" --share 1000 --only 1.12.1)
grep -q '^opset/18: no, predicted loads: 1.12.1$' "$tmp/compared"
equal "a limit that is wrong by one is found" "$?" 0

t=testdata/truth
for profile in 1.4.0:10 1.31.1:10 fused_1.31.1:2; do
    name=${profile%:*}
    tool check-opset "$t/profiled.onnx" --target "ort@${name#fused_}" --observed "$t/profile_$name.json" --json
    gives "profile $name" exit=0 silent json
    seen=$(json_at 'd["models"][0]["targets"][0]["observed"]["agree"]')
    equal "nodes of profile $name where predicted" "$seen" "${profile#*:}"
done

# Nodes without names: ONNX Runtime numbers them.
tool check-opset "$t/nameless.onnx" --target ort@1.12.1 --observed "$t/profile_nameless_1.12.1.json" --json
gives "profile of nodes without names" exit=0 silent json
equal "they are found by position" "$(json_at 'd["models"][0]["targets"][0]["observed"]["agree"]')" 10

# A BERT as exporters write it: arithmetic on shapes and a LayerNormalization that is expanded are no fallback.
bert() {
    tool check-opset "$t/bert_$1.onnx" --target "$2" --provider cuda --require no-fallback --require known
    gives "BERT of opset $1 on CUDA" exit=0 silent "no_out=fallback|unknown|missing"
}
old=ort@1.9,ort@1.10,ort@1.11
new=ort@1.14,ort@1.15,ort@1.16,ort@1.17,ort@1.18,ort@1.19,ort@1.20,ort@1.21,ort@1.22,ort@1.23,ort@1.24,ort@1.26,ort@1.29
bert 11 "$old,ort@1.12,ort@1.13,$new"
bert 14 "$old,ort@1.12,ort@1.13,$new"
bert 17 "ort@1.12,$new"
tool check-opset "$t/bert_17.onnx" --target ort@1.12 --provider cuda
gives "LayerNormalization before it had a kernel" exit=0 "out=LayerNormalization-17 +5 +body expanded"
