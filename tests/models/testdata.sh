#!/usr/bin/env bash
# Every small model with stored inputs and outputs gives them: at each level, on each set of kernels.
# shellcheck source=tests/tools/cli.sh
. "$(dirname "$0")/../tools/cli.sh"

n=0
for in in "$models"/*.in.npz; do
    model=${in%.in.npz}
    [ -e "$model.out.npz" ] || continue
    n=$((n + 1))
    for how in "-O none" "-O basic" "-O all" "-O all --cpu-mask c" "-O none --threads 2"; do
        # shellcheck disable=SC2086 # several words are meant
        tool run "$model.onnx" --input "$in" --expect "$model.out.npz" $how
        gives "${model##*/} $how" exit=0 'out=matches' 'no_out=differs'
    done
done
[ "$n" -ge 25 ] && echo "ok the models are there" || echo "not ok the models are there: only $n"

# What .npz cannot hold is in a folder.
for how in "-O none" "-O all"; do
    # shellcheck disable=SC2086 # several words are meant
    tool run $models/zipmap.onnx --input $models/zipmap.in.npz --expect $models/zipmap.out $how
    gives "zipmap $how" exit=0 'out=matches'
done
