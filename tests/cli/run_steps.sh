#!/usr/bin/env bash
# run --feedback: models with a state, step by step.
# shellcheck source=tests/tools/cli.sh
. "$(dirname "$0")/../tools/cli.sh"

two=$models/two_inputs.onnx
cache=$models/cache.onnx

# npy SHAPE VALUES...: a .npy of floats
npy() {
    python3 - "$@" <<'P'
import struct, sys
path, shape, values = sys.argv[1], sys.argv[2], sys.argv[3:]
head = ("{'descr': '<f4', 'fortran_order': False, 'shape': %s, }" % shape).encode()
head += b" " * (-(len(head) + 11) % 64) + b"\n"
with open(path, "wb") as f:
    f.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head)
    f.write(struct.pack("<%df" % len(values), *map(float, values)))
P
}
# firsts NAME: the first values of an output, step by step
firsts() {
    json_at "[o['first_values'] for s in d['models'][0]['samples'] for o in s['outputs'] if o['name'] == '$1']"
}

# ---- a state of one size ----

tool run $two --feedback sum=left:0 --steps 4 --fill 'right=x/y=2:2' --shape left:0=1x3 --json
gives "a sum that runs on, from zeros" exit=0 json
equal "each step adds" "$(firsts sum)" "[[2, 2, 2], [4, 4, 4], [6, 6, 6], [8, 8, 8]]"
tool run $two --feedback sum=right=x/y --steps 2 --fill ones --shape left:0=1x3 --json
gives "an input with an equal sign, a first state that was asked for" exit=0 json
equal "begins at one" "$(firsts sum)" "[[2, 2, 2], [3, 3, 3]]"
tool run $two --feedback sum=left:0 --steps 2 --fill 'right=x/y=2:2' --shape left:0=1x3
gives "outputs that are fed back are not shown" exit=0 'out=^step 2 of 2' 'out=bigger' 'no_out=^ *sum'
tool run $two --feedback sum=left:0 --steps 2 --fill 'right=x/y=2:2' --shape left:0=1x3 -v
gives "but with -v" exit=0 'out=^ *sum +float\[1,3\]'

npy "$tmp/first.npy" '(1, 3)' 100 200 300
npy "$tmp/chunks.npy" '(3, 1, 3)' 1 2 3 10 20 30 0 0 1
tool run $two --feedback sum=left:0 --input left:0="$tmp/first.npy" --input right=x/y="$tmp/chunks.npy" --json
gives "a file with a leading axis holds the steps, another the first state" exit=0 json
equal "as many steps as pieces" "$(firsts sum)" "[[101, 202, 303], [111, 222, 333], [111, 222, 334]]"
tool run $two --feedback sum=left:0 --input left:0="$tmp/first.npy" --input right=x/y="$tmp/chunks.npy" --steps 4 --json
equal "the last piece stays" "$(firsts sum)" "[[101, 202, 303], [111, 222, 333], [111, 222, 334], [111, 222, 335]]"
tool run $two --input left:0="$tmp/first.npy" --input right=x/y="$tmp/chunks.npy"
gives "without steps a leading axis is a wrong rank" exit=3 'err=float\[3,1,3\]'

# ---- one that grows ----

npy "$tmp/x.npy" '(3, 1, 1)' 1 10 100
tool run $cache --feedback 'present.*=past.*' --dim p=0 --input x="$tmp/x.npy" --json --save "$tmp/steps"
gives "a cache that grows, names by pattern" exit=0 json
equal "the mask grows with it" "$(firsts total)" "[[1], [11], [111]]"
equal "both caches hold what went by" "$(firsts present.0.key) $(firsts present.1.key)" \
    "[[1], [1, 10], [1, 10, 100]] [[1], [1, 10], [1, 10, 100]]"
tool run $cache --feedback 'present.*=past.*' --dim p=0 --input x="$tmp/x.npy" --expect "$tmp/steps"
gives "each step is compared with its own" exit=0 'out=total +matches'
npy "$tmp/x2.npy" '(3, 1, 1)' 1 10 101
tool run $cache --feedback 'present.*=past.*' --dim p=0 --input x="$tmp/x2.npy" --expect "$tmp/steps"
gives "a difference in the last step" exit=1 'out=total +differs in sample 3'
tool run $cache --feedback 'present.0.*=past.0.*,present.1.key=past.1.key' --steps 2 --dim p=3 --dim s=2 --fill ones --json
gives "two steps of two from a cache of three" exit=0 json
equal "sizes over --dim" "$(firsts total)" "[[5], [7]]"
tool run $cache --feedback 'present.0.key=past.0.key' --steps 2 --dim p=3 --dim s=2 --fill ones --json
equal "a cache that is not fed back follows" "$(firsts total)" "[[5], [7]]"

# ---- refused ----

tool run $cache --feedback 'present.*=past.*.values' --steps 2
gives "an input that is not there" exit=2 "err=no input 'past.0.key.values'"
tool run $cache --feedback 'presents.*=past.*' --steps 2
gives "a pattern that matches nothing" exit=2 "err=no output 'presents.\*'"
tool run $cache --feedback 'present.0.kei=past.0.key' --steps 2
gives "a name that is nearly right" exit=2 "err=did you mean 'present.0.key'"
tool run $cache --feedback 'present.*=past.0.key' --steps 2
gives "two outputs into one input" exit=2 "err='past.0.key' already gets output 'present.0.key'"
tool run $cache --feedback present.0.key --steps 2
gives "no input named" exit=2 'err=expected OUTPUT=INPUT'
tool run $cache --steps 2
gives "--steps alone" exit=2 'err=--feedback'
tool run $two --feedback bigger=left:0 --steps 2 --fill ones
gives "a type that does not fit" exit=3 "err=input 'left:0' is bool"
tool run $models/default_input.onnx --feedback Y=b --steps 2
gives "a default needs a first value" exit=2 "err='b' has a default"
