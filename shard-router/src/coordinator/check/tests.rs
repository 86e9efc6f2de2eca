//! Which servers are taken.

use std::collections::BTreeMap;

use super::*;
use crate::topology::{
    Change, Generation, Incarnation, OpeningContent, PartitionState, ShardEntry, ShardState, WantedShard,
};

const OURS: DeploymentId = DeploymentId(7);

fn id(name: &str) -> ShardId {
    ShardId::new(name)
}

/// Shard "a" runs as "run-a"; "b" was never reached.
fn topology() -> Topology {
    let entry = |run: Option<&str>| {
        let shard = WantedShard {
            url: ShardUrl::default(),
            address: String::new(),
            weight: 1,
            durable: false,
        };
        ShardEntry {
            incarnation: run.map(Incarnation::new),
            state: ShardState::Active,
            ..shard.entry()
        }
    };
    let change = Change {
        generation: Generation(3),
        id: OURS.0,
    };
    let shards = BTreeMap::from([(id("a"), entry(Some("run-a"))), (id("b"), entry(None))]);
    let content = OpeningContent::Keep;
    let opening = PartitionState::Opening {
        shard: id("a"),
        generation: Generation(3),
        content,
    };
    Topology::new(change, shards, vec![opening; 4096])
}

fn answer(run: &str, deployment: Option<DeploymentId>) -> Probe {
    Probe {
        incarnation: Incarnation::new(run),
        admitted: None,
        promoted: false,
        deployment,
        drain_asked: false,
    }
}

#[test]
fn a_server_of_nobodys_or_of_ours_is_taken() {
    for deployment in [None, Some(OURS)] {
        assert_eq!(judge(&topology(), &id("c"), &answer("run-c", deployment)), Ok(()));
    }
}

#[test]
fn a_server_has_one_name() {
    let same = judge(&topology(), &id("c"), &answer("run-a", None));
    assert_eq!(same, Err(Unfit::SameServer(id("c"), id("a"))));
    assert!(same.unwrap_err().to_string().contains("a server of its own"));
}

#[test]
fn a_server_of_another_deployment_stays_there() {
    let foreign = judge(&topology(), &id("c"), &answer("run-c", Some(DeploymentId(8))));
    let error = foreign.unwrap_err();
    assert_eq!(error, Unfit::Foreign(id("c"), DeploymentId(8)));
    assert!(error.to_string().contains("0000000000000008"), "{error}");
}

#[test]
fn a_name_that_moves_means_the_same_server() {
    let moved = judge(&topology(), &id("a"), &answer("run-a", Some(OURS)));
    assert_eq!(moved, Ok(()));
    let another = judge(&topology(), &id("a"), &answer("run-x", None));
    assert_eq!(another, Err(Unfit::AnotherServer(id("a"))));
    let never_reached = judge(&topology(), &id("b"), &answer("run-b", None));
    assert_eq!(never_reached, Ok(()));
}

#[test]
fn a_name_that_leads_to_another_server_brings_that_one_no_harm() {
    let mut topology = topology();
    let lost = topology.shards.get_mut(&id("b")).unwrap();
    lost.state = ShardState::Lost;
    let other = DeploymentId(8);
    let returns = |topology: &Topology, name: &str, run: &str, deployment| {
        may_return(topology, &id(name), &answer(run, Some(deployment)))
    };
    assert_eq!(
        returns(&topology, "b", "run-a", OURS),
        Err(Unfit::SameServer(id("b"), id("a")))
    );
    assert_eq!(
        returns(&topology, "b", "run-b", other),
        Err(Unfit::Foreign(id("b"), other))
    );
    assert_eq!(returns(&topology, "b", "run-b", OURS), Ok(()));
    assert_eq!(returns(&topology, "a", "another", OURS), Ok(()), "restarted");
    assert_eq!(
        returns(&topology, "a", "another", other),
        Ok(()),
        "the store has lost the name"
    );
}
