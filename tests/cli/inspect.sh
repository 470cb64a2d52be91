#!/usr/bin/env bash
# What inspect says about models whose content is known. The screens of a few are kept in tests/cli/*.out;
# UPDATE=1 writes them anew.
# shellcheck source=tests/tools/cli.sh
. "$(dirname "$0")/../tools/cli.sh"
model=$digits/digits.onnx

# golden NAME ARGS...: standard output is tests/cli/NAME.out.
golden() {
    local name=$1
    shift
    tool "$@"
    [ -z "${UPDATE:-}" ] || cp "$tmp/out" "tests/cli/$name.out"
    if diff "tests/cli/$name.out" "$tmp/out" >"$tmp/diff" && [ "$code" -eq 0 ]; then
        echo "ok $name"
    else
        echo "not ok $name: not as in tests/cli/$name.out (exit code $code)"
        sed 's/^/  /' "$tmp/diff" "$tmp/err" | head -n 30
    fi
}

# has NAME EXPRESSION WANTED: a part of the first model's JSON object m.
has() {
    equal "$1" "$(json_at "(lambda m: $2)(d['models'][0])")" "$3"
}

# ---- the screen

golden inspect_digits inspect $model
golden inspect_digits_json inspect --json $model
golden inspect_control inspect $models/deep_control.onnx
golden inspect_functions inspect $models/functions_nested.onnx
golden inspect_layers inspect --layers --dim batch=4 $model
golden inspect_graph inspect --graph $model
golden inspect_values inspect --infer-shapes $models/if_nested.onnx
golden inspect_initializers inspect --initializers --format csv $model
golden inspect_table inspect --format markdown $model $models/functions_nested.onnx
golden inspect_dot inspect --format dot $model
golden inspect_tensor inspect --tensor fc.bias --tensor 'conv1.b*' --values 3 $model
golden inspect_node inspect --node 'conv*' --node pool $model

# ---- numbers that can be worked out by hand

tool inspect --json $model
# 16 filters of 3x3 over 8x8, 32 of 16x3x3 over 4x4, 512 x 10.
has "MACs of the classifier" 'm["cost"]["macs"]' $((8 * 8 * 16 * 9 + 4 * 4 * 32 * 16 * 9 + 512 * 10))
has "FLOPs are twice that" 'm["cost"]["flops"] - 2 * m["cost"]["macs"]' 0
has "parameters" 'm["weights"]["parameters"]' $((16 * 9 + 16 + 4 * 16 + 32 * 16 * 9 + 32 + 512 * 10 + 10))
has "weight bytes" 'm["weights"]["size_bytes"] - 4 * m["weights"]["parameters"]' 0
# The image and what conv1, bn, relu1, pool, conv2, relu2 and fc make (the flattening only views).
has "activations in all" 'm["cost"]["activations_bytes"]' $((4 * (64 + 3 * 1024 + 256 + 2 * 512 + 10)))
has "activations alive" 'm["cost"]["activations_peak_bytes"]' $((4 * 2 * 1024))
tool inspect --json --dim batch=3 $model
has "MACs at batch 3" 'm["cost"]["macs"]' $((3 * 88064))
tool inspect --json --shape image=5x1x8x8 $model
has "MACs with a shape" 'm["cost"]["macs"]' $((5 * 88064))
has "MACs over the symbol" 'm["cost"]["macs_expression"]' "88064*batch"
tool inspect --dim btach=3 $model
gives "a symbol misspelt" exit=2 "err=did you mean 'batch'"
tool inspect --shape image=5x1x8 $model
gives "a shape of another rank" exit=2 err=image

# ---- fingerprint

fingerprint() {
    "$tool" inspect --fingerprint "$@" | cut -d' ' -f1
}
equal "a fingerprint has 64 digits" "$(fingerprint structure $model | grep -cE '^[0-9a-f]{64}$')" 1
equal "the same model, the same fingerprint" "$(fingerprint weights $model)" "$(fingerprint weights "$PWD/$model")"
if [ "$(fingerprint structure $model)" = "$(fingerprint weights $model)" ]; then
    echo "not ok weights count when asked for"
else
    echo "ok weights count when asked for"
fi
# The file is the same but for names of equal length, documentation and producer: they do not count.
LC_ALL=C sed 's/conv1/klon1/g; s/relu2/rule2/g; s/logits/ligots/g; s/handwritten/hand-writen/; s/make_digits/fake_digits/' \
    $model >"$tmp/renamed.onnx"
