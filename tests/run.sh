#!/usr/bin/env bash
# Runs `cargo test` with the given arguments to the end, whatever fails, and closes with one line for all of it.
set -uo pipefail
cd "$(dirname "$0")/.."

# Property tests draw the same cases each time; another number draws others.
export PROPTEST_RNG_SEED="${PROPTEST_RNG_SEED:-1}"

output="$(mktemp)"
trap 'rm -f "$output"' EXIT

cargo test --locked --no-fail-fast "$@" 2>&1 | tee "$output"
status="${PIPESTATUS[0]}"

failures="$(sed -nE 's/^test (.*) \.\.\. FAILED$/  \1/p' "$output")"
[ -z "$failures" ] || printf '\nfailed:\n%s\n' "$failures"

# "test result: ok. 12 passed; 0 failed; 1 ignored; ..." once per test binary
awk '/^test result:/ { passed += $4; failed += $6; ignored += $8 }
     END { printf "\n%d passed, %d failed, %d skipped\n", passed, failed, ignored }' "$output"
exit "$status"
