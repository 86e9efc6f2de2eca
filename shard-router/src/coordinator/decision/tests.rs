//! Each situation of a shard, and what it needs.

use std::collections::BTreeMap;

use super::*;
use crate::fence::OwnerState;
use crate::topology::{Change, Incarnation, MoveHistory, ShardState, ShardUrl};

const FRESH: OpeningContent = OpeningContent::Fresh;
const KEEP: OpeningContent = OpeningContent::Keep;

fn us() -> ShardId {
    ShardId::new("us")
}

fn them() -> ShardId {
    ShardId::new("them")
}

fn partition(index: u16) -> Partition {
    Partition::from_index(index).unwrap()
}

fn stable() -> PartitionState {
    PartitionState::Stable(us())
}

fn opening(generation: u64, content: OpeningContent) -> PartitionState {
    PartitionState::Opening {
        shard: us(),
        generation: Generation(generation),
        content,
    }
}

/// Generation 20, `us` admitted as run "a" at 10, owning partitions 0 and 1 in these states, the rest is theirs.
fn topology(first: PartitionState, second: PartitionState) -> Topology {
    let entry = ShardEntry {
        url: ShardUrl::default(),
        address: String::new(),
        weight: 1,
        durable: false,
        state: ShardState::Active,
        incarnation: Some(Incarnation::new("a")),
        admitted: Generation(10),
    };
    let mut partitions = vec![PartitionState::Stable(them()); usize::from(Partition::COUNT)];
    partitions[0] = first;
    partitions[1] = second;
    let change = Change {
        generation: Generation(20),
        id: 1,
    };
    let shards = BTreeMap::from([(us(), entry.clone()), (them(), entry)]);
    let topology = Topology::new(change, shards, partitions);
    topology.validate().unwrap();
    topology
}

fn behind_sentinel(mut topology: Topology) -> Topology {
    topology.shards.get_mut(&us()).unwrap().url = ShardUrl::new("redis+sentinel://host/service");
    topology
}

fn durable(mut topology: Topology) -> Topology {
    topology.shards.get_mut(&us()).unwrap().durable = true;
    topology
}

fn never_reached(mut topology: Topology) -> Topology {
    let entry = topology.shards.get_mut(&us()).unwrap();
    entry.incarnation = None;
    entry.admitted = Generation(0);
    topology
}

fn seen(run: &str, admitted: Option<u64>, closed: &[u16]) -> Sighting {
    Sighting {
        probe: Probe {
            incarnation: Incarnation::new(run),
            admitted: admitted.map(Generation),
            promoted: false,
            deployment: None,
            drain_asked: false,
        },
        closed: closed.iter().map(|index| partition(*index)).collect(),
    }
}

fn promoted(mut sighting: Sighting) -> Sighting {
    sighting.probe.promoted = true;
    sighting
}

fn record(generation: u64, state: OwnerState) -> OwnerRecord {
    OwnerRecord {
        generation: Generation(generation),
        state,
        token: Token(0),
        floor: Generation(1),
    }
}

