#!/usr/bin/env bash
# What `run` does with results: comparing, saving, dumping, checking, limits, JSON, exit codes.
# shellcheck source=tests/tools/cli.sh
. "$(dirname "$0")/../tools/cli.sh"

two=$models/two_inputs.onnx
net=$digits/digits.onnx
images=$digits/test_images.npy

# ---- --expect ----

tool run $net --input $images --expect $digits/expected_logits.npy --rtol 1e-9 --atol 0
gives "a difference: how many, how much, where" exit=1 silent 'out=logits +differs: [0-9]+ of 6000 elements differ, worst at \[[0-9]+, [0-9]\]' \
    'out=max abs [0-9.]+e-0[56]' 'out=at \[[0-9]+, [0-9]\]: -?[0-9.]+, expected -?[0-9.]+'
tool run $net --input $images --expect $digits/expected_logits.npy --rtol 1e-9 --atol 0 --json
gives "the same as JSON" exit=1 silent json
equal "the JSON says what differs" \
    "$(json_at '[(c["name"], c["pass"], c["elements"], 0 < c["max_abs"] < 1e-3) for c in d["models"][0]["samples"][0]["compared"]]')" \
    "[('logits', False, 6000, True)]"
tool run $net --input $images --expect $digits/expected_logits.npy --rtol 1e-9 --atol logits=0.01
gives "a tolerance by name" exit=0 'out=logits +matches'
tool run $net --input $images --expect $digits/expected_logits.npy --rtol 0 --atol 0 --max-outliers 1
gives "outliers that are allowed" exit=0
tool run $net --input $images --fill ones --expect $digits/expected_logits.npy --max-outliers 1 --min-top1 1
gives "the best class agrees in every row" exit=0
python3 - "$tmp/rolled.npy" <<'P'
import struct, sys
b = open("testdata/digits/expected_logits.npy", "rb").read()
n = struct.unpack("<H", b[8:10])[0]
row = 4 * 10
body = b[10 + n:]
open(sys.argv[1], "wb").write(b[:10 + n] + body[300 * row:] + body[:300 * row])
P
tool run $net --input $images --expect "$tmp/rolled.npy" --max-outliers 1 --min-top1 0.5
gives "the best class does not agree" exit=1 'out=differs: the best class agrees in 0\.[0-9]+ of 600 rows, below 0\.5' 'out= ulp, best class agrees in'
tool run $net --input $images --min-top1 0.5
gives "--min-top1 without anything that is right" exit=2 'err=--truth or --expect'
tool run $net --input $images --expect $images
gives "another shape" exit=1 'out=is float\[600,10\], expected float\[600,1,8,8\]'
tool run $two --input $models/two_inputs.in.npz --expect $models/two_inputs.in.npz
gives "a reference that holds nothing for the outputs is no agreement" exit=3 'err=holds nothing'
tool run $net --input $images --expect logit=$digits/expected_logits.npy
gives "a reference for an unknown output" exit=3
tool run $net --input $images --expect nowhere.npz
gives "a reference that is not there" exit=3 'err=nowhere.npz'

tool run $net --input $images --min-cosine 0.5
gives "a limit that nothing is compared for" exit=2 'err=--min-cosine needs --expect'
tool run $net --input $images --rtol 1e-3
gives "a tolerance that nothing is compared for" exit=2 'err=--rtol needs --expect'
tool run $net --input $images --expect $digits/expected_logits.npy --rtol foo
gives "a tolerance that is no number" exit=2 silent_out "err=--rtol 'foo'"
tool run $net --input $images --expect $digits/expected_logits.npy --atol logit=1
gives "a tolerance for an output that is not there" exit=2 "err=no output 'logit'; did you mean 'logits'"
tool run $net --truth $digits/test_labels.npy
gives "more answers than samples" exit=3 'err=600 answers, the samples give only 1' no_out=accuracy

# ---- --save, --save-inputs, --dump ----

