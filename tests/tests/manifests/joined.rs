//! What points at something by labels, names and ports finds it.

use anyhow::{Context as _, Result};
use campanile_tests::manifests::{Manifests, Workload, selects};
use serde_json::{Value, json};

/// What a selector finds.
fn found<'a>(manifests: &'a Manifests, selector: &Value) -> Vec<Workload<'a>> {
    let all = manifests.workloads().into_iter();
    all.filter(|workload| selects(selector, workload.labels()))
        .collect()
}

fn names(workloads: &[Workload<'_>]) -> Vec<String> {
    workloads.iter().map(|it| it.name().to_owned()).collect()
}

#[test]
fn workloads_select_their_own_pods_and_no_others() -> Result<()> {
    for manifests in Manifests::all()? {
        let all = manifests.workloads();
        assert!(!all.is_empty());
        for workload in all {
            let spec = &workload.0["spec"];
            assert_eq!(
                names(&found(&manifests, &spec["selector"])),
                [workload.name()],
                "{}",
                manifests.name
            );
            for spread in workload.pod()["topologySpreadConstraints"]
                .as_array()
                .into_iter()
                .flatten()
            {
                let selected = found(&manifests, &spread["labelSelector"]);
                assert_eq!(names(&selected), [workload.name()], "{spread}");
            }
        }
    }
    Ok(())
}

#[test]
fn services_lead_to_ports_that_exist() -> Result<()> {
    for manifests in Manifests::all()? {
        let mut services = 0;
        for service in manifests.of_kind("Service") {
            services += 1;
            let spec = &service["spec"];
            let behind = found(&manifests, &json!({ "matchLabels": spec["selector"] }));
            // The list of shards has both sets of a deployment with replicas.
            let expected = match (manifests.name.as_str(), service["metadata"]["name"].as_str()) {
                ("production", Some("campanile-shards")) => 2,
                _ => 1,
            };
            assert_eq!(behind.len(), expected, "{service}");
            let ports: Vec<_> = behind.iter().flat_map(|workload| workload.ports()).collect();
            for port in spec["ports"].as_array().context("a service has ports")? {
                let protocol = port["protocol"].as_str().context("a port has a protocol")?;
                let leads = ports
                    .iter()
                    .any(|(name, _, of)| port["targetPort"] == *name && *of == protocol);
                assert!(leads, "{port}: {ports:?}");
            }
        }
        assert!(services >= 3, "{}: clients, UDP, internal", manifests.name);
    }
    Ok(())
}

#[test]
fn every_pod_of_a_set_has_a_name_from_before_it_is_ready() -> Result<()> {
    for overlay in ["dev", "production", "own"] {
        let manifests = Manifests::overlay(overlay)?;
        let sets: Vec<_> = manifests.of_kind("StatefulSet").map(Workload).collect();
        assert!(sets.len() >= 2);
        for set in sets {
            let name = set.0["spec"]["serviceName"].as_str().context("a service")?;
            let spec = &manifests.get("Service", name)?["spec"];
            assert_eq!(spec["publishNotReadyAddresses"], true);
            // The store is called by its service's name, which has an address of its own.
            if set.component() != "store" {
                assert_eq!(spec["clusterIP"], "None", "{name}");
            }
            let behind = found(&manifests, &json!({ "matchLabels": spec["selector"] }));
            assert!(names(&behind).contains(&set.name().to_owned()), "{spec}");
            // Nobody is on its list whose name it does not give.
            assert!(
                behind.iter().all(|it| it.0["spec"]["serviceName"] == name),
                "{spec}"
            );
        }
    }
    Ok(())
}

#[test]
fn probes_and_hooks_use_ports_and_containers_that_are_there() -> Result<()> {
    for manifests in Manifests::all()? {
        for workload in manifests.workloads() {
            let ports = workload.ports();
            let container = workload.container()?;
            for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
                let probe = &container[probe];
                if let Some(http) = probe.get("httpGet") {
                    let there = ports.iter().any(|(name, _, _)| http["port"] == *name);
                    assert!(there, "{http}: {ports:?}");
                } else if let Some(exec) = probe.get("exec") {
                    assert!(exec["command"].is_array(), "{exec}");
                }
            }
            for probe in ["livenessProbe", "readinessProbe"] {
                assert!(container[probe].is_object(), "{} has no {probe}", workload.name());
            }
        }
        let gateway = manifests.workload("campanile-gateway")?;
        assert!(gateway.container()?["startupProbe"].is_object());
    }
    Ok(())
}

#[test]
fn budgets_and_the_autoscaler_are_about_something() -> Result<()> {
    for manifests in Manifests::all()? {
        let budgets = manifests.of_kind("PodDisruptionBudget");
        let about = budgets.map(|budget| names(&found(&manifests, &budget["spec"]["selector"])));
        let about: Vec<_> = about.collect();
        assert!(about.iter().all(|sets| !sets.is_empty()), "{about:?}");
        let mut all = about.concat();
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(
            all.len(),
            count,
            "no pod of two budgets can be evicted: {about:?}"
        );
        for scaler in manifests.of_kind("HorizontalPodAutoscaler") {
            let target = &scaler["spec"]["scaleTargetRef"];
            let kind = target["kind"].as_str().context("a kind")?;
            let object = manifests.get(kind, target["name"].as_str().context("a name")?)?;
            assert_eq!(object["apiVersion"], target["apiVersion"]);
            // What is written there would be set again at each apply.
            assert!(object["spec"].get("replicas").is_none());
            let cpu = &object["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"];
            assert!(
                cpu.is_string(),
                "the share of the CPU is one of what was requested"
            );
        }
    }
    let production = Manifests::overlay("production")?;
    for part in ["gateway", "shard", "sentinel"] {
        production.get("PodDisruptionBudget", &format!("campanile-{part}"))?;
    }
    let shards = &production.get("PodDisruptionBudget", "campanile-shard")?["spec"];
    assert_eq!(
        names(&found(&production, &shards["selector"])),
        ["campanile-shard", "campanile-shard-replica"],
        "or the two of a shard could go at once"
    );
    Ok(())
}
