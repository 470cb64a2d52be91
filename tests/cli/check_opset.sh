#!/usr/bin/env bash
# What check-opset says about models whose answer is known. A few reports are kept in tests/cli/check_*.out; UPDATE=1
# writes them anew.
# shellcheck source=tests/tools/cli.sh
. "$(dirname "$0")/../tools/cli.sh"
t=testdata/targets

# golden NAME EXIT ARGS...: standard output is tests/cli/NAME.out, but for the date of the tables.
golden() {
    local name=$1 want=$2
    shift 2
    tool check-opset "$@"
    sed -i 's/of 20[0-9-]*$/of DATE/' "$tmp/out"
    [ -z "${UPDATE:-}" ] || cp "$tmp/out" "tests/cli/$name.out"
    if diff "tests/cli/$name.out" "$tmp/out" >"$tmp/diff" && [ "$code" -eq "$want" ]; then
        echo "ok $name"
    else
        echo "not ok $name: not as in tests/cli/$name.out, or exit code $code"
        sed 's/^/  /' "$tmp/diff" "$tmp/err" | head -n 30
    fi
}

# has NAME EXPRESSION WANTED: v is the first target of the first model in JSON, op(NAME) its row of that operator.
has() {
    equal "$1" "$(json_at "(lambda v, op: ($2))(d['models'][0]['targets'][0], lambda n: [o for o in d['models'][0]['targets'][0]['operators'] if o['op'] == n][0])")" "$3"
}

# ---- reports

golden check_newest 1 $t/newest.onnx --target ort@1.12 --provider cuda
golden check_fallback 0 $t/gridsample20.onnx --target ort@1.18 --provider cuda
golden check_nodes 0 $t/inside.onnx --target ort@1.18 --provider cuda --nodes
golden check_min 0 $t/restamp.onnx --min
golden check_overview 0 $t/bert.onnx
golden check_table 1 $t --target ort@1.17 --format csv

# ---- what the verdicts must be

tool check-opset $t/newest.onnx --target ort@1.12 --provider cuda --json
gives "the newest opset on an old release" exit=1 json silent
has "is refused" 'v["verdict"]' "fails to load"
has "by opset and IR version" '[(l["what"], l["accepts"], l["result"]) for l in v["limits"]]' \
    "[('opset', 17, 'refused'), ('ir', 8, 'refused')]"
has "operators without a version there are to be rewritten" '[o["op"] for o in v["operators"] if o["needs"] == "rewrite"]' \
    "['Attention', 'Gelu', 'GroupNormalization']"
has "LayerNormalization is not: it has a body" 'op("LayerNormalization")["fit"], op("LayerNormalization")["needs"]' \
    "('body expanded', None)"
tool check-opset $t/restamp.onnx --target ort@1.12 --json
has "an older version is told apart from a rewrite" 'op("Conv")["needs"], op("Conv")["version"], op("Conv")["version_there"]' \
    "('older version', 22, 11)"
tool check-opset $t/layernorm17.onnx --target ort@1.12 --provider cuda --json
gives "opset 17 on 1.12" exit=0
has "runs" 'v["verdict"], v["fallback"]["nodes"]' "('runs', 0)"
has "by function body" 'op("LayerNormalization")["fit"]' "body expanded"
tool check-opset $t/bert.onnx --target ort@1.18 --provider cuda --require no-fallback,known --json
gives "BERT on CUDA raises no alarm" exit=0 silent
has "not one node falls back" 'v["verdict"], v["fallback"]["nodes"], v["counts"]["missing"]' "('runs', 0, 0)"
has "shape arithmetic is seen" 'v["counts"]["shape"] > 10' True
tool check-opset $t/gridsample20.onnx --target ort@1.18 --provider cuda --json
has "GridSample-20 falls back" 'v["verdict"], v["fallback"]["nodes"], v["fallback"]["boundaries"]' \
    "('runs with fallback', 1, 2)"
tool check-opset $t/gridsample16.onnx --target ort@1.18 --provider cuda --json
has "GridSample-16 does not" 'v["verdict"], v["fallback"]["nodes"]' "('runs', 0)"
tool check-opset $t/gridsample20.onnx --target ort@1.25 --provider cuda --json
has "nor does GridSample-20 on 1.25" 'v["verdict"]' runs
tool check-opset $t/inside.onnx --target ort@1.18 --provider cuda --json
has "functions count once a call, branches too" 'v["fallback"]["nodes"], op("GridSample")["nodes"]' "(3, 3)"
tool check-opset $t/half.onnx --target ort@1.18 --json
has "float16 behind casts" '[o["fit"] for o in v["operators"]]' \
    "['fp32 behind casts', 'fp32 behind casts', 'fp32 behind casts']"
