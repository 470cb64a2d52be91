#!/bin/sh
# Checks the operator index: every `const struct op op_X` of src/ops is listed in ops.def, every listed one is
# defined, no name twice, lists sorted by domain and name. Prints what is wrong; exit 1 if anything is.
set -eu
cd "$(dirname "$0")/.."
LC_ALL=C
export LC_ALL

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
bad=0

sed -n 's/^const struct op op_\([A-Za-z0-9_]*\)[^A-Za-z0-9_].*/\1/p' src/ops/*.c | sort >"$tmp/defined"
sed -n -e 's/^OP(\([A-Za-z0-9_]*\))$/\1/p' \
    -e 's/^OPD(\([a-z_]*\), \([A-Za-z0-9_]*\))$/\1_\2/p' src/ops/ops.def >"$tmp/listed"
sort "$tmp/listed" >"$tmp/listed.sorted"

say() {
    echo "$1" >&2
    bad=1
}
for d in $(sort "$tmp/defined" | uniq -d); do
    say "src/ops: op_$d is defined twice"
done
for d in $(comm -23 "$tmp/defined" "$tmp/listed.sorted"); do
    say "src/ops/ops.def: op_$d is defined, but not listed"
done
for d in $(comm -13 "$tmp/defined" "$tmp/listed.sorted"); do
    say "src/ops/ops.def: $d is listed, but not defined"
done
sed -n 's/^OP(\(.*\))$/\1/p' src/ops/ops.def >"$tmp/names"
sort -c -u "$tmp/names" 2>"$tmp/err" || say "src/ops/ops.def: not sorted: $(cat "$tmp/err")"
# The order of prefixes is that of the domains behind them, which the unit test of the index checks.
# shellcheck disable=SC2013 # prefixes are words
for p in $(sed -n 's/^OPD(\([a-z_]*\),.*/\1/p' src/ops/ops.def | sort -u); do
    sed -n "s/^OPD($p, \(.*\))\$/\1/p" src/ops/ops.def >"$tmp/names"
    sort -c -u "$tmp/names" 2>"$tmp/err" || say "src/ops/ops.def: $p: not sorted: $(cat "$tmp/err")"
done
if grep -n '^OP(' src/ops/ops.def | tail -n 1 | cut -d: -f1 >"$tmp/last" &&
    grep -n '^OPD(' src/ops/ops.def | head -n 1 | cut -d: -f1 >"$tmp/first" &&
    [ -s "$tmp/first" ] && [ "$(cat "$tmp/last")" -gt "$(cat "$tmp/first")" ]; then
    say "src/ops/ops.def: OP lines come before OPD lines"
fi
[ "$bad" = 0 ] && echo "ops.def: $(wc -l <"$tmp/listed") operators"
exit "$bad"
