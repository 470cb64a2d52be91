#!/usr/bin/env bash
# bench: what does not depend on the clock. Counts, keys, sweeps, verdicts over times that were made up.
# shellcheck source=tests/tools/cli.sh
. "$(dirname "$0")/../tools/cli.sh"
model=$digits/digits.onnx
brief=(--runs 12 --warmup 2 --threads 1)

# ---- one configuration

tool bench $model "${brief[@]}"
gives "text" exit=0 'out=^testdata/digits/digits.onnx$' 'out=engine +onnxtool [0-9.]+ cpu, .*1 thread, -O all' \
    'out=load +[0-9.]+ ms' 'out=first run +[0-9.]+ ms' 'out=p50 .*p90 .*p95 .*p99 ' 'out=mean .*sd .*min .*max' \
    'out=12 runs in .*after 2 of warm-up' 'out=runs a second' 'out=memory .*weights .*packed .*activations' \
    'err=too few for p99, which needs 500' 'err=is made up'
tool bench $model "${brief[@]}" -q --percentiles 50
gives "no notes under -q" exit=0 silent 'out=p50' no_out=p90
tool bench $model "${brief[@]}" --percentiles 50,99.9
gives "percentiles by choice" exit=0 'out=p50 .*p99.9 ' no_out=p95 'err=p99.9, which needs 5000'
tool bench $model -q --runs 12 --warmup 0 --percentiles 50 --input $digits/test_images.npy
gives "inputs from a file" exit=0 silent

tool bench $model "${brief[@]}" --json -q
gives "JSON" exit=0 silent json
equal "runs" "$(json_at 'd["results"][0]["latency"]["runs"]')" 12
equal "a sample a run" "$(json_at 'len(d["results"][0]["latency"]["samples_ms"])')" 12
equal "warm-up runs" "$(json_at 'd["results"][0]["warmup_runs"]')" 2
equal "engine" "$(json_at '" ".join(str(d["results"][0]["engine"][k]) for k in ("name", "provider", "threads", "optimize", "streams"))')" "onnxtool cpu 1 all 1"
equal "percentiles are those of the samples" "$(json_at 'all(abs(p["latency_ms"] - (lambda v, at: v[int(at)] + (at - int(at)) * (v[min(int(at) + 1, 11)] - v[int(at)]))(sorted(d["results"][0]["latency"]["samples_ms"]), p["percentile"] / 100 * 11)) < 1e-9 for p in d["results"][0]["latency"]["percentiles"])')" True
equal "mean is that of the samples" "$(json_at 'abs(sum(d["results"][0]["latency"]["samples_ms"]) / 12 - d["results"][0]["latency"]["mean_ms"]) < 1e-9')" True
equal "which percentiles have samples enough" "$(json_at '[p["enough_runs"] for p in d["results"][0]["latency"]["percentiles"]]')" "[True, False, False, False]"
equal "load, first run and memory" "$(json_at 'd["results"][0]["load_ms"] > 0 and d["results"][0]["first_ms"] > 0 and d["results"][0]["memory"]["peak_resident_bytes"] > 10**6')" True
equal "the warning" "$(json_at 'any("p99" in w for w in d["results"][0]["warnings"])')" True

# ---- how long

tool bench $model -q --json --warmup 0 --time 0.05
equal "ten runs at least, and the time" "$(json_at 'd["results"][0]["latency"]["runs"] >= 10 and d["results"][0]["latency"]["wall_s"] >= 0.05')" True
tool bench $model -q --json --warmup 3 --warmup-time 0 --runs 5 --time 0
equal "exact counts" "$(json_at '(d["results"][0]["warmup_runs"], d["results"][0]["latency"]["runs"])')" "(3, 5)"

# ---- sweeps

tool bench $model --runs 3 --warmup 0 -q --json --shape image=1x1x8x8,4x1x8x8 --threads 1,2 -O none,all
gives "a sweep" exit=0 silent json
equal "every combination" "$(json_at '[(r["engine"]["optimize"], r["engine"]["threads"]) for r in d["results"]] == [(o, t) for b in (1, 4) for o in ("none", "all") for t in (1, 2)]')" True
equal "names are all different" "$(json_at 'len({r["name"] for r in d["results"]})')" 8
tool bench $model --runs 3 --warmup 0 -q --format csv --dim batch=1,4 --threads 1 --percentiles 50
gives "CSV" exit=0 silent 'out=^model,configuration,runs,p50 ms,mean ms' 'out=^testdata/digits/digits.onnx,batch=4,3,'
equal "a line a configuration" "$(wc -l <"$tmp/out")" 3
tool bench $model --runs 3 --warmup 0 -q --json --samples 4 --shape "image=2x*x*x*" --threads 1
gives "several samples, a kept dim" exit=0 silent json
tool bench $model --runs 3 --warmup 0 -q --format markdown --threads 1
gives "Markdown" exit=0 silent 'out=^\| model \| configuration' 'out=^\|---\|---\|---:'
tool bench $model $model --runs 3 --warmup 0 -q --threads 1 --percentiles 50
gives "a table behind several results" exit=0 silent 'out=^  model +configuration +runs'
tool bench $model -q --json --runs 4 --warmup 1 --threads 1 --streams 3
equal "three callers, each with its runs" "$(json_at '(d["results"][0]["latency"]["runs"], d["results"][0]["engine"]["streams"], d["results"][0]["warmup_runs"])')" "(12, 3, 3)"

