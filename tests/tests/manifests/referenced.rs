//! Every ConfigMap, Secret, key and volume that is named exists, and what exists is used.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use campanile_tests::manifests::{Manifests, Workload};
use serde_json::Value;

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Kind and name of what a workload's pods are given.
fn given(workload: Workload<'_>) -> BTreeSet<(&'static str, String)> {
    let mut given = BTreeSet::new();
    let mut add = |kind, name: &Value| {
        if let Some(name) = name.as_str() {
            given.insert((kind, name.to_owned()));
        }
    };
    for volume in list(&workload.pod()["volumes"]) {
        add("ConfigMap", &volume["configMap"]["name"]);
        add("Secret", &volume["secret"]["secretName"]);
    }
    for container in workload.containers() {
        for source in list(&container["envFrom"]) {
            add("ConfigMap", &source["configMapRef"]["name"]);
            add("Secret", &source["secretRef"]["name"]);
        }
        for variable in list(&container["env"]) {
            add("ConfigMap", &variable["valueFrom"]["configMapKeyRef"]["name"]);
            add("Secret", &variable["valueFrom"]["secretKeyRef"]["name"]);
        }
    }
    given
}

#[test]
fn what_is_named_exists_and_what_exists_is_named() -> Result<()> {
    for manifests in Manifests::all()? {
        let mut named = BTreeSet::new();
        for workload in manifests.workloads() {
            named.extend(given(workload));
        }
        let mut there = BTreeSet::new();
        for kind in ["ConfigMap", "Secret"] {
            for object in manifests.of_kind(kind) {
                // Which is Grafana's.
                if object["metadata"]["labels"].get("grafana_dashboard").is_none() {
                    let name = object["metadata"]["name"].as_str().context("a name")?;
                    there.insert((kind, name.to_owned()));
                }
            }
        }
        assert_eq!(named, there, "{}", manifests.name);
    }
    Ok(())
}

#[test]
fn every_variable_has_a_value() -> Result<()> {
    for manifests in Manifests::all()? {
        for workload in manifests.workloads() {
            for container in workload.containers() {
                // Also looks up each key, and each variable within another.
                let variables = manifests.environment(container, "pod-0")?;
                let names: BTreeSet<_> = variables.iter().map(|(name, _)| name).collect();
                assert_eq!(names.len(), variables.len(), "{}: {names:?}", workload.name());
            }
        }
    }
    Ok(())
}

#[test]
fn every_mount_has_its_volume() -> Result<()> {
    for manifests in Manifests::all()? {
        for workload in manifests.workloads() {
            let claims = list(&workload.0["spec"]["volumeClaimTemplates"]).map(|it| &it["metadata"]["name"]);
            let volumes: BTreeSet<_> = list(&workload.pod()["volumes"])
                .map(|it| &it["name"])
                .chain(claims)
                .filter_map(Value::as_str)
                .collect();
            let mounts = workload.containers().flat_map(|it| list(&it["volumeMounts"]));
            let mounted: BTreeSet<_> = mounts.filter_map(|it| it["name"].as_str()).collect();
            assert_eq!(mounted, volumes, "{}", workload.name());
        }
    }
    Ok(())
}

#[test]
fn everything_is_in_the_overlay_s_namespace() -> Result<()> {
    for (overlay, expected) in [
        ("dev", "campanile-dev"),
        ("production", "campanile"),
        ("existing-redis", "campanile"),
    ] {
        let manifests = Manifests::overlay(overlay)?;
        let namespace = manifests.get("Namespace", expected)?;
        let labels = &namespace["metadata"]["labels"];
        assert_eq!(labels["pod-security.kubernetes.io/enforce"], "restricted");
        let others = manifests
            .objects
            .iter()
            .filter(|object| object["kind"] != "Namespace");
        for object in others {
            assert_eq!(object["metadata"]["namespace"], expected, "{object}");
        }
    }
    Ok(())
}

#[test]
fn examples_say_that_they_are_to_be_replaced() -> Result<()> {
    for overlay in ["production", "existing-redis"] {
        let manifests = Manifests::overlay(overlay)?;
        for secret in manifests.of_kind("Secret") {
            let name = secret["metadata"]["name"].as_str().context("a name")?;
            if secret["type"] == "kubernetes.io/tls" {
                continue;
            }
            for (key, value) in manifests.data("Secret", name)? {
                assert!(value.contains("replace"), "{overlay}: {name}: {key}");
            }
        }
    }
    Ok(())
}
