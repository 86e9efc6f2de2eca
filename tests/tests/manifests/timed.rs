//! Times that depend on each other fit.

use std::time::Duration;

use anyhow::{Context as _, Result};
use campanile_common::HumanDuration;
use campanile_tests::manifests::{Manifests, Workload};
use serde_json::Value;

/// A duration of the gateways' configuration: a variable's, or else the file's.
fn setting(manifests: &Manifests, key: &str) -> Result<Duration> {
    let gateway = manifests.workload("campanile-gateway")?;
    let name = format!("CAMPANILE_{}", key.replace('.', "_").to_uppercase());
    let variables = manifests.environment(gateway.container()?, "pod-0")?;
    if let Some((_, value)) = variables.into_iter().find(|(variable, _)| *variable == name) {
        return duration(&value);
    }
    let files = manifests.volume(gateway, "config")?;
    let file: Value = serde_yaml_ng::from_str(files.get("campanile.yaml").context("a file")?)?;
    let value = file.pointer(&format!("/{}", key.replace('.', "/")));
    let value = value.and_then(Value::as_str);
    duration(value.with_context(|| format!("{}: no {key}", manifests.name))?)
}

fn duration(text: &str) -> Result<Duration> {
    let parsed: HumanDuration = serde_json::from_value(Value::from(text))?;
    Ok(parsed.get())
}

fn seconds(value: &Value) -> Result<Duration> {
    value
        .as_u64()
        .map(Duration::from_secs)
        .with_context(|| format!("{value} is no number of seconds"))
}

fn grace(workload: Workload<'_>) -> Result<Duration> {
    seconds(&workload.pod()["terminationGracePeriodSeconds"])
}

#[test]
fn a_gateway_ends_by_itself_before_it_is_killed() -> Result<()> {
    for manifests in Manifests::all()? {
        let gateway = manifests.workload("campanile-gateway")?;
        let timeout = setting(&manifests, "shutdown.timeout")?;
        let (delay, spread) = (
            setting(&manifests, "shutdown.delay")?,
            setting(&manifests, "shutdown.spread")?,
        );
        assert!(delay + spread < timeout, "{}", manifests.name);
        // What Kubernetes counts begins a little earlier.
        let margin = Duration::from_secs(10);
        assert!(timeout + margin <= grace(gateway)?, "{}", manifests.name);
        let container = gateway.container()?;
        assert!(
            container.get("lifecycle").is_none(),
            "a hook's time would count as well"
        );
        // It is known not to be ready before it turns anybody away.
        let probe = &container["readinessProbe"];
        let period = seconds(&probe["periodSeconds"])?;
        let failures = u32::try_from(probe["failureThreshold"].as_u64().context("a threshold")?)?;
        assert!(period * failures < delay, "{}", manifests.name);
    }
    Ok(())
}

#[test]
fn one_gateway_s_clients_have_come_back_before_the_next_one_ends() -> Result<()> {
    for overlay in ["production", "existing-redis", "own"] {
        let manifests = Manifests::overlay(overlay)?;
        let gateway = manifests.workload("campanile-gateway")?;
        let spec = &gateway.0["spec"];
        assert_eq!(spec["strategy"]["rollingUpdate"]["maxUnavailable"], 0);
        assert_eq!(spec["strategy"]["rollingUpdate"]["maxSurge"], 1);
        let settled = seconds(&spec["minReadySeconds"])?;
        assert!(settled > setting(&manifests, "shutdown.spread")?);
    }
    Ok(())
}

#[test]
fn a_shard_s_hook_ends_before_the_pod_is_killed() -> Result<()> {
    for overlay in ["dev", "production", "own"] {
        let manifests = Manifests::overlay(overlay)?;
        for workload in manifests.workloads() {
            let container = workload.container()?;
            if container.get("lifecycle").is_none() {
                continue;
            }
            let variables = manifests.environment(container, "campanile-shard-0")?;
            let found = variables.iter().find(|(name, _)| name == "DRAIN_SECONDS");
            let (_, drain) = found.with_context(|| format!("{}: no bound", workload.name()))?;
            let drain = Duration::from_secs(drain.parse()?);
            // Redis has the rest for an orderly end.
            let rest = Duration::from_secs(30);
            assert!(drain + rest <= grace(workload)?, "{}", workload.name());
        }
    }
    Ok(())
}

#[test]
fn a_shard_that_was_scaled_away_is_forgotten_before_it_is_taken_for_lost() -> Result<()> {
    for overlay in ["own", "production"] {
        let manifests = Manifests::overlay(overlay)?;
        let gone = setting(&manifests, "cluster.dns.gone_after")?;
        let interval = setting(&manifests, "cluster.dns.interval")?;
        // What may be remembered of an answer on its way, and a few questions.
        let margin = Duration::from_secs(5) + 3 * interval;
        assert!(gone + margin < setting(&manifests, "cluster.evict_after")?);
    }
    Ok(())
}

#[test]
fn sentinels_forget_a_shard_long_after_gateways_have_given_it_up() -> Result<()> {
    let manifests = Manifests::overlay("production")?;
    let sentinel = manifests.workload("campanile-sentinel")?;
    let variables = sentinel
        .containers()
        .map(|it| manifests.environment(it, "campanile-sentinel-0"));
    let variables = variables.collect::<Result<Vec<_>>>()?.concat();
    let forget = variables.iter().find(|(name, _)| name == "FORGET_SECONDS");
    let (_, forget) = forget.context("a time")?;
    assert!(Duration::from_secs(forget.parse()?) > 10 * setting(&manifests, "cluster.evict_after")?);
    Ok(())
}