# ---- comparisons

tool bench $model "${brief[@]}" -q --json --vs-optimize none
gives "against another level" exit=0 json
equal "pairs" "$(json_at '(d["results"][0]["latency"]["runs"], d["results"][0]["other"]["runs"])')" "(12, 12)"
equal "the interval holds the ratio" "$(json_at 'd["results"][0]["vs"]["low"] <= d["results"][0]["vs"]["ratio"] <= d["results"][0]["vs"]["high"]')" True
tool bench $model "${brief[@]}" -q --vs $model
gives "against a model" exit=0 'out=verdict .*(slower|faster|no difference seen at this noise).* than testdata'
tool bench $model --runs 4 --warmup 0 -q --vs $model
gives "four pairs tell nothing" exit=0 'out=verdict .*too few runs to tell'

# ---- gates

tool bench $model "${brief[@]}" -q --fail-above p99=1000s --fail-above mean=1000s --fail-above load=1000s
gives "within the limits" exit=0 'out=limit +p99 .*within' 'out=limit +mean .*within' 'out=limit +load .*within'
tool bench $model "${brief[@]}" -q --fail-above p50=1ns --json
gives "above a limit" exit=1 json
equal "which limit" "$(json_at '[(l["what"], l["pass"]) for l in d["results"][0]["limits"]]')" "[('p50', False)]"

# edit FILE EXPRESSION: rewrites the baseline d.
edit() {
    python3 -c 'import json, sys
d = json.load(open(sys.argv[1]))
exec(sys.argv[3])
json.dump(d, open(sys.argv[2], "w"))' "$tmp/base.json" "$1" "$2"
}

tool bench $model "${brief[@]}" -q --save-baseline "$tmp/base.json"
gives "a baseline is saved" exit=0 silent
equal "it is JSON" "$(is_json "$tmp/base.json" && echo yes)" yes
edit "$tmp/slow.json" 'd["results"][0]["samples_ms"] = [1e6 + i % 3 for i in range(40)]'
tool bench $model "${brief[@]}" -q --json --baseline "$tmp/slow.json"
gives "faster than the baseline" exit=0 json
equal "verdict: faster" "$(json_at 'd["results"][0]["baseline"]["verdict"], d["results"][0]["baseline"]["regressed"]')" "('faster', False)"
edit "$tmp/fast.json" 'd["results"][0]["samples_ms"] = [1e-6 + 1e-9 * (i % 3) for i in range(40)]'
tool bench $model "${brief[@]}" --json --baseline "$tmp/fast.json"
gives "slower than the baseline" exit=1 json 'err=measuring again'
equal "verdict: a regression, seen twice" "$(json_at 'd["results"][0]["baseline"]["verdict"], d["results"][0]["baseline"]["regressed"], d["results"][0]["baseline"]["measured_again"]')" "('slower', True, True)"
tool bench $model "${brief[@]}" -q --baseline "$tmp/fast.json" --max-regression 999999999999%
gives "as much slower as is allowed" exit=0
edit "$tmp/few.json" 'd["results"][0]["samples_ms"] = [1e-6, 1e-6]'
tool bench $model "${brief[@]}" -q --baseline "$tmp/few.json"
gives "a baseline of two samples proves nothing" exit=0 'out=too few runs to tell'
edit "$tmp/other.json" 'd["machine"] = "a slide rule; c; 1 cores"'
tool bench $model "${brief[@]}" -q --baseline "$tmp/other.json"
gives "another machine's baseline" exit=3 'err=another machine .a slide rule' no_out=p50
tool bench $model --runs 12 --threads 2 -q --baseline "$tmp/base.json"
gives "a baseline without this configuration" exit=3 "err=has no result 'digits.onnx .*--threads 2"
echo '{"command": "bench"}' >"$tmp/wrong.json"
tool bench $model -q --baseline "$tmp/wrong.json"
gives "not a baseline" exit=3 'err=not a baseline'
edit "$tmp/bad.json" 'd["results"][0]["samples_ms"] = [1, 0]'
tool bench $model -q --baseline "$tmp/bad.json"
gives "a baseline with a time of 0" exit=3 'err=not a positive number'