#[test]
fn each_situation_has_its_action() {
    let admit = |keep_epochs| Some(Action::Admit { keep_epochs });
    let reopen = |partitions: &[u16]| {
        Some(Action::Reopen {
            partitions: partitions.iter().map(|index| partition(*index)).collect(),
        })
    };
    let open = || Some(Action::Open);
    let moving = || PartitionState::Moving {
        from: us(),
        to: them(),
        generation: Generation(15),
        aborting: None,
        history: MoveHistory::Keep,
    };
    let settled = || topology(stable(), stable());
    let cases = [
        ("all is well", settled(), seen("a", Some(10), &[]), None),
        ("restarted", settled(), seen("b", Some(10), &[]), admit(false)),
        ("restarted empty", settled(), seen("b", None, &[]), admit(false)),
        (
            "restarted whole and durable",
            durable(settled()),
            seen("b", Some(10), &[]),
            admit(true),
        ),
        (
            "durable, but a replica was promoted",
            durable(settled()),
            promoted(seen("b", Some(10), &[])),
            admit(false),
        ),
        (
            "durable, but behind Sentinel, where a replica may have been promoted and restarted",
            behind_sentinel(durable(settled())),
            seen("b", Some(10), &[]),
            admit(false),
        ),
        (
            "durable, but empty",
            durable(settled()),
            seen("b", None, &[]),
            admit(false),
        ),
        (
            "durable, but older",
            durable(settled()),
            seen("b", Some(9), &[]),
            admit(false),
        ),
        ("flushed", settled(), seen("a", None, &[]), admit(false)),
        (
            "flushed although durable",
            durable(settled()),
            seen("a", None, &[]),
            admit(false),
        ),
        (
            "other data under the same run",
            settled(),
            seen("a", Some(9), &[]),
            admit(false),
        ),
        (
            "never reached",
            never_reached(settled()),
            seen("a", None, &[]),
            admit(false),
        ),
        (
            "never reached, with the data of another deployment",
            never_reached(durable(settled())),
            seen("a", Some(0), &[]),
            admit(false),
        ),
        (
            "admitted, not yet noted",
            topology(opening(10, KEEP), opening(10, FRESH)),
            seen("a", Some(7), &[]),
            open(),
        ),
        (
            "admitted, not noted although some is open",
            topology(stable(), opening(10, KEEP)),
            seen("a", Some(7), &[]),
            admit(false),
        ),
        (
            "not noted since an opening older than the admission",
            topology(opening(9, KEEP), opening(10, KEEP)),
            seen("a", Some(7), &[]),
            admit(false),
        ),
        (
            "to be opened",
            topology(stable(), opening(20, KEEP)),
            seen("a", Some(10), &[]),
            open(),
        ),
        ("found closed", settled(), seen("a", Some(10), &[1]), reopen(&[1])),
        (
            "could not be opened",
            topology(opening(12, KEEP), opening(12, FRESH)),
            seen("a", Some(10), &[0]),
            reopen(&[0]),
        ),
        (
            "closed is what belongs to others",
            settled(),
            seen("a", Some(10), &[7]),
            None,
        ),
        (
            "closed is what moves away",
            topology(moving(), stable()),
            seen("a", Some(10), &[0]),
            None,
        ),
        (
            "restarted and closed",
            settled(),
            seen("b", Some(10), &[1]),
            admit(false),
        ),
    ];
    for (situation, topology, sighting, expected) in cases {
        assert_eq!(decide(&topology, &us(), &sighting), expected, "{situation}");
    }
}

#[test]
fn a_shard_without_partitions_is_admitted_and_noted_too() {
    let mut topology = topology(PartitionState::Stable(them()), PartitionState::Stable(them()));
    assert_eq!(
        decide(&topology, &us(), &seen("b", None, &[])),
        Some(Action::Admit { keep_epochs: false })
    );
    assert_eq!(
        decide(&topology, &us(), &seen("a", None, &[])),
        Some(Action::Open)
    );
    assert_eq!(decide(&topology, &us(), &seen("a", Some(10), &[])), None);
    topology.shards.remove(&us());
    assert_eq!(decide(&topology, &us(), &seen("a", Some(10), &[])), None);
}

#[test]
fn a_shard_that_only_has_partitions_on_their_way_to_it_notices_that_it_was_flushed() {
    let coming = |generation| PartitionState::Moving {
        from: them(),
        to: us(),
        generation: Generation(generation),
        aborting: None,
        history: MoveHistory::Keep,
    };
    let flushed = |generation| {
        let topology = topology(coming(generation), PartitionState::Stable(them()));
        decide(&topology, &us(), &seen("a", None, &[]))
    };
    // It may have accepted publications, whose offsets would be given again.
    assert_eq!(flushed(15), Some(Action::Admit { keep_epochs: false }));
    assert_eq!(flushed(9), Some(Action::Open), "announced before it was admitted");
}

#[test]
fn closed_is_what_should_be_open_and_has_no_open_record() {
    let records = |state| {
        vec![
            (partition(0), record(10, state)),
            (partition(9), record(10, OwnerState::Sealed)),
        ]
    };
    let found = |topology: &Topology, records: &[(Partition, OwnerRecord)]| -> Vec<usize> {
        found_closed(topology, &us(), records)
            .into_iter()
            .map(Partition::index)
            .collect()
    };
    let settled = topology(stable(), stable());
    assert_eq!(found(&settled, &records(OwnerState::Open)), [1]);
    assert_eq!(found(&settled, &records(OwnerState::Migrating)), [1]);
    assert_eq!(found(&settled, &records(OwnerState::Sealed)), [0, 1]);
    assert_eq!(found(&settled, &records(OwnerState::Importing)), [0, 1]);
    let opening = topology(stable(), opening(20, KEEP));
    assert_eq!(found(&opening, &[]), [0]);
}

