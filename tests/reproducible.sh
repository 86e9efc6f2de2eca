#!/usr/bin/env bash
# Builds campanile from two copies of the committed sources, in folders of different names, and compares the binaries byte by byte.
#
# usage: reproducible.sh [PROFILE]      PROFILE: release by default; takes two whole builds
set -euo pipefail
cd "$(dirname "$0")/.."
profile="${1:-release}"
folder="$profile"
[ "$profile" != dev ] || folder=debug

scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
unset CARGO_TARGET_DIR

for copy in "$scratch/a" "$scratch/somewhere/else"; do
    mkdir -p "$copy"
    git archive HEAD | tar -x -C "$copy"
    make --no-print-directory -C "$copy" release PROFILE="$profile"
done

first="$scratch/a/target/$folder/campanile"
second="$scratch/somewhere/else/target/$folder/campanile"
sha256sum "$first" "$second" | sed "s|$scratch/||"
cmp "$first" "$second"
if grep -qaF "$scratch" "$first"; then
    echo "the folder of the build is in the binary" >&2
    exit 1
fi
echo "the two are the same"
