#!/usr/bin/env bash
# Installs what the tests need and the machine lacks: redis-server, Chromium, kubectl, and in folders of their own the client
# SDKs and the schemas of Kubernetes. Does nothing when everything is there, so it is cheap to run before every test.
#
# usage: setup.sh [COMMAND…]: with commands, installs what brings those, each a package of the same name, and nothing else.
set -euo pipefail
cd "$(dirname "$0")"

say() { echo "setup: $*" >&2; }

# usage: need COMMAND DEBIAN_PACKAGE
missing_packages=()
need() {
    command -v "$1" > /dev/null || missing_packages+=("$2")
}

if [ "$#" -gt 0 ]; then
    for command in "$@"; do need "$command" "$command"; done
else
    need redis-server redis-server
    need chromium chromium
    need node nodejs
    need npm npm
    need python3 python3-venv
    need ip iproute2
    need kubectl kubernetes-client
fi

if [ "${#missing_packages[@]}" -gt 0 ]; then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
        say "please install: ${missing_packages[*]} (the names of Debian's packages)"
        exit 1
    fi
    say "installing ${missing_packages[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    # RUNLEVEL=1 keeps the package from starting a Redis of its own.
    RUNLEVEL=1 apt-get install -y -qq --no-install-recommends "${missing_packages[@]}" > /dev/null
fi

[ "$#" = 0 ] || exit 0

# usage: unless_current STAMP LOCK COMMAND...: runs the command when LOCK has changed since the last success.
unless_current() {
    local stamp="$1" lock="$2"
    shift 2
    if ! cmp -s "$stamp" "$lock"; then
        "$@"
        cp "$lock" "$stamp"
    fi
}

install_js() {
    say "installing the JavaScript SDK"
    (cd sdk/js && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
}

install_python() {
    say "installing the Python SDKs"
    rm -rf sdk/python/.venv
    python3 -m venv sdk/python/.venv
    sdk/python/.venv/bin/pip install --quiet --disable-pip-version-check --no-deps \
        --requirement sdk/python/requirements.txt
}

install_kubernetes() {
    say "installing the schemas of Kubernetes"
    rm -rf kubernetes/.venv
    python3 -m venv kubernetes/.venv
    kubernetes/.venv/bin/pip install --quiet --disable-pip-version-check --no-deps \
        --requirement kubernetes/requirements.txt
}

unless_current sdk/js/node_modules/.installed-lock sdk/js/package-lock.json install_js
unless_current sdk/python/.venv/installed-requirements sdk/python/requirements.txt install_python
unless_current kubernetes/.venv/installed-requirements kubernetes/requirements.txt install_kubernetes