tool check-opset $t/foreign.onnx --target ort@1.18 --json
has "a foreign operator is unknown, a contrib one is not" 'v["verdict"], op("Twist")["fit"], op("FusedMatMul")["fit"]' \
    "('unknown', 'unknown', 'kernel')"

# ---- targets

tool check-opset $t/bert.onnx --target ort@1.12 --json
has "a series is its newest patch release" 'v["release"], v["known"]' "('1.12.1', 'exact')"
tool check-opset $t/bert.onnx --target ort@1.17.2 --json
has "between two releases" 'v["known"], v["inferred_from"], v["verdict"]' "('inferred', ['1.17.1', '1.17.3'], 'runs')"
tool check-opset $t/bert.onnx --target ort@99.1 --json
gives "a newer release is unknown" exit=0
has "newer" 'v["known"], v["verdict"]' "('newer', 'unknown')"
tool check-opset $t/bert.onnx --target ort@99.1 --require known
gives "which --require known does not take" exit=1 "err=not known"
tool check-opset $t/bert.onnx --target triton@24.05 --json
has "Triton through its ONNX Runtime" 'v["through"], v["verdict"]' "('triton 24.05 holds ort 1.18.0', 'runs')"
tool check-opset $t/bert.onnx --target tensorrt@8.6,openvino-ep@2023.1,migraphx --json
gives "lists" exit=0
equal "promise nothing" "$(json_at '[(v["verdict"], v["counts"]["listed"] == v["counts"]["nodes"]) for v in d["models"][0]["targets"]]')" \
    "[('unknown', True), ('unknown', True), ('unknown', True)]"
tool check-opset $t/bert.onnx --target ort@1.18 --provider coreml,qnn --json
has "nor do providers that take subgraphs" 'v["loads"], v["verdict"], v["counts"]["listed"] > 0' "('yes', 'unknown', True)"
tool check-opset $t/newest.onnx --target tensorrt@10.5 --json
has "a gap in the lists is inferred from both sides" 'v["inferred_from"]' "['10.1', '10.15']"
tool check-opset $t/bert.onnx --target opset@14,opset@13,ir@7,ir@6,ml@3,onnxtool --json
gives "plain numbers" exit=1
equal "are limits" "$(json_at '[v["verdict"] for v in d["models"][0]["targets"]]')" \
    "['runs', 'fails to load', 'runs', 'fails to load', 'runs', 'runs']"
tool check-opset $t/bert.onnx --target orrt@1.18
gives "a name misspelt" exit=2 "err=did you mean ort"
tool check-opset $t/bert.onnx --target ort@1.18 --provider cdua
gives "a provider misspelt" exit=2 "err=did you mean cuda"
tool check-opset $t/bert.onnx --target ort
gives "a release is missing" exit=2 "err=which release"
tool check-opset $t/bert.onnx --target opset@x
gives "no number" exit=2 "err=expected a number"

# ---- gates

tool check-opset $t/gridsample20.onnx --target ort@1.18 --provider cuda --require no-fallback
gives "no fallback allowed" exit=1 "err=no-fallback"
tool check-opset $t/gridsample20.onnx --target ort@1.18 --provider cuda --max-fallback 10%
gives "a third is more than 10%" exit=1 "err=33.3%"
tool check-opset $t/gridsample20.onnx --target ort@1.18 --provider cuda --max-fallback 0.4
gives "and less than 0.4" exit=0 silent
tool check-opset $t/gridsample20.onnx --target ort@1.18 --max-fallback 140%
gives "no share" exit=2
tool check-opset $t/gridsample20.onnx --require fallback --target ort@1.18
gives "no requirement" exit=2 "err=no-fallback"

# ---- facts of the user's own

