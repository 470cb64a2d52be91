# Made by onnxtool --generate bash; edit the tables in cmd/, not this file.
_onnxtool() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} cmd='' words='' files='' i
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        inspect | check-opset | run | bench) cmd=${COMP_WORDS[i]}; break ;;
        esac
    done
    case $cmd:$prev in
    :--list)
        words='ops providers passes targets machine' ;;
    :--generate)
        words='man bash zsh fish' ;;
    :--format)
        words='text json csv markdown' ;;
    :--color)
        words='auto always never' ;;
    inspect:--node | inspect:-n) return ;;
    inspect:--tensor | inspect:-t) return ;;
    inspect:--values) return ;;
    inspect:--limit) return ;;
    inspect:--fingerprint)
        words='structure weights' ;;
    inspect:--dim) return ;;
    inspect:--shape) return ;;
    inspect:--external-data-dir) files=-d ;;
    inspect:--format)
        words='text json csv markdown dot' ;;
    inspect:--color)
        words='auto always never' ;;
    check-opset:--target) return ;;
    check-opset:--provider) return ;;
    check-opset:--require) return ;;
    check-opset:--max-fallback) return ;;
    check-opset:--observed) files=-f ;;
    check-opset:--facts) files=-f ;;
    check-opset:--export) return ;;
    check-opset:--dim) return ;;
    check-opset:--shape) return ;;
    check-opset:--external-data-dir) files=-d ;;
    check-opset:--format)
        words='text json csv markdown' ;;
    check-opset:--color)
        words='auto always never' ;;
    run:--input) files=-f ;;
    run:--fill) return ;;
    run:--from) return ;;
    run:--to) return ;;
    run:--seed) return ;;
    run:--dim) return ;;
    run:--shape) return ;;
    run:--save) files=-f ;;
    run:--save-inputs) files=-f ;;
    run:--dump) return ;;
    run:--top) return ;;
    run:--labels) files=-f ;;
    run:--truth) files=-f ;;
    run:--feedback) return ;;
    run:--steps) return ;;
    run:--trace) files=-f ;;
    run:--expect) files=-f ;;
    run:--rtol) return ;;
    run:--atol) return ;;
    run:--max-outliers) return ;;
    run:--min-cosine) return ;;
    run:--min-sqnr) return ;;
    run:--min-top1) return ;;
    run:--optimize | run:-O)
        words='none basic all' ;;
    run:--provider) return ;;
    run:--threads) return ;;
    run:--skip-pass) return ;;
    run:--provider-option) return ;;
    run:--cpu-mask) return ;;
    run:--max-memory) return ;;
    run:--timeout) return ;;
    run:--external-data-dir) files=-d ;;
    run:--format)
        words='text json' ;;
    run:--color)
        words='auto always never' ;;
    bench:--warmup) return ;;
    bench:--warmup-time) return ;;
    bench:--runs) return ;;
    bench:--time) return ;;
    bench:--samples) return ;;
    bench:--streams) return ;;
    bench:--percentiles) return ;;
    bench:--input) files=-f ;;
    bench:--fill) return ;;
    bench:--from) return ;;
    bench:--to) return ;;
    bench:--seed) return ;;
    bench:--dim) return ;;
    bench:--shape) return ;;
    bench:--optimize | bench:-O) return ;;
    bench:--threads) return ;;
    bench:--provider) return ;;
    bench:--skip-pass) return ;;
    bench:--provider-option) return ;;
    bench:--cpu-mask) return ;;
    bench:--max-memory) return ;;
    bench:--timeout) return ;;
    bench:--vs) files=-f ;;
    bench:--vs-optimize)
        words='none basic all' ;;
    bench:--save-baseline) files=-f ;;
    bench:--baseline) files=-f ;;
    bench:--max-regression) return ;;
    bench:--fail-above) return ;;
    bench:--trace) files=-f ;;
    bench:--external-data-dir) files=-d ;;
    bench:--format)
        words='text json csv markdown' ;;
    bench:--color)
        words='auto always never' ;;
    *)
        case $cmd:$cur in
        :-*) words=' --list --generate --format --json --quiet -q --verbose -v --color --help --short-help -h --version -V' ;;
        inspect:-*) words=' --graph --node -n --tensor -t --values --initializers --layers --limit --infer-shapes --files --fingerprint --check --check-values --dim --shape --external-data-dir --allow-links --format --json --quiet -q --verbose -v --color --help --short-help -h --version -V' ;;
        check-opset:-*) words=' --target --provider --min --matrix --nodes --require --max-fallback --observed --facts --export --dim --shape --external-data-dir --allow-links --format --json --quiet -q --verbose -v --color --help --short-help -h --version -V' ;;
        run:-*) words=' --input --fill --from --to --seed --dim --shape --save --save-inputs --dump --top --labels --truth --check-finite --placement --profile --feedback --steps --trace --expect --rtol --atol --max-outliers --min-cosine --min-sqnr --min-top1 --optimize -O --provider --threads --skip-pass --strict-provider --provider-option --cpu-mask --max-memory --timeout --external-data-dir --allow-links --format --json --quiet -q --verbose -v --color --help --short-help -h --version -V' ;;
        bench:-*) words=' --warmup --warmup-time --runs --time --samples --streams --percentiles --input --fill --from --to --seed --dim --shape --optimize -O --threads --provider --skip-pass --strict-provider --provider-option --cpu-mask --max-memory --timeout --vs --vs-optimize --save-baseline --baseline --max-regression --fail-above --profile --ceilings --trace --external-data-dir --allow-links --format --json --quiet -q --verbose -v --color --help --short-help -h --version -V' ;;
        :*) words='help inspect check-opset run bench' ;;
        *) files=-f ;;
        esac ;;
    esac
    # shellcheck disable=SC2207,SC2086
    COMPREPLY=($(compgen $files -W "$words" -- "$cur"))
}
complete -o filenames -F _onnxtool onnxtool
