#!/usr/bin/env bash
# The option layer: help and parser agree, mistakes are explained, generated files are up to date.
# shellcheck source=tests/tools/cli.sh
. "$(dirname "$0")/../tools/cli.sh"
model=$digits/digits.onnx

# ---- help, manual pages and completions come from the tables that the parser reads

commands=$("$tool" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z-]*\) .*/\1/p')
equal "there are commands" "$(echo "$commands" | grep -cE '^(inspect|run)$')" 2

# known COMMAND OPTION [VALUE]: the parser has the option.
known() {
    "$tool" "$@" --no-such-option-either </dev/null >"$tmp/out" 2>"$tmp/err"
    ! grep -qE "has no option $2( |$)" "$tmp/err"
}

for command in $commands; do
    tool "$command" --help
    gives "$command --help" exit=0 silent "out=^usage: onnxtool $command "
    grep -oE '^  (-.|  ).? --[a-z0-9-]+' "$tmp/out" | grep -oE -- '--[a-z0-9-]+' | sort >"$tmp/help"
    equal "$command --help lists options" "$([ "$(wc -l <"$tmp/help")" -gt 8 ] && echo yes)" yes
    while read -r option; do
        known "$command" "$option" 1 || echo "not ok $command: $option is in the help, the parser does not know it"
        grep -qF -- "$(printf '%s' "$option" | sed 's/-/\\-/g')" "man/onnxtool-$command.1" ||
            echo "not ok $command: $option is not in the manual page"
        grep -qE -- "^        $command:.* ${option}[ ']" man/onnxtool.bash ||
            echo "not ok $command: $option is not completed"
    done <"$tmp/help"
    echo "ok $command: help, parser, manual page and completions agree"
done

tool run -h
gives "the short help begins with a sentence" exit=0 'out=^Runs models '
equal "no doubled marks in manual pages" "$(grep -hE '([?!]|[^.]\.)\.$' man/*.1)" ""
for what in man bash zsh fish; do
    tool --generate $what "$tmp/man"
    gives "--generate $what" exit=0 silent
done
if diff -r man "$tmp/man" >"$tmp/diff"; then
    echo "ok man/ is what the option tables give"
else
    echo "not ok man/ is what the option tables give (make man)"
    head -n 20 "$tmp/diff" | sed 's/^/  /'
fi
bash -n man/onnxtool.bash && echo "ok bash reads its completions" || echo "not ok bash reads its completions"

# ---- mistakes

tool inspekt $model
gives "a command misspelt" exit=2 'err=did you mean inspect' no_out=.
tool inspect $model --jsno
gives "an option misspelt" exit=2 'err=did you mean --json' 'err=^usage: onnxtool inspect' no_out=.
tool run $model --foo
gives "an option that is like none" exit=2 'err=--help lists them' 'no_err=did you mean'
for args in "--json --nonsense" "--nonsense --json" "--format json --values x" "--json"; do
    # shellcheck disable=SC2086 # several words
    tool inspect $args
    gives "JSON of a usage error: $args" exit=2 json 'out="exit_code": 2' 'out="error": '
done
tool inspect
gives "no model" exit=2 err=missing 'err=^usage:'
tool
gives "nothing at all" exit=2 'err=^usage:' no_out=.
tool run $model --top
gives "an option without its value" exit=2 'err=--top needs a value'
tool inspect --json=yes $model
gives "a value for an option without" exit=2 'err=takes no value'
for bad in -1 1.5 0x10 1e3 99999999999999999999 '' ten ' 3'; do
    tool inspect --values "$bad" --tensor fc.bias $model
    gives "--values '$bad'" exit=2 err=--values
done
for bad in 1KB 1.5G K -1M 99999999999G; do
    tool run --max-memory "$bad" $model
    gives "--max-memory $bad" exit=2 err=--max-memory
done
tool inspect --format jsn $model
gives "a choice misspelt" exit=2 'err=did you mean json'
tool run --format dot $model
gives "a format that the command has not" exit=2 'err=--format'

# ---- where options stand

tool $model --json inspect
gives "options and models before the command" exit=2
tool --json inspect $model
gives "an option before the command" exit=0 json
tool inspect -- --json
gives "-- ends the options" exit=3 'err=--json: no such file'
tool inspect - </dev/null
gives "- is standard input" exit=3 'err=empty|not an ONNX model|standard input'

# ---- streams and exit codes

for flag in -V --version; do
    tool $flag
    gives "$flag" exit=0 silent 'out=^onnxtool [0-9]' 'out=protobuf-c' 'out=^newest opset +[0-9]+'
done
tool help inspect
gives "help COMMAND" exit=0 'out=^usage: onnxtool inspect'
for list in ops providers passes machine; do
    tool --list $list
    gives "--list $list" exit=0 silent out=.
    tool --list $list --json
    gives "--list $list --json" exit=0 silent json
done
tool inspect --json $model /nonexistent.onnx
gives "the highest code of several models; JSON is whole" exit=3 json 'out="exit_code": 3' 'out="error": "/nonexistent'
tool inspect $model --color always
gives "colour when asked for" "out=$(printf '\033')"
tool inspect $model
gives "no colour into a file" "no_out=$(printf '\033')"

(
    set -o pipefail
    "$tool" --list ops | head -n 1 >/dev/null
) && echo "ok a closed pipe is success" || echo "not ok a closed pipe is success"
if [ -w /dev/full ]; then
    "$tool" --list ops >/dev/full 2>"$tmp/err"
    code=$?
    gives "a full disk is the machine's failure" exit=5 'err=No space'
fi
