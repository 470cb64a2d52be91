#!/usr/bin/env bash
# Every command of onnxtool-opset-advice(7) runs, and prints what its line promises (cmd/advice.c).
# shellcheck source=tests/tools/cli.sh
. "$(dirname "$0")/../tools/cli.sh"

# One "command" and "what it prints" a line, out of the table.
tr '\n' ' ' <cmd/advice.c | grep -oE '"onnxtool check-opset [^"]*", *"[^"]*"' >"$tmp/rows"
rows=$(wc -l <"$tmp/rows")
if [ "$rows" -lt 10 ]; then
    echo "not ok the table of advice has $rows commands"
    exit 1
fi
page=$(grep -c '^onnxtool check' man/onnxtool-opset-advice.7)
equal "the manual page has all of them" "$page" "$rows"

while IFS='"' read -r _ command _ prints _; do
    # shellcheck disable=SC2086 # words
    set -- ${command#onnxtool }
    args=()
    for word in "$@"; do
        case $word in
        *.onnx) args+=("testdata/targets/$word") ;;
        *) args+=("$word") ;;
        esac
    done
    tool "${args[@]}"
    gives "$command" "out=$prints" silent
    [ "$code" -le 1 ] || echo "not ok $command: exit code $code"
done <"$tmp/rows"