tool run $two --dim n=7 --seed 3 --save "$tmp/out.npz" --save-inputs "$tmp/in.npz" -q
gives "results and made-up inputs are kept" exit=0
tool run $two --input "$tmp/in.npz" --expect "$tmp/out.npz" --rtol 0 --atol 0
gives "and give the same again" exit=0 'out=sum +matches' 'out=bigger +matches'
tool run $two --input "$tmp/in.npz" --save "$tmp/folder" --save-inputs "$tmp/ins" -q
gives "into folders" exit=0
tool run $two --input "$tmp/ins" --expect "$tmp/folder" --rtol 0 --atol 0
gives "folders read back" exit=0 'out=sum +matches'
tool run $two --input "$tmp/in.npz" --input "$tmp/in.npz" --save "$tmp/sets" --save-inputs "$tmp/sets_in" -q
gives "samples go into folders of their own" exit=0
tool run $two --input "$tmp/sets_in" --expect "$tmp/sets" --json
gives "and read back as samples" exit=0 json
equal "two samples" "$(json_at 'len(d["models"][0]["samples"])')" 2
tool run $two --input "$tmp/in.npz" --input "$tmp/in.npz" --save "$tmp/no.npz"
gives "several samples do not go into an archive" exit=2 'err=folder'
tool run $net --input $digits/seven.npy -O none --dump '*' --save "$tmp/all" -q
gives "--dump of everything" exit=0
[ "$(find "$tmp/all" -name '*.npy' | wc -l)" -ge 8 ] && echo "ok every value of the graph is there" ||
    echo "not ok every value of the graph is there: $(ls "$tmp/all")"
tool run $net --input $digits/seven.npy --dump 'no*such*' --save "$tmp/all"
gives "--dump that matches nothing" exit=2 "err=no\*such\*"
tool run $net --input $digits/seven.npy --dump '*'
gives "--dump without --save" exit=2 'err=--save'
tool run $net --save /nowhere/at/all.npz
gives "a place that cannot be written, before anything is done" exit=5 'err=/nowhere/at/all.npz' 'no_err=made up' silent_out
tool run $net --trace /nowhere/at/all.json
gives "a trace that cannot be written" exit=5 'err=--trace' silent_out
tool run $net --save "$tmp/out.xyz"
gives "a file of a kind that is not written" exit=2 'err=neither an .npz nor a folder'
for opt in --save --save-inputs --trace; do
    tool run $net $two $opt "$tmp/both.npz"
    gives "$opt of two models into one place" exit=2 "err=$opt takes one model" silent_out
done

# ---- --check-finite ----

tool run $models/makes_nan.onnx --input $models/makes_nan.in.npz --check-finite
gives "the node that makes the first NaN, and what it was given" exit=1 silent "out=node 'log'" 'out=4 of 6' 'out=in -1\.\.3$'
tool run $models/makes_nan.onnx --input $models/makes_nan.in.npz --check-finite -O none --json
gives "the same unoptimized and as JSON" exit=1 silent json
equal "the finding as JSON" \
    "$(json_at '(lambda f: (f["node"], f["operator"], f["nan"], f["elements"], f["inputs"][0]["min"]))(d["models"][0]["samples"][0]["not_finite"])')" \
    "('log', 'Log-13', 4, 6, -1)"
tool run $models/makes_nan.onnx --fill 3:4 --check-finite
gives "nothing to find, and that is said" exit=0 'out=all values are finite'
tool run $net --fill 3e38:3.3e38 --check-finite
gives "an overflow to infinity" exit=1 'out=Inf'

# ---- what cannot run ----

tool run $models/unsupported.onnx
gives "all nodes that cannot run, at once" exit=4 "err=3 nodes" "err='first' \(com.example.Odd\)" "err='inner' \(com.example.Strange\)" \
    "err='last' \(Unheard\)"
tool run $models/unsupported.onnx --json
gives "and valid JSON" exit=4 json
tool run $net $models/unsupported.onnx --json
gives "several models: all are in the report, the highest code" exit=4 json
equal "two models in the JSON" "$(json_at 'len(d["models"]), d["exit_code"]')" "(2, 4)"
tool run $models/bad/cycle.onnx $net
gives "a bad model does not stop the next one" exit=3 'out=logits' 'err=cycle.onnx'
tool run $digits/README.md --json
gives "no model at all" exit=3 json 'err=README.md'
tool run $net --input "$digits/README.md" --json
gives "JSON on a bad input" exit=3 json

