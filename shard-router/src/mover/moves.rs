//! The moves of one announcement, as the newest topology has them.

use std::collections::BTreeMap;

use crate::partition::Partition;
use crate::topology::{Generation, MoveHistory, PartitionState, ShardId, ShardState, Topology};

/// One partition on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Move {
    pub(super) partition: Partition,
    pub(super) from: ShardId,
    pub(super) to: ShardId,
    /// The decision to abandon it.
    pub(super) aborting: Option<Generation>,
    pub(super) history: MoveHistory,
    /// What the topology says of the target.
    pub(super) target: Target,
}

/// A target as the topology has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// As it was when the move was announced.
    Same,
    /// Admitted anew since: what it had been filled with does not count.
    Readmitted,
    /// Evicted.
    Lost,
}

/// Moves between the same two shards.
pub(super) type Pairs = BTreeMap<(ShardId, ShardId), Vec<Move>>;

/// What `topology` still has moving by the announcement of `generation`.
pub(super) fn moves_of(topology: &Topology, generation: Generation) -> Vec<Move> {
    let of = |(partition, state): (Partition, &PartitionState)| match state {
        PartitionState::Moving {
            from,
            to,
            generation: announced,
            aborting,
            history,
        } if *announced == generation => Some(Move {
            partition,
            from: from.clone(),
            to: to.clone(),
            aborting: *aborting,
            history: *history,
            target: target(topology, to, generation),
        }),
        _ => None,
    };
    topology.states().filter_map(of).collect()
}

fn target(topology: &Topology, shard: &ShardId, announced: Generation) -> Target {
    match topology.shards.get(shard) {
        Some(entry) if entry.state == ShardState::Lost => Target::Lost,
        Some(entry) if entry.admitted > announced => Target::Readmitted,
        Some(_) => Target::Same,
        None => Target::Lost,
    }
}

/// By the shards they lead from and to.
pub(super) fn pairs(moves: &[Move]) -> Pairs {
    let mut pairs = Pairs::new();
    for one in moves {
        let pair = (one.from.clone(), one.to.clone());
        pairs.entry(pair).or_default().push(one.clone());
    }
    pairs
}

/// Their partitions.
pub(super) fn partitions(moves: &[Move]) -> Vec<Partition> {
    moves.iter().map(|one| one.partition).collect()
}
