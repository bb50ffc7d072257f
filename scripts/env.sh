# Where bigrain keeps what it builds and fetches; sourced by make, and by you before plain cargo:
#
#     . scripts/env.sh && cargo test -p bigrain-kernels --release
#
# Everything lies in one cache folder outside the checkout, so that another clone finds it.
export BIGRAIN_CACHE="${BIGRAIN_CACHE:-$HOME/.cache/bigrain}"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$BIGRAIN_CACHE/target}"
export BIGRAIN_MODEL="${BIGRAIN_MODEL:-$BIGRAIN_CACHE/models/all-MiniLM-L6-v2}"
# A classifier of pictures beside the model for texts; `scripts/setup.sh images` fetches it and pictures.
export BIGRAIN_IMAGE_MODEL="${BIGRAIN_IMAGE_MODEL:-$BIGRAIN_CACHE/models/efficientnet-lite0-minilm}"
export BIGRAIN_PICTURES="${BIGRAIN_PICTURES:-$BIGRAIN_CACHE/pictures/stamps}"
# What `make learn-demo` learns from and encodes with; `scripts/setup.sh learn` fetches both.
export BIGRAIN_WORDNET="${BIGRAIN_WORDNET:-$BIGRAIN_CACHE/wordnet}"
export BIGRAIN_STATIC_MODEL="${BIGRAIN_STATIC_MODEL:-$BIGRAIN_CACHE/models/wordllama-l2-256}"
# Only tests use this one; `scripts/setup.sh test` fetches it.
export BIGRAIN_Q4_MODEL="${BIGRAIN_Q4_MODEL:-$BIGRAIN_CACHE/models/paraphrase-MiniLM-L3-v2-q4}"
# A Python with clients of the service; `scripts/setup.sh clients` makes it.
export BIGRAIN_CLIENTS="${BIGRAIN_CLIENTS:-$BIGRAIN_CACHE/clients}"
# The compiler of CUDA kernels that `scripts/setup.sh test` fetches; one that is installed is found without it.
export BIGRAIN_NVRTC="${BIGRAIN_NVRTC:-$BIGRAIN_CACHE/nvrtc}"
if [ -e "$BIGRAIN_NVRTC" ]; then
    case ":${LD_LIBRARY_PATH:-}:" in
    *":$BIGRAIN_NVRTC:"*) ;;
    *) export LD_LIBRARY_PATH="$BIGRAIN_NVRTC${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" ;;
    esac
fi
# RocksDB's bindings are generated with libclang, which does not know gcc's own headers.
export LIBCLANG_PATH="${LIBCLANG_PATH:-$BIGRAIN_CACHE/libclang}"
if [ -z "${BINDGEN_EXTRA_CLANG_ARGS:-}" ] && command -v gcc >/dev/null; then
    BINDGEN_EXTRA_CLANG_ARGS="-isystem $(gcc -print-file-name=include)"
    export BINDGEN_EXTRA_CLANG_ARGS
fi
export PATH="$BIGRAIN_CACHE/tools/bin:$PATH"
