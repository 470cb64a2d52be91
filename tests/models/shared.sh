#!/usr/bin/env bash
# Real models with stored outputs, when they lie beside the repository: at each level, number of threads, set of kernels.
# shellcheck source=tests/tools/cli.sh
. "$(dirname "$0")/../tools/cli.sh"

real=../shared/models
if [ ! -d $real ]; then
    echo "skip real models: $real is not there"
    exit 0
fi

# each FOLDER TEST: calls it with a name and the options, for every way of running.
each() {
    local level threads mask
    for level in none basic all; do
        for threads in 1 2; do
            "$2" "$1 -O $level --threads $threads" "$1" -O $level --threads $threads
        done
    done
    for mask in c avx2 all; do
        "$2" "$1 --cpu-mask $mask" "$1" --cpu-mask $mask
    done
}

# Stored outputs within rtol 1e-3 and atol 1e-5; labels, being integers, exactly.
stored() {
    local name=$1 folder=$real/$2 set
    shift 2
    for set in "$folder"/test_data_set_*; do
        tool run "$folder/model.onnx" --input "$set" --expect "$set" --rtol 1e-3 --atol 1e-5 "$@"
        gives "$name ${set##*/}" exit=0 silent 'out=matches'
    done
}

# Quantized: rounding to the neighbouring step in one layer moves later ones. Fair is a relative L2 error below 0.1
# (20 dB) and no element off by more than 6 steps of 0.153.
quantized() {
    local name=$1 folder=$real/$2 set
    shift 2
    for set in "$folder"/test_data_set_*; do
        tool run "$folder/model.onnx" --input "$set" --expect "$set" --rtol 0 --atol 0.9181 --min-sqnr 20 --top 1 "$@"
        gives "$name ${set##*/}" exit=0 silent 'out=matches'
    done
    tool run "$folder/model.onnx" --input "$folder/test_data_set_2" --top 1 "$@"
    gives "$name best class" exit=0 'out=top +446 '
}

for folder in "$real"/*/; do
    folder=${folder%/}
    tool run "$folder/model.onnx" --check-finite
    gives "${folder##*/} on made-up inputs" exit=0 'err=is made up'
    case ${folder##*/} in
    mobilenet_int8_qdq) each "${folder##*/}" quantized ;;
    *) each "${folder##*/}" stored ;;
    esac
done