# ---- limits ----

tool run $net --max-memory 1K
gives "--max-memory" exit=5 'err=--max-memory'
# What is made while running adds up: 300 tensors of a megabyte do not fit into 64.
grows="run $models/sequence_grows.onnx --fill n=300:300 --fill size=262144:262144"
# shellcheck disable=SC2086 # several words are meant
tool $grows --max-memory 64M
gives "--max-memory over a loop" exit=5 'err=--max-memory'
# shellcheck disable=SC2086 # several words are meant
tool $grows --max-memory 640M
gives "--max-memory that suffices" exit=0 'out=300'
tool run $net --max-memory 64M
gives "--max-memory that is enough" exit=0
tool run $net --timeout 0.000001
gives "--timeout" exit=5 'err=time limit'
tool run $net --threads -1
gives "--threads below zero" exit=2 'err=--threads'
tool run $net --cpu-mask sse9
gives "an unknown instruction set" exit=2 'err=sse9'
tool run $net --provider gpu
gives "an unknown provider" exit=2 "err=--provider: no provider 'gpu'; there is cpu" 'no_err=made up'
tool run $net -O most
gives "an unknown level" exit=2 'err=most'
tool run $net --skip-pass no_such_pass
gives "an unknown pass" exit=2 'err=no_such_pass'
tool run $net --labels $digits/labels.txt
gives "--labels without --top" exit=2 'err=--top'
tool run
gives "no model given" exit=2 'err=usage'
tool run --nonsense $net
gives "an unknown option" exit=2 'err=nonsense'

tool run $net --provider-option cpu.foo=1
gives "an unknown option of a provider" exit=2 'err=foo'
tool run $net --provider-option gpu.foo=1
gives "an option of a provider that is not listed" exit=2 'err=gpu.foo'

# ---- reports ----

tool run $models/zipmap.onnx --input $models/zipmap.in.npz
gives "sequences and maps are shown" exit=0 'out=Z +seq\(map\(string,float\)\)' 'out= 2 items' 'out="no": 0.25  "yes": 0.75'
tool run $models/zipmap.onnx --input $models/zipmap.in.npz --json
gives "and are in the JSON" exit=0 json
equal "keys and values in the JSON" \
    "$(json_at '[(i["key"], i["first_values"]) for i in d["models"][0]["samples"][0]["outputs"][0]["items"][1]["items"]]')" \
    "[('no', [1]), ('yes', [0])]"

tool run $net --fill ones --json
equal "how inputs were made up is in the JSON" \
    "$(json_at '[(i["name"], i["type"], i["made_up"], i["how"]) for i in d["models"][0]["samples"][0]["inputs"]]')" \
    "[('image', 'float[1,1,8,8]', True, 'ones, as asked')]"
tool run $net --profile --json -q
equal "node and operator apart in the profile" \
    "$(json_at 'sorted(n["node"] for n in d["models"][0]["profile_by_node"])')" \
    "['conv1', 'conv2', 'conv2 out of blocks', 'fc', 'flat', 'pool']"
tool run $net $two
gives "notes say which model, where there are several" exit=0 "err=digits.onnx: input 'image' is made up" "err=two_inputs.onnx: input"
tool run $net --placement --profile -q
gives "placement and profile" exit=0 silent 'out=conv1 .*cpu'
tool run $net --trace "$tmp/trace.json" -q
gives "a trace" exit=0
is_json "$tmp/trace.json" && echo "ok the trace is JSON" || echo "not ok the trace is JSON"
tool run - <$net
gives "a closed standard input is no model" exit=3
"$tool" run -q - <$net >"$tmp/out" 2>"$tmp/err"
code=$?
gives "a model from standard input" exit=0 silent 'out=logits'
for flags in "" --json; do
    # shellcheck disable=SC2086 # no flag at all is what is meant
    ("$tool" run $net $flags --input $images --top 10 2>"$tmp/err"; echo $? >"$tmp/code") | head -n 1 >/dev/null
    code=$(cat "$tmp/code") && : >"$tmp/out"
    gives "a closed pipe is success ${flags:-as text}" exit=0 silent
done
