#!/usr/bin/env bash
# Broken and foreign files, through the binary: exactly one line on stderr (warnings that a loaded model earned aside), an
# exit code that blames the file (3) or what we lack (4), nothing on stdout unless --json was asked for, which is one
# valid document then.
# shellcheck source=tests/tools/cli.sh
. "$(dirname "$0")/../tools/cli.sh"

wrong=
# disciplined WHAT: the latest run ended as it should; $wrong collects those that did not.
disciplined() {
    local lines
    lines=$(grep -vc '^onnxtool: warning: ' "$tmp/err")
    case $code in
    0) [ "$lines" -le 40 ] && return ;;
    3 | 4) [ "$lines" -eq 1 ] && [ ! -s "$tmp/out" ] && grep -q '^onnxtool: ..*' "$tmp/err" && return ;;
    esac
    wrong="$wrong $1 (exit $code, $lines lines on stderr, $(wc -c <"$tmp/out") bytes on stdout);"
}

# verdict NAME: one test out of all since the latest.
verdict() {
    if [ -z "$wrong" ]; then echo "ok $1"; else echo "not ok $1:${wrong:0:600}"; fi
    wrong=
}

mkdir "$tmp/json"
# json_kept ID COMMAND MODEL: a run with --json; its document is kept, to be read with the others at the end.
json_kept() {
    tool "$2" --json "$3"
    cp "$tmp/out" "$tmp/json/$1"
    case $code in
    0 | 3 | 4) ;;
    *) wrong="$wrong $1 (exit $code);" ;;
    esac
}

for name in ir03 packed two_inputs left_out makes_nan; do
    size=$(wc -c <"$models/$name.onnx")
    for ((n = 0; n < size; n++)); do
        head -c "$n" "$models/$name.onnx" >"$tmp/cut.onnx"
        tool inspect "$tmp/cut.onnx"
        disciplined "inspect, $n bytes"
        if ((n % 5 == 0)); then
            tool run "$tmp/cut.onnx"
            disciplined "run, $n bytes"
        fi
        ((n % 20 == 0)) && json_kept "$name-$n" inspect "$tmp/cut.onnx"
        ((n % 20 == 10)) && json_kept "$name-$n" run "$tmp/cut.onnx"
    done
    verdict "$name.onnx cut off at every byte"
done

for f in testdata/notonnx/*; do
    tool inspect "$f"
    disciplined "inspect $f"
    [ "$code" -eq 3 ] || wrong="$wrong inspect $f: exit $code;"
    tool run "$f"
    disciplined "run $f"
    [ "$code" -eq 3 ] || wrong="$wrong run $f: exit $code;"
    json_kept "${f##*/}" inspect "$f"
done
verdict "files that are no models"

for f in "$models"/bad/*.onnx; do
    tool run "$f"
    disciplined "run ${f##*/}"
    # A newer IR version, or nodes out of order, does not keep a model from running.
    case ${f##*/} in
    ir_future.onnx | order.onnx) ;;
    *) [ "$code" -ne 0 ] || wrong="$wrong run ${f##*/}: exit 0;" ;;
    esac
    tool inspect "$f"
    disciplined "inspect ${f##*/}"
    json_kept "run-${f##*/}" run "$f"
    json_kept "inspect-${f##*/}" inspect "$f"
done
verdict "models that are wrong"

# Bytes of no meaning, always the same ones: a generator of shell arithmetic is enough.
seed=1
for n in 1 2 3 7 16 64 300 1000; do
    for ((k = 0; k < n; k++)); do
        seed=$(((seed * 1103515245 + 12345) & 0x7fffffff))
        # shellcheck disable=SC2059 # the format is what is wanted
        printf "\\x$(printf '%02x' $((seed >> 16 & 255)))"
    done >"$tmp/garbage.onnx"
    tool inspect "$tmp/garbage.onnx"
    disciplined "inspect, $n random bytes"
    [ "$code" -eq 3 ] || wrong="$wrong inspect, $n random bytes: exit $code;"
    tool run "$tmp/garbage.onnx"
    disciplined "run, $n random bytes"
done
verdict "random bytes"

mkdir "$tmp/none"
for f in "$tmp/none" "$tmp/nothing.onnx" /dev/null; do
    tool run "$f"
    disciplined "run $f"
    [ "$code" -eq 3 ] || wrong="$wrong run $f: exit $code;"
done
verdict "a folder, a missing file, an empty device"

said=$(python3 - "$tmp/json" <<'END' 2>&1
import json, os, sys

for name in sorted(os.listdir(sys.argv[1])):
    with open(os.path.join(sys.argv[1], name), encoding="utf-8") as f:
        try:
            json.load(f)["schema_version"]
        except (ValueError, KeyError, TypeError) as e:
            print(name, repr(e))
END
)
equal "--json gives one document, also for broken files" "${said:0:600}" ""
