//! How many there are of each, and how much each may hold.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use campanile_tests::manifests::{Manifests, Workload};
use serde_json::Value;

/// The settings of a Redis configuration, the last of each name.
fn redis(manifests: &Manifests, workload: Workload<'_>) -> Result<BTreeMap<String, String>> {
    let files = manifests.volume(workload, "config")?;
    let text = files.get("redis.conf").context("a configuration")?;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let settings = lines.filter_map(|line| line.split_once(' '));
    Ok(settings
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect())
}

/// Bytes, as Kubernetes (`2Gi`) or Redis (`1280mb`) writes them.
fn bytes(text: &str) -> Result<u64> {
    let digits = text
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(text.len());
    let unit = match &text[digits..] {
        "Mi" | "mb" => 1 << 20,
        "Gi" | "gb" => 1 << 30,
        other => anyhow::bail!("{other} is no unit"),
    };
    Ok(text[..digits].parse::<u64>()? * unit)
}

#[test]
fn redis_has_room_beyond_what_it_may_hold_and_evicts_nothing() -> Result<()> {
    for overlay in ["dev", "production", "own"] {
        let manifests = Manifests::overlay(overlay)?;
        for workload in manifests.workloads() {
            if !["shard", "replica", "store"].contains(&workload.component()) {
                continue;
            }
            let settings = redis(&manifests, workload)?;
            let setting = |key: &str| settings.get(key).with_context(|| key.to_owned());
            assert_eq!(setting("maxmemory-policy")?, "noeviction");
            let resources = &workload.container()?["resources"];
            let memory = |what: &str| resources[what]["memory"].as_str().context("an amount");
            // A node that runs out of memory first puts out those who have more than they asked for.
            if overlay != "dev" {
                assert_eq!(memory("requests")?, memory("limits")?, "{}", workload.name());
            }
            let limit = bytes(memory("limits")?)?;
            assert!(bytes(setting("maxmemory")?)? * 3 <= limit * 2);
            assert_eq!(setting("appendonly")?, "yes");
            let claims = &workload.0["spec"]["volumeClaimTemplates"];
            assert_eq!(claims[0]["metadata"]["name"], "data", "it is kept on a volume");
            let fsync = match workload.component() {
                "store" => "always",
                _ => "everysec",
            };
            assert_eq!(setting("appendfsync")?, fsync);
        }
    }
    Ok(())
}

#[test]
fn of_two_servers_neither_waits_for_the_other() -> Result<()> {
    let manifests = Manifests::overlay("production")?;
    // With a third one it could: the two that are left after a failover would be a primary and a replica.
    let shards = manifests
        .workloads()
        .into_iter()
        .filter(|it| ["shard", "replica"].contains(&it.component()));
    assert_eq!(shards.count(), 2);
    for workload in manifests.workloads() {
        for container in workload.containers() {
            for mount in container["volumeMounts"].as_array().into_iter().flatten() {
                let volume = mount["name"].as_str().context("a name")?;
                let files = manifests.volume(workload, volume).unwrap_or_default();
                let text: String = files.into_values().collect();
                assert!(!text.contains("min-replicas-to-write"), "{}", workload.name());
            }
        }
    }
    Ok(())
}

#[test]
fn there_are_as_many_as_each_overlay_promises() -> Result<()> {
    let replicas = |manifests: &Manifests, name: &str| -> Result<Value> {
        Ok(manifests.workload(name)?.0["spec"]["replicas"].clone())
    };
    let dev = Manifests::overlay("dev")?;
    assert_eq!(replicas(&dev, "campanile-gateway")?, 1);
    assert_eq!(replicas(&dev, "campanile-shard")?, 1);
    assert_eq!(dev.of_kind("HorizontalPodAutoscaler").count(), 0);

    let production = Manifests::overlay("production")?;
    let scaler = production.get("HorizontalPodAutoscaler", "campanile-gateway")?;
    assert_eq!(scaler["spec"]["minReplicas"], 3);
    for set in ["campanile-shard", "campanile-shard-replica", "campanile-sentinel"] {
        assert_eq!(replicas(&production, set)?, 3, "{set}");
    }

    let own = Manifests::overlay("own")?;
    assert_eq!(replicas(&own, "campanile-shard")?, 3);

    let existing = Manifests::overlay("existing-redis")?;
    let names: Vec<_> = existing.workloads().iter().map(|it| it.name()).collect();
    assert_eq!(names, ["campanile-gateway"]);
    Ok(())
}

#[test]
fn gateways_are_scaled_by_connections_and_cpu_before_they_are_full() -> Result<()> {
    for overlay in ["production", "existing-redis", "own"] {
        let manifests = Manifests::overlay(overlay)?;
        let scaler = &manifests.get("HorizontalPodAutoscaler", "campanile-gateway")?["spec"];
        let metrics = scaler["metrics"].as_array().context("metrics")?;
        assert!(metrics.iter().any(|it| it["resource"]["name"] == "cpu"));
        let connections = metrics
            .iter()
            .find(|it| it["pods"]["metric"]["name"] == "campanile_connections")
            .context("connections")?;
        let wanted = &connections["pods"]["target"]["averageValue"];
        let wanted: u64 = wanted.as_str().context("a value")?.parse()?;
        let files = manifests.volume(manifests.workload("campanile-gateway")?, "config")?;
        let file: Value = serde_yaml_ng::from_str(files.get("campanile.yaml").context("a file")?)?;
        let limit = file["client"]["connection_limit"].as_u64().context("a limit")?;
        assert!(wanted < limit, "{wanted} of {limit}");
    }
    Ok(())
}
