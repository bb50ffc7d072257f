#!/usr/bin/env bash
# Serves the documented functions of this build's own sources on a port of its own, runs the examples in Python on it, and
# has a headless browser look at the console. `make demo-service` builds and fetches what this needs.
#
#     scripts/demo_service.sh [DIR]    screenshots go to DIR; screenshots/ without it
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/env.sh
. scripts/env.sh

shots="$(realpath -m "${1:-screenshots}")"
bigrain="$CARGO_TARGET_DIR/release/bigrain"
python="$BIGRAIN_CLIENTS/bin/python"
data="$BIGRAIN_CACHE/demo-service"
log="$(mktemp)"
say() { printf '\n== %s\n' "$*"; }

say "indexing"
"$bigrain" --data "$data" demo --cap 2000 >"$log"
head -8 "$log"

say "serving"
coproc SERVER { exec "$bigrain" --data "$data" serve --listen 127.0.0.1:0 2>"$log"; }
server=$SERVER_PID
trap 'kill "$server" 2>/dev/null; rm -f "$log"' EXIT
if ! read -r line <&"${SERVER[0]}"; then
    cat "$log" >&2
    exit 1
fi
url="http://${line#listening on }"
echo "console, HTTP, gRPC and the Qdrant protocol: $url"

for example in with_qdrant_client with_langchain with_openai with_grpc; do
    say "examples/python/$example.py"
    "$python" "examples/python/$example.py" "$url"
done

say "the console"
if command -v chromium-headless-shell chromium google-chrome >/dev/null; then
    (cd api/tests/clients && PYTHONDONTWRITEBYTECODE=1 "$python" console.py "$url" functions \
        "how do I wait for a child process" --shots "$shots")
    echo "screenshots: $shots"
else
    echo "not looked at: there is no headless browser (apt-get install chromium-headless-shell)"
fi