if cmp -s $model "$tmp/renamed.onnx"; then
    echo "not ok names were exchanged"
else
    equal "names do not count" "$(fingerprint weights "$tmp/renamed.onnx")" "$(fingerprint weights $model)"
fi
LC_ALL=C sed 's/Relu/Tanh/' $model >"$tmp/tanh.onnx"
if [ "$(fingerprint structure "$tmp/tanh.onnx")" = "$(fingerprint structure $model)" ]; then
    echo "not ok operators count"
else
    echo "ok operators count"
fi

# ---- files, warnings

tool inspect --files $models/external/two_files.onnx
gives "files to deploy" exit=0 silent "out=^$models/external/two_files.onnx\$" "out=^$models/external/w0.bin\$"
while read -r file; do
    [ -f "$file" ] || echo "not ok --files names $file, which is not there"
done <"$tmp/out"
tool inspect --files $models/external_bad/missing.onnx
gives "a missing file" exit=3 "out=missing.bin" "err=missing.bin"
for bad in absolute escape escape_deep missing short past_end wrong_length link; do
    tool inspect --json $models/external_bad/$bad.onnx
    has "external data: $bad" '[w["code"] for w in m["warnings"]]' "['external-data-unusable']"
done
tool inspect --json $models/ir01.onnx
has "an old format version" '"ir-version-old" in [w["code"] for w in m["warnings"]]' True
tool inspect --json $models/fixed_batch.onnx
has "a batch that a Reshape fixes" 'm["dynamic_axes"][0]["fixed_by"]' "Reshape 'flat' makes float[1,12] of float[batch,3,4]"
has "its warning" '[w["code"] for w in m["warnings"]]' "['dynamic-axis-fixed']"
tool inspect --json $models/fixed_batch_later.onnx
has "a batch that a later node cannot take" '"fc" in m["dynamic_axes"][0]["fixed_by"]' True
tool inspect --json $models/troubles.onnx
has "every trouble is named" 'sorted(w["code"] for w in m["warnings"])' \
    "['custom-domain', 'deprecated-operator', 'duplicate-node-name', 'float64-weights', 'input-rank-unknown', 'mixed-quantization', 'opset-not-imported', 'training-mode', 'unknown-operator', 'unused-input', 'unused-weights', 'weights-are-inputs']"
tool inspect --json --check-values $models/troubles.onnx
has "NaN is found when asked for" '"non-finite-weights" in [w["code"] for w in m["warnings"]]' True

# ---- names, several models, folders

tool inspect --tensor fc.bais $model
gives "a weight misspelt" exit=2 "err=did you mean 'fc.bias'"
tool inspect --node pol $model
gives "a node misspelt" exit=2 "err=did you mean 'pool'"
tool inspect $digits
gives "a folder is its models" exit=0 silent 'out=parameters'
tool inspect testdata/notonnx
gives "files that are no models: one line each" exit=3 no_out=onnxtool
tool inspect tests/cli
gives "a folder without models" exit=3 'err=without any .onnx'
# What is broken in the file is one line and exit code 3 or 4; what only the graph says wrong can be looked at.
for bad in "$models"/bad/*.onnx; do
    tool inspect --json "$bad"
    lines=$(wc -l <"$tmp/err")
    case $code:$lines in
    0:0 | 3:1 | 4:1) is_json "$tmp/out" && echo "ok inspect ${bad##*/}" || echo "not ok inspect ${bad##*/}: JSON" ;;
    *) echo "not ok inspect ${bad##*/}: exit code $code, $lines lines" ;;
    esac
done
for bad in ir_future:ir-version-new no_import:opset-not-imported shapes_differ:graph-inconsistent \
    unknown_op:unknown-operator; do
    tool inspect --json "$models/bad/${bad%:*}.onnx"
    has "${bad%:*}" "'${bad#*:}' in [w['code'] for w in m['warnings']]" True
done

# ---- one vocabulary, objects instead of text, tables that stay tables

tool inspect --node conv1 --json $model
equal "a node is an object" \
    "$(json_at '[(n["node"], n["operator"], n["inputs"], n["outputs"], n["output_types"], n["attributes"]["pads"]) for n in d["models"][0]["nodes"]]')" \
    "[('conv1', 'Conv', ['image', 'conv1.weight', 'conv1.bias'], ['conv1'], ['float[batch,16,8,8]'], [1, 1, 1, 1])]"
