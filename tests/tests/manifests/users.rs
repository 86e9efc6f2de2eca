//! Who gateways are on the Redis servers.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use campanile_tests::manifests::Manifests;

/// What `user` may do, as the documentation has it.
fn documented(user: &str) -> Result<BTreeSet<String>> {
    let text = include_str!("../../../docs/redis.md");
    let start = format!("ACL SETUSER {user} reset on >PASSWORD ");
    let line = text.lines().find_map(|line| line.strip_prefix(&start));
    let line = line.with_context(|| format!("docs/redis.md makes {user}"))?;
    Ok(line.split(' ').map(str::to_owned).collect())
}

#[test]
fn gateways_may_do_what_the_documentation_lists_and_nothing_else() -> Result<()> {
    for overlay in ["dev", "production", "own"] {
        let manifests = Manifests::overlay(overlay)?;
        for workload in manifests.workloads() {
            let user = match workload.component() {
                "shard" | "replica" => "campanile",
                "store" => "campanile-store",
                _ => continue,
            };
            let files = manifests.volume(workload, "config")?;
            let rules = files.get("gateway.acl").context("rules")?;
            let rules = rules.lines().filter(|line| !line.starts_with('#'));
            let rules: BTreeSet<_> = rules.flat_map(str::split_whitespace).map(str::to_owned).collect();
            assert_eq!(rules, documented(user)?, "{overlay}: {}", workload.name());
        }
        let gateway = manifests.workload("campanile-gateway")?;
        let variables = manifests.environment(gateway.container()?, "campanile-gateway-0")?;
        let secret = manifests.of_kind("Secret").find_map(|secret| {
            let name = secret["metadata"]["name"].as_str()?;
            name.starts_with("campanile-redis").then_some(name)
        });
        let secret = manifests.data("Secret", secret.context("a secret")?)?;
        assert_ne!(secret["password"], secret["gateway_password"]);
        for name in ["CAMPANILE_CLUSTER_STORE", "CAMPANILE_CLUSTER_DNS_URL"] {
            let (_, url) = variables.iter().find(|(key, _)| key == name).context("a URL")?;
            let user = format!("://campanile:{}@", secret["gateway_password"]);
            assert!(url.contains(&user), "{overlay}: {name}: {url}");
        }
        // Nor do they have the other password anywhere.
        let is_the_other = |value: &str| {
            value
                .split(['@', ':', '/'])
                .any(|part| part == secret["password"])
        };
        assert!(
            !variables.iter().any(|(_, value)| is_the_other(value)),
            "{overlay}"
        );
    }
    Ok(())
}
