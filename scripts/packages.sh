#!/usr/bin/env bash
# install_packages PACKAGE...: installs the Debian packages that are not there yet; sourced by the two set-up scripts.
# Works as root, or as a user who has sudo. Says what to install by hand where neither is the case.
set -u

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

missing_packages() {
    local p
    for p in "$@"; do
        dpkg-query -W -f '${Status}\n' "$p" 2>/dev/null | grep -q 'ok installed' || printf '%s\n' "$p"
    done
}

install_packages() {
    local want
    if ! command -v apt-get >/dev/null; then
        echo "This is no Debian system. Install what stands for these packages, then run make:" >&2
        echo "  $*" >&2
        return 1
    fi
    mapfile -t want < <(missing_packages "$@")
    [ ${#want[@]} -gt 0 ] || return 0
    if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null; then
        echo "These packages are missing, and installing them needs root or sudo:" >&2
        echo "  apt-get install ${want[*]}" >&2
        return 1
    fi
    echo "Installing ${want[*]}"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq || return 1
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${want[@]}" \
        >"${TMPDIR:-/tmp}/onnxtool-apt.$$" 2>&1 || {
        cat "${TMPDIR:-/tmp}/onnxtool-apt.$$" >&2
        rm -f "${TMPDIR:-/tmp}/onnxtool-apt.$$"
        return 1
    }
    rm -f "${TMPDIR:-/tmp}/onnxtool-apt.$$"
}

# What the Makefile needs, and the libraries.
# shellcheck disable=SC2034 # read by the scripts that source this one
build_packages=(gcc make pkg-config libc6-dev protobuf-c-compiler libprotobuf-c-dev libcjson-dev libpopt-dev libzip-dev
    libpng-dev libjpeg-dev libtiff-dev libwebp-dev libopenjp2-7-dev)
# Faster large matrix products where it is there; opened at run time.
# shellcheck disable=SC2034
run_packages=(libopenblas0-pthread)
