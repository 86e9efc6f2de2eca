use std::collections::BTreeMap;

use super::*;
use crate::topology::{Change, Generation, ShardEntry, ShardUrl};

fn id(name: &str) -> ShardId {
    ShardId::new(name)
}

fn stable(shard: &str) -> PartitionState {
    PartitionState::Stable(id(shard))
}

fn moving(history: MoveHistory) -> PartitionState {
    PartitionState::Moving {
        from: id("a"),
        to: id("b"),
        generation: Generation(2),
        aborting: None,
        history,
    }
}

fn opening(shard: &str, content: OpeningContent) -> PartitionState {
    PartitionState::Opening {
        shard: id(shard),
        generation: Generation(3),
        content,
    }
}

/// Shards a, b and c, of which one may be lost, and all partitions in one state.
fn topology(state: &PartitionState, lost: &str) -> Topology {
    let entry = |name: &str| {
        let state = if name == lost {
            ShardState::Lost
        } else {
            ShardState::Active
        };
        let entry = ShardEntry {
            url: ShardUrl::default(),
            address: name.to_owned(),
            weight: 1,
            durable: false,
            state,
            incarnation: None,
            admitted: Generation(1),
        };
        (id(name), entry)
    };
    let shards: BTreeMap<_, _> = ["a", "b", "c"].map(entry).into();
    let change = Change {
        generation: Generation(3),
        id: 1,
    };
    Topology::new(change, shards, vec![state.clone(); usize::from(Partition::COUNT)])
}

/// What somebody is told whose epoch is gone, after the topology went through `states`, each with the shard that is lost.
fn told(states: &[(PartitionState, &str)]) -> LossReason {
    let renewals = Renewals::default();
    let topologies: Vec<_> = states.iter().map(|(state, lost)| topology(state, lost)).collect();
    let mut before = None;
    for after in &topologies {
        renewals.note(before, after);
        before = Some(after);
    }
    let partition = Partition::of("c");
    assert_eq!(
        renewals.explain(partition, LossReason::LimitExceeded),
        LossReason::LimitExceeded
    );
    renewals.explain(partition, LossReason::EpochChanged)
}

#[test]
fn the_loss_of_a_shard_is_the_reason_until_something_else_ends_the_epochs() {
    let fresh = opening("b", OpeningContent::Fresh);
    let evicted = [(stable("a"), ""), (fresh, "a"), (stable("b"), "a")];
    assert_eq!(told(&evicted), LossReason::ShardLost);
    assert_eq!(
        told(&[(stable("a"), ""), (stable("b"), "a")]),
        LossReason::ShardLost
    );
    let mut restarted = evicted.to_vec();
    restarted.push((opening("b", OpeningContent::Keep), "a"));
    assert_eq!(told(&restarted), LossReason::EpochChanged);
    let mut moved = evicted.to_vec();
    moved.extend([(moving(MoveHistory::Keep), ""), (stable("b"), "")]);
    assert_eq!(told(&moved[2..]), LossReason::EpochChanged);
    let mut returned = vec![(stable("b"), ""), (opening("a", OpeningContent::Fresh), "b")];
    returned.extend([(moving(MoveHistory::Keep), "c"), (stable("b"), "c")]);
    assert_eq!(told(&returned), LossReason::ShardLost, "the history moved too");
    returned[2] = (moving(MoveHistory::Drop), "c");
    assert_eq!(told(&returned), LossReason::EpochChanged);
}

#[test]
fn the_loss_of_either_end_of_a_move_is_told() {
    let unless_open = OpeningContent::FreshUnlessOpen(Generation(2));
    for (state, lost) in [
        (opening("b", unless_open), "a"),
        (opening("a", OpeningContent::Reclaim), "b"),
    ] {
        let states = [(moving(MoveHistory::Keep), ""), (state.clone(), lost)];
        assert_eq!(told(&states), LossReason::ShardLost);
        assert_eq!(
            told(&[(moving(MoveHistory::Keep), ""), (state, "")]),
            LossReason::EpochChanged
        );
    }
}

#[test]
fn a_gateway_that_starts_knows_what_is_under_way() {
    assert_eq!(
        told(&[(opening("b", OpeningContent::Fresh), "a")]),
        LossReason::ShardLost
    );
    assert_eq!(
        told(&[(opening("b", OpeningContent::Fresh), "")]),
        LossReason::EpochChanged
    );
    assert_eq!(
        told(&[(opening("b", OpeningContent::Keep), "a")]),
        LossReason::EpochChanged
    );
    assert_eq!(told(&[(stable("b"), "a")]), LossReason::EpochChanged);
}
