//! Who may talk to whom, by the network policies: everything that has to, and nothing else.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use campanile_tests::manifests::{Manifests, Workload, selects};
use serde_json::Value;

/// A port of a pod: name, number, protocol.
type Port<'a> = (&'a str, u64, &'a str);

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The rules in one direction of the policies that are about these pods. (There is a policy about all pods without any rule,
/// so that what no rule allows is forbidden.)
fn rules<'a>(manifests: &'a Manifests, direction: &'a str, workload: Workload<'a>) -> Vec<&'a Value> {
    let policies = manifests.of_kind("NetworkPolicy");
    let about = policies.filter(|policy| {
        let spec = &policy["spec"];
        list(&spec["policyTypes"]).any(|it| it == direction)
            && selects(&spec["podSelector"], workload.labels())
    });
    let rules = about.flat_map(|policy| list(&policy["spec"][direction.to_lowercase()]));
    rules.collect()
}

/// Whether a rule is about this port.
fn covers(rule: &Value, (name, number, protocol): Port<'_>) -> bool {
    rule.get("ports").is_none()
        || list(&rule["ports"]).any(|port| {
            let same = port["port"] == name || port["port"] == number;
            same && port["protocol"] == protocol
        })
}

/// Whether the peers of a rule include pods of this namespace with these labels. Without a list they include everybody.
fn includes(rule: &Value, peers: &str, workload: Workload<'_>) -> bool {
    let is = |peer: &Value| {
        peer.get("namespaceSelector").is_none()
            && peer
                .get("podSelector")
                .is_some_and(|pods| selects(pods, workload.labels()))
    };
    rule.get(peers).is_none() || list(&rule[peers]).any(is)
}

fn allowed(manifests: &Manifests, from: Workload<'_>, to: Workload<'_>, port: Port<'_>) -> bool {
    let out = rules(manifests, "Egress", from);
    let into = rules(manifests, "Ingress", to);
    let leaves = out
        .iter()
        .any(|rule| includes(rule, "to", to) && covers(rule, port));
    leaves
        && into
            .iter()
            .any(|rule| includes(rule, "from", from) && covers(rule, port))
}

/// Whether pods of one part have to reach a port of another.
fn needed(manifests: &Manifests, from: &str, to: &str) -> bool {
    let sentinel = manifests.workload("campanile-sentinel").is_ok();
    match (from, to) {
        ("gateway", "shard" | "store" | "replica" | "sentinel") => true,
        ("shard" | "replica" | "sentinel", "shard" | "replica" | "sentinel") => sentinel,
        _ => false,
    }
}

#[test]
fn pods_reach_what_they_need_and_nothing_else() -> Result<()> {
    for manifests in Manifests::all()? {
        let all = manifests.workloads();
        for (from, to) in all.iter().flat_map(|from| all.iter().map(move |to| (*from, *to))) {
            for port in to.ports() {
                let (is, should) = (
                    allowed(&manifests, from, to, port),
                    needed(&manifests, from.component(), to.component()),
                );
                let (name, from, to) = (&manifests.name, from.name(), to.name());
                assert_eq!(is, should, "{name}: {from} to {to}, {port:?}");
            }
        }
    }
    Ok(())
}

#[test]
fn from_outside_only_the_clients_ports_can_be_reached() -> Result<()> {
    for manifests in Manifests::all()? {
        for workload in manifests.workloads() {
            let rules = rules(&manifests, "Ingress", workload);
            let open: BTreeSet<_> = workload
                .ports()
                .into_iter()
                .filter(|port| {
                    rules
                        .iter()
                        .any(|rule| rule.get("from").is_none() && covers(rule, *port))
                })
                .map(|(name, ..)| name)
                .collect();
            let expected = match workload.component() {
                "gateway" => BTreeSet::from(["client", "client-udp"]),
                _ => BTreeSet::new(),
            };
            assert_eq!(open, expected, "{}", workload.name());
        }
    }
    Ok(())
}

#[test]
fn the_internal_port_is_for_namespaces_that_are_named() -> Result<()> {
    for manifests in Manifests::all()? {
        let gateway = manifests.workload("campanile-gateway")?;
        let internal = gateway.ports().into_iter().find(|(name, ..)| *name == "internal");
        let internal = internal.context("an internal port")?;
        let rules = rules(&manifests, "Ingress", gateway);
        let about: Vec<_> = rules.iter().filter(|rule| covers(rule, internal)).collect();
        assert!(!about.is_empty());
        for peer in about.iter().flat_map(|rule| list(&rule["from"])) {
            let labels = &peer["namespaceSelector"]["matchLabels"];
            assert!(
                labels.as_object().is_some_and(|labels| !labels.is_empty()),
                "{peer}"
            );
        }
    }
    Ok(())
}

#[test]
fn nothing_is_allowed_by_default_and_names_can_be_looked_up() -> Result<()> {
    for manifests in Manifests::all()? {
        let closed = &manifests.get("NetworkPolicy", "campanile-default-deny")?["spec"];
        assert_eq!(closed["podSelector"], serde_json::json!({}));
        assert!(closed.get("ingress").is_none() && closed.get("egress").is_none());
        for workload in manifests.workloads() {
            let rules = rules(&manifests, "Egress", workload);
            for protocol in ["UDP", "TCP"] {
                let found = rules
                    .iter()
                    .any(|rule| rule.get("ports").is_some() && covers(rule, ("dns", 53, protocol)));
                assert!(found, "{}: {protocol}", workload.name());
            }
        }
    }
    Ok(())
}

#[test]
fn every_policy_is_about_something() -> Result<()> {
    for manifests in Manifests::all()? {
        for policy in manifests.of_kind("NetworkPolicy") {
            let selector = &policy["spec"]["podSelector"];
            let about = manifests.workloads().into_iter();
            let about = about.filter(|workload| selects(selector, workload.labels()));
            assert!(about.count() > 0, "{}: {policy}", manifests.name);
        }
    }
    Ok(())
}
