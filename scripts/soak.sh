#!/usr/bin/env bash
# Runs the tests of reliability for long, and prints a row for the table of docs/reliability.md of each.
#
#   SOAK=1        share of the long run; 0.1 is a tenth
#   SOAK_SEED=0   moves every seed; an hour by default, so that no two runs are the same
set -euo pipefail
export SOAK=${SOAK:-1} SOAK_SEED=${SOAK_SEED:-$(($(date +%s) / 3600))} REQUIRE_SHIM=1
# Property tests on arbitrary bytes.
export PROPTEST_CASES=$(awk "BEGIN { print int(10000000 * $SOAK) + 256 }")

log=$(mktemp)
trap 'rm -f "$log"' EXIT
started=$(date +%s)
run() { cargo nextest run --cargo-profile release --locked --profile soak --no-fail-fast "$@" 2>&1 | tee -a "$log"; }
failed=0
run -p bigrain-tests -E 'test(/^(crash|power|failing_disk|full_disk|corruption|model|fuzz|pressure)::/)' || failed=1
# Many collections, and many points, to be opened.
run -p bigrain-tests --run-ignored only -E 'test(/^start::/)' || failed=1
run -p bigrain-storage -p bigrain-tools -E 'test(/any_bytes|never_panic|one_flipped_bit/)' || failed=1

echo
echo "$(git describe --always --dirty), SOAK=$SOAK, $(($(date +%s) - started)) s, $(nproc) cores, failed: $failed"
# Without the indent of the test runner; each line once, though it is printed twice.
sed -n 's/^ *\(| .* |\)$/\1/p' "$log" | sort -u
echo "| property tests on bytes | $PROPTEST_CASES cases each | $SOAK_SEED | | $(grep -cE 'PASS.*(any_bytes|never_panic|one_flipped_bit)' "$log" || true) passed lines |"
exit "$failed"