#[test]
fn a_seal_closes_the_whole_shard_above_all_that_is_known() {
    let topology = topology(stable(), opening(12, FRESH));
    let admit = Action::Admit { keep_epochs: true };
    let records = [
        (partition(0), record(10, OwnerState::Open)),
        // What the topology gives to others: closed if it is open here, left alone if not.
        (partition(5), record(33, OwnerState::Open)),
        (partition(6), record(8, OwnerState::Sealed)),
    ];
    let seal = Seal::plan((&topology, &us()), &admit, &records, Generation(21), Token(3));
    let generation = Generation(34);
    assert_eq!(seal.generation, generation);
    assert_eq!(
        seal.commands,
        [
            (
                partition(0),
                FenceCommand::Admit {
                    generation,
                    keep_epochs: true
                }
            ),
            (
                partition(1),
                FenceCommand::Fresh {
                    generation,
                    token: Token(3),
                    unless_open: None
                }
            ),
            (
                partition(5),
                FenceCommand::Admit {
                    generation,
                    keep_epochs: false
                }
            ),
        ]
    );
    let seal = Seal::plan((&topology, &us()), &admit, &[], Generation(21), Token(3));
    assert_eq!(seal.generation, Generation(21));
}

#[test]
fn reopening_closes_only_what_it_is_about_and_renews_epochs() {
    let topology = topology(stable(), stable());
    let reopen = Action::Reopen {
        partitions: vec![partition(1)],
    };
    let records = [(partition(5), record(3, OwnerState::Open))];
    let seal = Seal::plan((&topology, &us()), &reopen, &records, Generation(21), Token(3));
    let generation = Generation(21);
    assert_eq!(
        seal.commands,
        [(
            partition(1),
            FenceCommand::Admit {
                generation,
                keep_epochs: false
            }
        )]
    );
}

#[test]
fn what_is_on_record_later_than_the_topology_needs_a_newer_document_first() {
    let topology = topology(stable(), stable());
    let older = (partition(0), record(19, OwnerState::Open));
    let same = (partition(0), record(20, OwnerState::Sealed));
    let later = (partition(1), record(25, OwnerState::Sealed));
    assert_eq!(beyond(&topology, &[]), None);
    assert_eq!(beyond(&topology, &[older.clone(), same]), None);
    assert_eq!(beyond(&topology, &[older, later]), Some(Generation(26)));
}

#[test]
fn a_shard_that_comes_back_is_closed_altogether() {
    let mut lost = never_reached(topology(
        PartitionState::Stable(them()),
        PartitionState::Stable(them()),
    ));
    let admit = Action::Admit { keep_epochs: false };
    let closed = |topology: &Topology, records: &[(Partition, OwnerRecord)]| {
        let seal = Seal::plan((topology, &us()), &admit, records, Generation(21), Token(1));
        seal.commands.len()
    };
    let known = [(partition(7), record(3, OwnerState::Sealed))];
    assert_eq!(closed(&lost, &[]), 0, "it has never been in use");
    assert_eq!(closed(&lost, &known), usize::from(Partition::COUNT));
    lost.shards.get_mut(&us()).unwrap().state = ShardState::Lost;
    assert_eq!(closed(&lost, &[]), usize::from(Partition::COUNT));
    let in_use = topology(PartitionState::Stable(them()), PartitionState::Stable(them()));
    assert_eq!(closed(&in_use, &known), 0, "what slept names another run");
}

#[test]
fn what_an_older_copy_brings_back_is_left_over() {
    let mut topology = topology(stable(), PartitionState::Stable(them()));
    let records = [0, 1].map(|index| (partition(index), record(3, OwnerState::Sealed)));
    assert_eq!(left_over(&topology, &us(), &records), [partition(1)]);
    topology.shards.get_mut(&us()).unwrap().state = ShardState::Lost;
    assert_eq!(
        left_over(&topology, &us(), &records),
        [partition(0), partition(1)]
    );
}
