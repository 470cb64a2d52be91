#!/usr/bin/env bash
# Sequences, optionals, maps and strings go in and come out.
# shellcheck source=tests/tools/cli.sh
. "$(dirname "$0")/../tools/cli.sh"

types=$models/types.onnx
values=testdata/values

# ---- sequences ----

tool run $types --to seq_out --save "$tmp/kept" --save-inputs "$tmp/in"
gives "a sequence is made up, handed on and kept" exit=0 "err=input 'seq' is made up" 'out=^ +2 items' 'out=float\[1,3\] +-?[0-9]'
[ -s "$tmp/kept/seq_out.pb" ] && [ -s "$tmp/in/seq.pb" ] && echo "ok in .pb files" || echo "not ok in .pb files"
tool run $types --to seq_out --input "$tmp/in" --expect "$tmp/kept" --rtol 0 --atol 0
gives "and read and compared" exit=0 silent 'out=seq_out +matches'
tool run $types --to seq_out --input seq="$tmp/kept/seq_out.pb" --expect seq_out="$tmp/in/seq.pb" --rtol 0 --atol 0
gives "by name too" exit=0 silent 'out=seq_out +matches'
tool run $types --to seq_out --seed 5 --expect "$tmp/kept"
gives "a difference is in an item" exit=1 'out=seq_out +differs: item 0: 3 of 3 elements differ'
tool run $types --to seq_out --save "$tmp/out.npz"
gives "no archive holds a sequence" exit=4 "err='seq_out' is seq\(float\)" 'err=folder'
tool run $types --to seq_out --input seq=$digits/test_images.npy
gives "a tensor is no sequence" exit=3 "err=input 'seq' in the file is float" 'err=takes seq\(float\[n,3\]\)'
tool run $types --to seq_out --input seq=$values/map.pb
gives "a map is no sequence" exit=3

# ---- optionals ----

tool run $types --to opt_out --save "$tmp/opt" --save-inputs "$tmp/opt_in"
gives "an optional is made up, present" exit=0 "err=input 'opt' is made up: optional" 'out=opt_out +float\[1,3\]'
tool run $types --to opt_out --input "$tmp/opt_in" --expect "$tmp/opt" --rtol 0 --atol 0
gives "an optional from a file" exit=0 silent 'out=opt_out +matches'

# ---- maps ----

tool run $models/zipmap.onnx --input $models/zipmap.in.npz --expect $models/zipmap.out --save "$tmp/maps"
gives "maps match item by item" exit=0 silent 'out=Z +matches' 'out="no": 0.25 +"yes": 0.75'
cmp -s "$tmp/maps/Z.pb" $models/zipmap.out/Z.pb && echo "ok maps are written as onnx writes them" ||
    echo "not ok maps are written as onnx writes them"
tool run $models/zipmap.onnx --fill ones --dim n=2 --expect $models/zipmap.out
gives "a map that differs" exit=1 'out=Z +differs: item 0: item 0: 1 of 1 elements'

# ---- what the file of opaque things cannot ----

tool run $types
gives "an opaque input cannot be made up" exit=2 "err=input 'opaque' is opaque"