# ---- profile and trace

tool bench $model "${brief[@]}" -q --json --profile --trace "$tmp/trace.json"
gives "profile" exit=0 silent json
# 88064 multiply-accumulates, and the graph's other operations.
equal "work of all nodes" "$(json_at 'int(sum(n["flops_per_run"] for n in d["results"][0]["profile"]["by_node"])) // 2 // 1000')" 88
equal "shares add up" "$(json_at 'abs(sum(n["share"] for n in d["results"][0]["profile"]["by_operator"]) - 1) < 1e-6')" True
equal "views agree on the nodes" "$(json_at 'len({sum(n["nodes"] for n in d["results"][0]["profile"][k]) for k in ("by_operator", "by_shape", "by_node")})')" 1
equal "Gemm's shapes and bytes" "$(json_at '[(n["shape"], n["bytes_per_run"]) for n in d["results"][0]["profile"]["by_shape"] if n["operator"].startswith("Gemm")]')" "[('1x512 10x512 10', 22608)]"
cp "$tmp/trace.json" "$tmp/out"
equal "trace" "$(json_at 'sum(e["name"] == "run" for e in d["traceEvents"]), all(e["ph"] == "X" and e["dur"] >= 0 for e in d["traceEvents"])')" "(5, True)"
tool bench $model "${brief[@]}" -q --profile
gives "profile as text" exit=0 silent 'out=^by operator$' 'out=^by operator and shape$' 'out=^by node$' 'out=1x512 10x512 10'
tool bench $model "${brief[@]}" -q --profile --ceilings --json
gives "shares of the ceilings" exit=0 silent json
equal "ceilings and shares" "$(json_at 'd["results"][0]["ceilings"]["gflops"] > 0, d["results"][0]["ceilings"]["gb_per_s"] > 0, all("of_ceiling" in n for n in d["results"][0]["profile"]["by_node"] if n["time_ms"] > 0)')" "(True, True, True)"
tool --list machine --json
gives "ceilings of the machine" exit=0 silent json
equal "its keys" "$(json_at 'all(d["machine"][k] > 0 for k in ("gflops_1_thread", "gflops_all_threads", "read_gb_per_s_1_thread", "read_gb_per_s_all_threads"))')" True
tool bench $models/if_nested.onnx "${brief[@]}" -q --json --profile
gives "profile of a graph with bodies" exit=0 silent json
equal "bodies are inside the time of their node" "$(json_at 'max(n["share"] for n in d["results"][0]["profile"]["by_node"]) <= 1')" True

# ---- mistakes

for bad in p99 p99=20 p99=ms q=1ms p101=1ms p99=-1ms =1ms; do
    tool bench $model --fail-above "$bad"
    gives "--fail-above $bad" exit=2 err=--fail-above no_out=.
done
for bad in 101 x ''; do
    tool bench $model --percentiles "50,$bad"
    gives "--percentiles 50,$bad" exit=2 err=--percentiles no_out=.
done
for bad in 5 x% -5% %; do
    tool bench $model --baseline "$tmp/base.json" --max-regression "$bad"
    gives "--max-regression $bad" exit=2 err=--max-regression no_out=.
done
tool bench $model --max-regression 5%
gives "--max-regression without --baseline" exit=2 err=--baseline
tool bench $model --vs $model --vs-optimize none
gives "two references" exit=2 err=exclude
tool bench $model --vs $model --streams 2
gives "a comparison of many callers" exit=2 err=--streams
tool bench $model -O fast
gives "an unknown level" exit=2 err=--optimize
tool bench $model --threads 1,x
gives "threads that are no number" exit=2 err=--threads
tool bench no/such.onnx "${brief[@]}" --json
gives "no such model" exit=3 json 'err=no/such.onnx'
tool bench $model "${brief[@]}" -q --provider nobody
gives "no such provider" exit=2 err=nobody

# ---- Ctrl-C shows what there is. The shell has it ignored in what runs in the background, which bench respects:
# the signal is given back its meaning first.

python3 -c 'import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])' "$tool" bench $model -q --threads 1 --time 60 >"$tmp/out" 2>"$tmp/err" </dev/null &
pid=$!
sleep 1
kill -INT $pid
wait $pid
code=$?
gives "interrupted" exit=130 silent 'out=p50' 'out=runs in'
