#!/usr/bin/env bash
# From a bare Debian 12 to an answer: installs the packages, builds, looks into a model and runs it on a picture of a
# handwritten digit.
set -eu
cd "$(dirname "$0")/.."
# shellcheck source=scripts/packages.sh
. scripts/packages.sh

install_packages "${build_packages[@]}" "${run_packages[@]}"
make -s -j"$(nproc)" all

tool=build/onnxtool
show() {
    printf '\n$ %s\n' "$*"
    "$@"
}
show "$tool" inspect testdata/digits/digits.onnx
show "$tool" run testdata/digits/digits.onnx --input testdata/digits/seven.npy --top 3 --labels testdata/digits/labels.txt

top=$("$tool" run testdata/digits/digits.onnx --input testdata/digits/seven.npy --top 1 \
    --labels testdata/digits/labels.txt)
case $top in
*seven*) printf '\nThe picture is a handwritten seven, and the model says so. The tool is %s\n' "$tool" ;;
*)
    printf '\nThe picture is a handwritten seven, but the model did not say so: something is wrong.\n' >&2
    exit 1
    ;;
esac
