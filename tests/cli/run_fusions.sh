#!/usr/bin/env bash
# What -O all fuses: the steps that ran say so. That the numbers stay is tested with all small models.
# shellcheck source=tests/tools/cli.sh
. "$(dirname "$0")/../tools/cli.sh"

model=$models/fusions.onnx
steps() {
    tool run "$model" --placement --json "$@"
    json_at '" ".join(sorted(s["operator"].split("-")[0] for s in d["models"][0]["placement"]))'
}

equal "all fuses every pattern" "$(steps -O all)" \
    "Gelu LayerNormalization Swish com.microsoft.FusedConv onnxtool.FusedMatMul onnxtool.FusedMatMul"
tool run "$model" --placement --json -O none
equal "none runs the file's nodes" "$(json_at 'len(d["models"][0]["placement"])')" 32
# What is to be kept is not fused away.
tool run "$model" -O all --dump t4 --dump m3 --save "$tmp/kept.npz"
gives "named intermediates survive" exit=0
tool run "$model" -O all --dump q --dump p2 --save "$tmp/ends.npz"
gives "so do named ends of what is fused" exit=0
