# shellcheck shell=bash
# What the tests of the command line share; sourced, not run. Works in the repository's folder.
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
tool=${ONNXTOOL:-build/onnxtool}
# shellcheck disable=SC2034 # the tests use them
digits=testdata/digits models=testdata/models
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
code=0

# tool ARGS...: runs it; $code, $tmp/out and $tmp/err are what came of it.
tool() {
    "$tool" "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
    code=$?
}

is_json() {
    python3 -m json.tool <"$1" >/dev/null 2>&1
}

# One condition: exit=N, out=REGEX, err=REGEX (extended), no_out=REGEX, no_err=REGEX, silent (nothing on stderr), silent_out, json.
holds() {
    case $1 in
    exit=*) [ "$code" -eq "${1#*=}" ] ;;
    out=*) grep -qE -- "${1#*=}" "$tmp/out" ;;
    err=*) grep -qE -- "${1#*=}" "$tmp/err" ;;
    no_out=*) ! grep -qE -- "${1#*=}" "$tmp/out" ;;
    no_err=*) ! grep -qE -- "${1#*=}" "$tmp/err" ;;
    silent) [ ! -s "$tmp/err" ] ;;
    silent_out) [ ! -s "$tmp/out" ] ;;
    json) is_json "$tmp/out" ;;
    *) false ;;
    esac
}

# gives NAME CONDITION...: the latest run of the tool did all that.
gives() {
    local name=$1 c
    shift
    for c in "$@"; do
        if ! holds "$c"; then
            echo "not ok $name: not $c (exit code $code)"
            sed 's/^/  out: /' "$tmp/out" | head -n 20
            sed 's/^/  err: /' "$tmp/err" | head -n 10
            return
        fi
    done
    echo "ok $name"
}

# json_at EXPRESSION: python's value of it, d being the JSON document of the latest run.
json_at() {
    python3 -c 'import json, sys
d = json.load(open(sys.argv[1]))
print(eval(sys.argv[2]))' "$tmp/out" "$1" 2>&1
}

# equal NAME GOT WANTED
equal() {
    if [ "$2" = "$3" ]; then
        echo "ok $1"
    else
        echo "not ok $1: '$2', expected '$3'"
    fi
}
