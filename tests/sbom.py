#!/usr/bin/env python3
"""Writes what the `campanile` binary is made of as a CycloneDX 1.5 document, from Cargo.lock and what cargo knows of it.

usage: sbom.py [TARGET]      TARGET: such as x86_64-unknown-linux-musl; this machine's by default

The same Cargo.lock gives the same bytes: there is no time in it, unless SOURCE_DATE_EPOCH says which.
"""

import datetime
import json
import os
import pathlib
import subprocess
import sys
import tomllib
import urllib.parse
import uuid

ROOT = pathlib.Path(__file__).resolve().parent.parent
PACKAGE = "campanile-gateway"
CARGO = os.environ.get("CARGO", "cargo")


def run(*command):
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def host():
    rustc = os.environ.get("RUSTC", "rustc")
    lines = run(rustc, "-vV").splitlines()
    return next(line.removeprefix("host: ") for line in lines if line.startswith("host: "))


def checksums():
    """By name and version; a package of this workspace has none."""
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text())
    return {(it["name"], it["version"]): it.get("checksum") for it in lock["package"]}


def reachable(root, edges):
    found, todo = set(), [root]
    while todo:
        package = todo.pop()
        if package not in found:
            found.add(package)
            todo.extend(edges[package])
    return found


def reference(package):
    name = urllib.parse.quote(package["name"], safe="")
    version = urllib.parse.quote(package["version"], safe="")
    return f"pkg:cargo/{name}@{version}"


def licences(package):
    if package["license"]:
        # Crates from before SPDX expressions write "MIT/Apache-2.0".
        return [{"expression": package["license"].replace("/", " OR ")}]
    return [{"license": {"name": f"see {package['license_file']} of the crate"}}]


def component(package, checksum, shipped):
    own = package["source"] is None
    described = {
        "type": "library",
        "bom-ref": reference(package),
        "name": package["name"],
        "version": package["version"],
        # What only takes part in the build (macros, build scripts) is not in the binary.
        "scope": "required" if shipped else "excluded",
        "licenses": licences(package),
    }
    if not own:
        described["purl"] = reference(package)
        described["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    if package["repository"]:
        described["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    return described


def is_macro(package):
    return any("proc-macro" in target["kind"] for target in package["targets"])


def document(target):
    metadata = json.loads(
        run(CARGO, "metadata", "--locked", "--format-version", "1", "--filter-platform", target)
    )
    packages = {it["id"]: it for it in metadata["packages"]}
    shipped_edges, all_edges = {}, {}
    for node in metadata["resolve"]["nodes"]:
        kinds = {dep["pkg"]: {kind["kind"] for kind in dep["dep_kinds"]} for dep in node["deps"]}
        all_edges[node["id"]] = [it for it, kind in kinds.items() if kind & {None, "build"}]
        shipped_edges[node["id"]] = [
            it for it, kind in kinds.items() if None in kind and not is_macro(packages[it])
        ]
    root = next(it["id"] for it in packages.values() if it["name"] == PACKAGE)
    members, shipped = reachable(root, all_edges), reachable(root, shipped_edges)
    sums = checksums()
    order = sorted(members - {root}, key=lambda it: reference(packages[it]))
    components = [
        component(packages[it], sums[packages[it]["name"], packages[it]["version"]], it in shipped)
        for it in order
    ]
    binary = component(packages[root], None, True) | {"type": "application", "name": "campanile"}
    del binary["scope"]
    described = {"component": binary, "properties": [{"name": "cargo:target", "value": target}]}
    if "SOURCE_DATE_EPOCH" in os.environ:
        epoch = int(os.environ["SOURCE_DATE_EPOCH"])
        described["timestamp"] = datetime.datetime.fromtimestamp(epoch, datetime.UTC).isoformat()
    dependencies = [
        {
            "ref": reference(packages[it]),
            "dependsOn": sorted(reference(packages[dependency]) for dependency in all_edges[it]),
        }
        for it in [root, *order]
    ]
    content = {"metadata": described, "components": components, "dependencies": dependencies}
    number = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(content, sort_keys=True))
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{number}",
        "version": 1,
    } | content


def main():
    target = sys.argv[1] if len(sys.argv) > 1 else host()
    json.dump(document(target), sys.stdout, indent=2, ensure_ascii=False)
    print()


main()
