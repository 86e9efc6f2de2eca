//! Pods get no more than they need: the `restricted` profile of Kubernetes, and a file system that is read-only.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use campanile_tests::manifests::Manifests;
use serde_json::json;

#[test]
fn no_pod_is_root_or_could_become_it() -> Result<()> {
    for manifests in Manifests::all()? {
        for workload in manifests.workloads() {
            let (name, pod) = (workload.name(), workload.pod());
            let context = &pod["securityContext"];
            assert_eq!(context["runAsNonRoot"], true, "{name}");
            assert!(context["runAsUser"].as_u64() > Some(0), "{name}");
            assert!(context["runAsGroup"].as_u64() > Some(0), "{name}");
            assert_eq!(context["seccompProfile"]["type"], "RuntimeDefault", "{name}");
            assert_eq!(pod["automountServiceAccountToken"], false, "{name}");
            for hosts in ["hostNetwork", "hostPID", "hostIPC"] {
                assert!(pod.get(hosts).is_none(), "{name}");
            }
            for container in workload.containers() {
                let context = &container["securityContext"];
                assert_eq!(context["allowPrivilegeEscalation"], false, "{name}");
                assert_eq!(context["readOnlyRootFilesystem"], true, "{name}");
                assert_eq!(context["capabilities"], json!({ "drop": ["ALL"] }), "{name}");
            }
        }
    }
    Ok(())
}

#[test]
fn all_redis_servers_and_sentinels_are_of_one_version() -> Result<()> {
    for manifests in Manifests::all()? {
        let containers = manifests.workloads();
        let images: BTreeSet<_> = containers
            .iter()
            .flat_map(|workload| workload.containers())
            .filter_map(|container| container["image"].as_str())
            .filter(|image| !image.contains("campanile"))
            .collect();
        assert!(images.len() <= 1, "{}: {images:?}", manifests.name);
    }
    Ok(())
}

#[test]
fn every_image_has_a_version_and_every_container_its_resources() -> Result<()> {
    for manifests in Manifests::all()? {
        for workload in manifests.workloads() {
            for container in workload.containers() {
                let image = container["image"].as_str().context("an image")?;
                let (_, version) = image.rsplit_once(':').context("a version")?;
                assert!(
                    version.starts_with(|first: char| first.is_ascii_digit()),
                    "{image}"
                );
                let resources = &container["resources"];
                for wanted in ["/requests/cpu", "/requests/memory", "/limits/memory"] {
                    let found = resources.pointer(wanted);
                    assert!(found.is_some(), "{}: {wanted}", workload.name());
                }
            }
        }
    }
    Ok(())
}

#[test]
fn every_redis_is_of_one_version_and_none_that_is_known_to_be_unsafe() -> Result<()> {
    // The first of 7.2 in which CVE-2025-49844 and CVE-2025-32023 are mended.
    const LEAST: [u32; 3] = [7, 2, 11];
    let mut images = BTreeSet::new();
    for manifests in Manifests::all()? {
        for container in manifests.workloads().iter().flat_map(|it| it.containers()) {
            let image = container["image"].as_str().context("an image")?;
            images.extend(image.strip_prefix("redis:").map(str::to_owned));
        }
    }
    assert_eq!(images.len(), 1, "one place names it: {images:?}");
    let version = images.first().and_then(|image| image.strip_suffix("-alpine"));
    let version = version.context("a version")?.split('.').map(str::parse);
    assert!(
        version.collect::<Result<Vec<u32>, _>>()?.as_slice() >= LEAST.as_slice(),
        "{images:?}"
    );
    Ok(())
}