tool inspect --graph --json $model
equal "the graph is a list of nodes" "$(json_at '[n["operator"] for n in d["models"][0]["graph"]][:3]')" \
    "['Conv', 'BatchNormalization', 'Relu']"
for args in "--fingerprint structure" "--node conv1" "--graph" "--tensor fc.bias" "--files"; do
    # shellcheck disable=SC2086 # an option and its value
    tool inspect $args --format csv $model
    gives "no table: $args" exit=2 silent_out 'err=makes no table'
done
tool inspect --layers --initializers --format csv $model
gives "two tables are not glued together" exit=2 silent_out
tool inspect --layers --fingerprint weights $model
gives "a fingerprint stands alone" exit=2 silent_out
tool inspect --layers --format dot $model
gives "dot stands alone" exit=2 silent_out
tool inspect --limit 3 $model
gives "--limit without a list" exit=2 silent_out 'err=--limit needs'
tool inspect --values 3 $model
gives "--values without a tensor" exit=2 silent_out 'err=--values needs'
tool inspect --layers --format csv $model $models/two_inputs.onnx
equal "one table over two models, which it names" "$(cut -d, -f1 "$tmp/out" | uniq | tr '\n' ' ')" \
    "model $model $models/two_inputs.onnx "
tool inspect --check-values $model
gives "weights that are all finite" exit=0 'out=values +all weights are finite'
tool inspect --format csv $models/zipmap.onnx
equal "no opset of ai.onnx is no opset 0" "$(tail -n 1 "$tmp/out" | cut -d, -f2)" "$(
    json_opset() { "$tool" inspect --json $models/zipmap.onnx | python3 -c 'import json, sys
print(next((i["version"] for i in json.load(sys.stdin)["models"][0]["opset_imports"] if i["domain"] == "ai.onnx"), "-"))'; }
    json_opset)"

# ---- weights are not read

python3 - "$tmp/large.onnx" <<'END'
# A model with one weight of 400 MB: IR 8, opset 13, Y = X + W. The weight is a hole of the file.
import sys
def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128]); n >>= 7
    return out + bytes([n])
def ld(f, b): return varint(f << 3 | 2) + varint(len(b)) + b
def iv(f, n): return varint(f << 3) + varint(n)
N = 100_000_000
shape = ld(1, iv(1, 1) + ld(2, ld(1, iv(1, N))))
vi = lambda name: ld(1, name) + ld(2, shape)
tensor = iv(1, N) + iv(2, 1) + ld(8, b"W")
raw = varint(9 << 3 | 2) + varint(4 * N)
init = varint(5 << 3 | 2) + varint(len(tensor) + len(raw) + 4 * N) + tensor + raw
rest = ld(11, vi(b"X")) + ld(12, vi(b"Y"))
before = ld(1, ld(1, b"X") + ld(1, b"W") + ld(2, b"Y") + ld(4, b"Add")) + ld(2, b"g")
size = len(before) + len(init) + 4 * N + len(rest)
with open(sys.argv[1], "wb") as f:
    f.write(iv(1, 8) + ld(8, iv(2, 13)) + varint(7 << 3 | 2) + varint(size) + before + init)
    f.seek(4 * N, 1)
    f.write(rest)
END
(
    ulimit -v 200000
    "$tool" inspect "$tmp/large.onnx" >"$tmp/out" 2>"$tmp/err"
)
code=$?
case $BUILD in
*asan*) echo "skip weights are not read: a sanitizer needs the address space" ;;
*) gives "weights are not read" exit=0 'out=100,000,000 in 1 tensor' ;;
esac

# ---- shape chains that only computing constants resolves: If conditions, pads by Reshape, Slice and Transpose

vad=../shared/models/silero_vad/model.onnx
if [ -f $vad ]; then
    tool inspect --json --shape input=1x576 --shape state=2x1x128 $vad
    # The 16 kHz branch: STFT, four convolutions of the encoder, LSTM, output.
    has "MACs of a network in a branch" 'm["cost"]["macs"]' $((4 * 258 * 256 + 4 * 128 * 129 * 3 + 2 * 64 * 128 * 3 + \
        64 * 64 * 3 + 128 * 64 * 3 + 4 * 128 * 256 + 128))
else
    echo "skip MACs of a network in a branch: the model is not there"
fi
