//! The kinds of the Prometheus Operator, for which Kubernetes has no schema, and the dashboard.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use campanile_tests::gateway::{Gateway, GatewayConfig};
use campanile_tests::manifests::{Manifests, selects};
use serde_json::Value;

fn keys(value: &Value) -> BTreeSet<&str> {
    let keys = value.as_object().into_iter().flatten();
    keys.map(|(key, _)| key.as_str()).collect()
}

fn list<'a>(value: &'a Value, what: &str) -> Result<&'a Vec<Value>> {
    value[what].as_array().with_context(|| format!("no list {what}"))
}

/// The two overlays for a cluster with the Operator.
fn watched() -> Result<[Arc<Manifests>; 2]> {
    Ok([
        Manifests::overlay("production")?,
        Manifests::overlay("existing-redis")?,
    ])
}

#[test]
fn the_service_monitor_finds_the_gateways_internal_port() -> Result<()> {
    for manifests in watched()? {
        let monitor = manifests.get("ServiceMonitor", "campanile")?;
        assert_eq!(monitor["apiVersion"], "monitoring.coreos.com/v1");
        assert_eq!(keys(&monitor["spec"]), BTreeSet::from(["endpoints", "selector"]));
        let selector = &monitor["spec"]["selector"];
        let found: Vec<_> = manifests
            .of_kind("Service")
            .filter(|service| selects(selector, &service["metadata"]["labels"]))
            .collect();
        assert_eq!(found.len(), 1, "{selector}");
        let endpoints = list(&monitor["spec"], "endpoints")?;
        assert_eq!(endpoints.len(), 1);
        for endpoint in endpoints {
            let known = BTreeSet::from(["interval", "path", "port", "scrapeTimeout"]);
            assert_eq!(keys(endpoint), known);
            let ports = list(&found[0]["spec"], "ports")?;
            assert!(ports.iter().any(|port| port["name"] == endpoint["port"]));
        }
    }
    Ok(())
}

#[tokio::test]
async fn where_the_service_monitor_looks_a_gateway_has_its_metrics() -> Result<()> {
    let gateway = Gateway::start(&GatewayConfig::default()).await?;
    for manifests in watched()? {
        let monitor = manifests.get("ServiceMonitor", "campanile")?;
        let path = monitor["spec"]["endpoints"][0]["path"]
            .as_str()
            .context("a path")?;
        let (status, body) = gateway.get(path).await?;
        assert_eq!(status, 200, "{path}");
        assert!(body.contains("campanile_build_info"), "{path}");
    }
    Ok(())
}

#[test]
fn rules_are_what_the_operator_takes() -> Result<()> {
    for manifests in watched()? {
        let mut names = BTreeSet::new();
        for rule in manifests.of_kind("PrometheusRule") {
            assert_eq!(rule["apiVersion"], "monitoring.coreos.com/v1");
            assert_eq!(keys(&rule["spec"]), BTreeSet::from(["groups"]));
            for group in list(&rule["spec"], "groups")? {
                let known = BTreeSet::from(["interval", "name", "rules"]);
                assert!(keys(group).is_subset(&known), "{:?}", keys(group));
                let name = group["name"].as_str().context("a group has a name")?;
                assert!(names.insert(name), "{name} is there twice");
                for rule in list(group, "rules")? {
                    well_formed(rule)?;
                }
            }
        }
        assert!(!names.is_empty());
    }
    Ok(())
}

fn well_formed(rule: &Value) -> Result<()> {
    let expression = rule["expr"].as_str().unwrap_or_default();
    assert!(!expression.trim().is_empty(), "{rule}");
    if rule.get("record").is_some() {
        let known = BTreeSet::from(["expr", "labels", "record"]);
        assert!(keys(rule).is_subset(&known), "{rule}");
        return Ok(());
    }
    let known = BTreeSet::from(["alert", "annotations", "expr", "for", "keep_firing_for", "labels"]);
    assert!(keys(rule).is_subset(&known), "{rule}");
    rule["alert"].as_str().context("an alert has a name")?;
    for (part, key) in [("labels", "severity"), ("annotations", "summary")] {
        assert!(rule[part][key].is_string(), "no {part}.{key}: {rule}");
    }
    Ok(())
}

#[test]
fn the_dashboard_is_one_that_grafana_picks_up() -> Result<()> {
    for manifests in watched()? {
        let holder = manifests.get("ConfigMap", "campanile-dashboard")?;
        assert_eq!(holder["metadata"]["labels"]["grafana_dashboard"], "1");
        let text = holder["data"]["dashboard.json"].as_str().context("a dashboard")?;
        let dashboard: Value = serde_json::from_str(text)?;
        assert!(!list(&dashboard, "panels")?.is_empty());
    }
    Ok(())
}
