#!/usr/bin/env bash
# Runs the tests given as arguments and counts them; `make check` calls it.
#
#   *.sh             a script that prints `ok NAME`, `not ok NAME ...` or `skip NAME why`, a line a test
#   .../checkkern    run with --quick; the same lines, or its exit status is one test
#   anything else    a cmocka program
#
# The last line is `N passed, N failed` (and `, N skipped` if any). A program that crashes, says nothing, or fails
# without naming a test counts as one failed test. Scripts find the binary in $ONNXTOOL, the build folder in $BUILD.
set -u
cd "$(dirname "$0")/.." || exit 1

BUILD=${BUILD:-build}
case $BUILD in
/*) ;;
*) BUILD=$PWD/$BUILD ;;
esac
ONNXTOOL=${ONNXTOOL:-$BUILD/onnxtool}
export BUILD ONNXTOOL
# A hung test must not hang the run; the sanitizers are slow.
limit=${TEST_TIMEOUT:-900}

passed=0 failed=0 skipped=0
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT

count() {
    grep -cE "$1" "$log"
}

# note_result NAME STATUS: adds up the lines in $log and shows what a reader needs to see of them.
note_result() {
    local name=$1 status=$2 ok bad skip why=
    # TAP, and cmocka with it, marks a skipped test on an ok line or on a not ok one.
    skip=$(count '^skip |^(not )?ok .*# SKIP')
    ok=$(($(count '^ok ') - $(count '^ok .*# SKIP')))
    bad=$(($(count '^not ok ') - $(count '^not ok .*# SKIP')))
    local planned
    planned=$(sed -nE 's/^1\.\.([0-9]+).*/\1/p' "$log" | head -n 1)

    if [ "$status" -eq 124 ]; then
        why="ran longer than $limit s"
    elif [ "$status" -gt 128 ]; then
        why="killed by signal $((status - 128))"
    elif [ "$bad" -eq 0 ] && [ "$status" -ne 0 ]; then
        why="exit status $status"
    elif [ $((ok + bad + skip)) -eq 0 ]; then
        why="reported no test"
    elif [ -n "$planned" ] && [ "$planned" -gt $((ok + bad + skip)) ]; then
        why="stopped before its last test"
    fi
    [ -z "$why" ] || bad=$((bad + 1))
    passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + skip))
    if [ "$bad" -gt 0 ]; then
        printf 'FAIL  %s%s\n' "$name" "${why:+ ($why)}"
        # Passed tests are noise here; what cmocka says of a failure is in comment lines.
        grep -vE '^ok ' "$log" | tail -n 60 | sed 's/^/      /'
    else
        printf 'PASS  %s (%d%s)\n' "$name" "$ok" "$([ "$skip" -eq 0 ] || printf ', %d skipped' "$skip")"
        grep -E '^skip |# SKIP' "$log" | sed 's/^/      /'
    fi
}

for test in "$@"; do
    if [ ! -x "$test" ]; then
        printf 'not ok %s is not executable\n' "$test" >"$log"
        note_result "$test" 1
        continue
    fi
    case $test in
    */checkkern)
        timeout "$limit" "$test" --quick >"$log" 2>&1 </dev/null
        status=$?
        # One that reports in its own words is one test.
        if [ "$(count '^(not )?ok |^skip ')" -eq 0 ] && [ "$status" -eq 0 ]; then
            echo "ok checkkern" >>"$log"
        fi
        ;;
    *.sh)
        timeout "$limit" "$test" >"$log" 2>&1 </dev/null
        status=$?
        ;;
    *)
        CMOCKA_MESSAGE_OUTPUT=TAP timeout "$limit" "$test" >"$log" 2>&1 </dev/null
        status=$?
        ;;
    esac
    note_result "${test#"$BUILD"/}" "$status"
done

if [ "$skipped" -gt 0 ]; then
    echo "$passed passed, $failed failed, $skipped skipped"
else
    echo "$passed passed, $failed failed"
fi
[ "$failed" -eq 0 ]
