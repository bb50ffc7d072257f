#!/usr/bin/env bash
# Fetches the Python packages whose functions are searched by their own comments, once, and prints the
# flags of `bigrain eval` that name them and Python's standard library.
#
#     bigrain eval $(scripts/code.sh)
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/env.sh
. scripts/env.sh

pins=benches/code/requirements.txt
folder="$BIGRAIN_CACHE/code"
wanted="$(sha256sum <"$pins")"
if [ "$(cat "$folder/pins" 2>/dev/null)" != "$wanted" ]; then
    rm -rf "$folder"
    python3 -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
        --target "$folder/packages" -r "$pins" >&2
    printf '%s\n' "$wanted" >"$folder/pins"
fi
printf -- '--code %s ' "$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"
printf -- '--code %s ' "$folder"/packages/{django,sqlalchemy,matplotlib}
echo