tool check-opset --export ort@1.18
gives "an export" exit=0 json silent
cp "$tmp/out" "$tmp/own.json"
tool check-opset $t/gridsample20.onnx --target "$tmp/own.json" --provider cuda --json
has "is a target that says the same" 'v["release"][:4], v["fallback"]["nodes"]' "('1.18', 1)"
python3 - "$tmp/own.json" <<'PY'
import json, sys
d = json.load(open(sys.argv[1]))
rows = [k for k in d["kernels"] if k["op"] == "GridSample" and k["provider"] == "cuda"]
assert rows
rows[0]["versions"] = "20+"
json.dump(d, open(sys.argv[1], "w"))
PY
tool check-opset $t/gridsample20.onnx --target "$tmp/own.json" --provider cuda --json
has "and a changed kernel counts" 'v["verdict"]' runs
cat >"$tmp/more.json" <<'JSON'
{"onnxtool_facts": 1,
 "releases": [{"runtime": "ort", "version": "99.1.0", "opset": 40, "ml_opset": 9, "ir": 20},
              {"runtime": "my-npu", "version": "2.0", "opset": 20, "ir": 9}],
 "kernels": [{"provider": "cpu", "releases": "99.1", "op": "Relu", "versions": "14", "types": {"T": ["float"]}},
             {"provider": "cpu", "releases": "99.1", "op": "Sigmoid", "versions": "13", "types": {"T": ["float"]}},
             {"provider": "cpu", "releases": "99.1", "op": "GridSample", "versions": "6-20"}],
 "operators": [{"list": "my-npu", "op": "Relu"}, {"list": "my-npu", "op": "Sigmoid"},
               {"list": "my-npu", "op": "GridSample", "supported": false}]}
JSON
tool check-opset $t/gridsample20.onnx --facts "$tmp/more.json" --target ort@99.1 --json
has "a release from a file" 'v["known"], v["verdict"]' "('exact', 'runs')"
tool check-opset $t/gridsample20.onnx --facts "$tmp/more.json" --target my-npu@2.0 --json
gives "a runtime from a file" exit=1
has "with operators that it lacks" 'v["verdict"], [o["op"] for o in v["operators"] if o["fit"] == "missing"]' \
    "('fails to load', ['GridSample'])"
sed -n '/^\.EX/,/^\.EE/p' man/onnxtool-facts.7 | sed -e '/^\./d' -e 's/\\-/-/g' >"$tmp/page.json"
tool check-opset $t/half.onnx --facts "$tmp/page.json" --target my-npu@2.0,ort@1.40 --json
gives "the example of onnxtool-facts(7)" exit=0 json
has "is read" 'v["verdict"], v["limits"][0]["accepts"]' "('unknown', 17)"
for bad in '{' '[]' '{"onnxtool_facts": 1, "kernel": []}' '{"onnxtool_facts": 1, "releases": [{"runtime": "ort"}]}' \
    '{"onnxtool_facts": 1, "releases": [{"runtime": "ort", "version": "x"}]}' '{"onnxtool_facts": 1, "kernels": 3}' \
    '{"onnxtool_facts": 1, "kernels": [{"provider": "cpu", "op": "Relu", "releases": "1.9", "versions": "a"}]}' \
    '{"onnxtool_facts": 1, "kernels": [{"provider": "cpu", "op": "Relu", "releases": "1.9", "versions": "6", "types": {"T": ["flaot"]}}]}'; do
    echo "$bad" >"$tmp/bad.json"
    tool check-opset $t/bert.onnx --facts "$tmp/bad.json" --target ort@1.18
    gives "refused: $bad" exit=3 "err=bad.json"
done
tool check-opset $t/bert.onnx --facts "$tmp/none.json" --target ort@1.18
gives "facts that are not there" exit=3 "err=none.json"
tool check-opset --export ort@99
gives "nothing to export" exit=2

tool check-opset $t/bert.onnx --target ort@1.18,nowhere@3
gives "a wrong target is told before any answer" exit=2 silent_out "err=--target 'nowhere' is not known"
tool check-opset $t/bert.onnx --target ort@99.1
gives "of a release beyond the tables no operator is listed" exit=0 'out=newer than the tables' 'no_out=MatMul'

# ---- matrix, minimum, overview

tool check-opset --matrix $t/gridsample20.onnx $t/bert.onnx --provider cuda --json
gives "the matrix" exit=0 json silent
equal "worst first" "$(json_at '[r["worst"] for r in d["matrix"]] == sorted([r["worst"] for r in d["matrix"]], key=["fails to load", "runs with fallback", "unknown", "runs"].index)')" True
equal "all releases of ort" "$(json_at 'len(d["matrix"]) >= 67')" True
tool check-opset --matrix $t/gridsample20.onnx $t/bert.onnx --provider cuda
gives "neighbouring releases are one row, models go by their own names" exit=0 \
    'out=^  release +gridsample20.onnx +bert.onnx' 'out=^  ort@1.17.0 to 1.24.4 +fallback 33.3% +runs'
