#!/usr/bin/env bash
# Installs what the tests need, builds, and runs every test. The last line is `N passed, N failed`.
set -eu
cd "$(dirname "$0")/.."
# shellcheck source=scripts/packages.sh
. scripts/packages.sh

install_packages "${build_packages[@]}" "${run_packages[@]}" libcmocka-dev clang clang-format shellcheck python3
make -s -j"$(nproc)" all
make -s lint
make -s -j"$(nproc)" tests
make -s check
