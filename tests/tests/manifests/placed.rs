//! Where pods run: apart wherever that is possible, and nothing that keeps them from running at all.

use anyhow::{Context as _, Result};
use campanile_tests::manifests::{Manifests, Workload, selects};
use serde_json::{Value, json};

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[test]
fn pods_start_on_a_single_node_too() -> Result<()> {
    for manifests in Manifests::all()? {
        for workload in manifests.workloads() {
            let (name, pod) = (workload.name(), workload.pod());
            for spread in list(&pod["topologySpreadConstraints"]) {
                if spread["whenUnsatisfiable"] == "ScheduleAnyway" {
                    continue;
                }
                // With one node there is nothing to be uneven between, unless one that takes no pods counts as empty.
                assert_eq!(spread["nodeTaintsPolicy"], "Honor", "{name}: {spread}");
                assert_eq!(
                    spread["topologyKey"], "kubernetes.io/hostname",
                    "{name}: {spread}"
                );
                assert!(spread.get("minDomains").is_none(), "{name}: {spread}");
            }
            let affinity = pod["affinity"].to_string();
            assert!(!affinity.contains("requiredDuring"), "{name}: {affinity}");
            for wish in ["nodeSelector", "nodeName", "schedulerName", "tolerations"] {
                assert!(pod.get(wish).is_none(), "{name}: {wish}");
            }
        }
    }
    Ok(())
}

#[test]
fn the_two_of_a_shard_and_the_sentinels_keep_apart_where_they_can() -> Result<()> {
    let manifests = Manifests::overlay("production")?;
    let (shard, replica) = (
        manifests.workload("campanile-shard")?,
        manifests.workload("campanile-shard-replica")?,
    );
    for set in [shard, replica] {
        let terms = &set.pod()["affinity"]["podAntiAffinity"];
        let term = &terms["preferredDuringSchedulingIgnoredDuringExecution"][0]["podAffinityTerm"];
        assert_eq!(term["topologyKey"], "kubernetes.io/hostname");
        // Those of one number, whatever their set.
        assert_eq!(term["matchLabelKeys"], json!(["apps.kubernetes.io/pod-index"]));
        for other in [shard, replica] {
            assert!(selects(&term["labelSelector"], other.labels()), "{}", set.name());
        }
    }
    let sentinels = manifests.workload("campanile-sentinel")?;
    let mut spread = list(&sentinels.pod()["topologySpreadConstraints"]);
    assert!(spread.any(|it| it["whenUnsatisfiable"] == "DoNotSchedule" && it["maxSkew"] == 1));
    Ok(())
}

/// How many pods there are at least.
fn least(manifests: &Manifests, workload: Workload<'_>) -> Result<u64> {
    let scaled = manifests
        .of_kind("HorizontalPodAutoscaler")
        .find(|scaler| scaler["spec"]["scaleTargetRef"]["name"] == workload.name());
    let number = match scaled {
        Some(scaler) => &scaler["spec"]["minReplicas"],
        None => &workload.0["spec"]["replicas"],
    };
    number.as_u64().context("a number of pods")
}

#[test]
fn while_all_is_well_every_node_can_be_emptied_and_never_of_two_of_a_kind_at_once() -> Result<()> {
    for manifests in Manifests::all()? {
        for workload in manifests.workloads() {
            let mut budgets = manifests
                .of_kind("PodDisruptionBudget")
                .filter(|budget| selects(&budget["spec"]["selector"], workload.labels()));
            let pods = least(&manifests, workload)?;
            let Some(budget) = budgets.next() else {
                assert_eq!(pods, 1, "{} has no budget", workload.name());
                continue;
            };
            // Of several about one pod Kubernetes evicts nothing.
            assert!(budgets.next().is_none(), "{}", workload.name());
            let spec = &budget["spec"];
            let spare = match (spec["maxUnavailable"].as_u64(), spec["minAvailable"].as_u64()) {
                (Some(away), None) => away,
                (None, Some(there)) => pods.saturating_sub(there),
                _ => anyhow::bail!("{budget}"),
            };
            assert_eq!(spare, 1, "{}", workload.name());
        }
    }
    Ok(())
}
