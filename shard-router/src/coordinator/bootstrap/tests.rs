//! What the first topology makes of what the shards hold.

use super::*;
use crate::fence::OwnerState;
use crate::topology::{Incarnation, PartitionState, ShardUrl, Token};

fn id(name: &str) -> ShardId {
    ShardId::new(name)
}

fn configured(names: &[&str]) -> BTreeMap<ShardId, WantedShard> {
    let shard = |name: &&str| {
        let shard = WantedShard {
            url: ShardUrl::new(ShardUrl::MEMORY),
            address: format!("{name}:6379"),
            weight: 1,
            durable: false,
        };
        (id(name), shard)
    };
    names.iter().map(shard).collect()
}

fn finding(admitted: Option<u64>, records: &[(u16, u64, OwnerState)]) -> Finding {
    let record = |(partition, generation, state): &(u16, u64, OwnerState)| {
        let record = OwnerRecord {
            generation: Generation(*generation),
            state: *state,
            token: Token(0),
            floor: Generation(1),
        };
        (Partition::from_index(*partition).unwrap(), record)
    };
    let probe = Probe {
        incarnation: Incarnation::new("run"),
        admitted: admitted.map(Generation),
        promoted: false,
        deployment: None,
        drain_asked: false,
    };
    Finding {
        probe,
        records: records.iter().map(record).collect(),
    }
}

fn state(topology: &Topology, partition: u16) -> (&str, OpeningContent) {
    match topology.partition(Partition::from_index(partition).unwrap()) {
        PartitionState::Opening {
            shard,
            generation,
            content,
        } => {
            assert_eq!(*generation, topology.generation);
            (shard.as_str(), *content)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn nothing_can_be_made_of_no_shards() {
    assert_eq!(
        first_topology(&BTreeMap::new(), &BTreeMap::new(), Generation(1), 1),
        None
    );
}

#[test]
fn empty_shards_share_everything_by_the_ring() {
    let configured = configured(&["a", "b"]);
    let topology = first_topology(&configured, &BTreeMap::new(), Generation(1), 7).unwrap();
    assert_eq!((topology.generation, topology.change_id), (Generation(1), 7));
    assert!(
        topology
            .shares()
            .values()
            .all(|share| (1945..=2151).contains(share))
    );
    for partition in [0, 1, 4095] {
        assert_eq!(state(&topology, partition).1, OpeningContent::Fresh);
    }
    let entry = &topology.shards[&id("a")];
    assert_eq!(
        (entry.incarnation.as_ref(), entry.admitted),
        (None, Generation(0))
    );
}

#[test]
fn what_one_shard_alone_holds_open_stays_there() {
    use OwnerState::{Importing, Migrating, Open, Sealed};
    let found = BTreeMap::from([
        (
            id("a"),
            finding(
                Some(4),
                &[(0, 3, Open), (1, 3, Migrating), (2, 3, Open), (3, 9, Sealed)],
            ),
        ),
        (
            id("b"),
            finding(None, &[(0, 2, Sealed), (2, 3, Open), (4, 3, Importing)]),
        ),
        (id("gone"), finding(None, &[(5, 3, Open)])),
    ]);
    let topology = first_topology(&configured(&["a", "b"]), &found, Generation(1), 7).unwrap();
    assert_eq!(topology.generation, Generation(10));
    assert_eq!(state(&topology, 0), ("a", OpeningContent::Keep));
    assert_eq!(state(&topology, 1), ("a", OpeningContent::Keep));
    for contested_or_closed_or_elsewhere in 2..=5 {
        assert_eq!(
            state(&topology, contested_or_closed_or_elsewhere).1,
            OpeningContent::Fresh
        );
    }
}

#[test]
fn a_deployment_whose_store_was_lost_keeps_its_name_if_all_shards_agree() {
    let noted = |deployment: Option<u64>| {
        let mut finding = finding(None, &[]);
        finding.probe.deployment = deployment.map(DeploymentId);
        finding
    };
    let deployment = |notes: [Option<u64>; 2]| {
        let [a, b] = notes.map(noted);
        let found = BTreeMap::from([(id("a"), a), (id("b"), b)]);
        let topology = first_topology(&configured(&["a", "b"]), &found, Generation(1), 7);
        topology.unwrap().deployment
    };
    assert_eq!(deployment([None, None]), DeploymentId(7));
    assert_eq!(deployment([Some(3), None]), DeploymentId(3));
    assert_eq!(deployment([Some(3), Some(3)]), DeploymentId(3));
    assert_eq!(deployment([Some(3), Some(4)]), DeploymentId(7));
}

#[test]
fn the_generation_is_above_everything_known() {
    let configured = configured(&["a"]);
    let noted = BTreeMap::from([(id("a"), finding(Some(41), &[(0, 3, OwnerState::Open)]))]);
    assert_eq!(
        first_topology(&configured, &noted, Generation(1), 7)
            .unwrap()
            .generation,
        Generation(42)
    );
    assert_eq!(
        first_topology(&configured, &noted, Generation(50), 7)
            .unwrap()
            .generation,
        Generation(50)
    );
}