tool check-opset --matrix $t/gridsample20.onnx $t/bert.onnx --provider cuda -v
gives "with -v each is its own" exit=0 'out=^  ort@1.19.2 +fallback 33.3% +runs' 'no_out= to '
tool check-opset --matrix --target triton,tensorrt $t/bert.onnx --format csv
gives "a matrix of other runtimes" exit=0 "out=triton@24.05,runs" "out=tensorrt@8.6,unknown"
tool check-opset --matrix --target ort@1.11,ort@1.12 $t/gridsample20.onnx
gives "a model that nothing loads" exit=1
tool check-opset --min $t/restamp.onnx --json
equal "the minimum" "$(json_at '(lambda m: (m["opset_now"], m["opset"], m["ir"], m["restamp"]))(d["models"][0]["minimum"])')" "(22, 7, 4, True)"
tool check-opset --min $t/newest.onnx --json
equal "by the youngest operator" "$(json_at '(lambda m: (m["opset"], m["nodes"][0]["why"]))(d["models"][0]["minimum"])')" "(23, 'Attention came with 23')"
tool check-opset --min $models/functions_nested.onnx --json
gives "the minimum of a model with functions" exit=0 json
tool check-opset $t/restamp.onnx --json
equal "the oldest release that loads it" "$(json_at '[o["release"] for o in d["models"][0]["oldest"] if o["runtime"] == "ort"]')" "['1.21.0']"

# ---- beside a profile

cat >"$tmp/profile.json" <<'JSON'
[{"cat": "Session", "name": "model_loading"},
 {"cat": "Node", "name": "before_kernel_time", "dur": 5, "args": {"provider": "CUDAExecutionProvider", "op_name": "Relu"}},
 {"cat": "Node", "name": "sample_fence_before", "dur": 0, "args": {"op_name": "GridSample"}},
 {"cat": "Node", "name": "sample_kernel_time", "dur": 9, "args": {"provider": "CPUExecutionProvider", "op_name": "GridSample"}},
 {"cat": "Node", "name": "behind_kernel_time", "dur": 2, "args": {"provider": "CPUExecutionProvider", "op_name": "Sigmoid"}}]
JSON
tool check-opset $t/gridsample20.onnx --target ort@1.18 --provider cuda --observed "$tmp/profile.json" --json
has "what a profile shows" 'v["observed"]["agree"], v["observed"]["differ"], v["observed"]["absent"]' "(2, 1, 0)"
tool check-opset $t/gridsample20.onnx --target ort@1.18 --provider cuda --observed "$tmp/profile.json"
gives "and where it differs" exit=0 "out=behind +Sigmoid-13 +cuda +cpu"
cat >"$tmp/profile.json" <<'JSON'
{"traceEvents": [
 {"cat": "Node", "name": "_inlfunc_Look_inner_kernel_time", "dur": 5, "args": {"provider": "CUDAExecutionProvider"}},
 {"cat": "Node", "name": "_inlfunc_Look_token_0_in_function_kernel_time", "args": {"provider": "CPUExecutionProvider"}}]}
JSON
tool check-opset $t/inside.onnx --target ort@1.18 --provider cuda --observed "$tmp/profile.json" --json
has "functions are found inlined" 'v["observed"]["agree"], v["observed"]["differ"]' "(4, 0)"
echo '[]' >"$tmp/profile.json"
tool check-opset $t/gridsample20.onnx --target ort@1.18 --observed "$tmp/profile.json"
gives "no profile" exit=3 "err=enable_profiling"

# ---- usage

tool check-opset
gives "no model" exit=2
tool check-opset --export ort@1.18 $t/bert.onnx
gives "an export takes no model" exit=2
tool check-opset $t/bert.onnx --require known
gives "gates need a target" exit=2 "err=--target"
tool check-opset $t/bert.onnx --format csv
gives "no table without a target" exit=2
tool check-opset testdata/notonnx/README.md --target ort@1.18 --json
gives "no model in the file" exit=3 json
tool --list targets --json
gives "the list of targets" exit=0 json
