#!/usr/bin/env bash
# Makes the Python environments in which bigrain is compared with other engines, once.
#
#     scripts/peers.sh             the engines; prints nothing when they are there
#     scripts/peers.sh encode      onnxruntime, for `bigrain encode --bench --against onnxruntime`
#
# They lie in the cache and are made anew when the pins change.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/env.sh
. scripts/env.sh

say() { printf 'peers: %s\n' "$*" >&2; }

# environment NAME REQUIREMENTS
environment() {
    local folder="$BIGRAIN_CACHE/$1" pins
    pins="$(sha256sum <"$2")"
    [ "$(cat "$folder/pins" 2>/dev/null)" = "$pins" ] && return
    say "installing $2"
    rm -rf "$folder"
    python3 -m venv "$folder"
    # Some packages come as source; what they are built with is not pinned.
    "$folder/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r "$2" || return
    printf '%s\n' "$pins" >"$folder/pins"
}

mkdir -p "$BIGRAIN_CACHE"
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || {
    say "error: Python 3.11 or newer is needed"
    exit 1
}
if [ "${1:-}" = encode ]; then
    environment peers-encode benches/peers/requirements-encode.txt || {
        say "error: onnxruntime could not be installed" && exit 1
    }
    exit
fi
environment peers benches/peers/requirements.txt || {
    say "error: the engines could not be installed" && exit 1
}
# Its package is old and fits few machines: without it the comparison says so and goes on.
environment peers-old benches/peers/requirements-old.txt || say "DiskANN cannot be installed here"
