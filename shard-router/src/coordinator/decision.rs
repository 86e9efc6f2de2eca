//! What to do about a shard, from the topology and what is seen of it. No I/O.

use std::collections::BTreeSet;

use crate::fence::{FenceCommand, OwnerRecord, OwnerState};
use crate::partition::Partition;
use crate::shard::Probe;
use crate::topology::{
    Generation, OpeningContent, PartitionState, ShardEntry, ShardId, ShardState, Token, Topology,
};

/// What is seen of a shard that answers.
#[derive(Clone, Debug)]
pub(crate) struct Sighting {
    pub(crate) probe: Probe,
    /// Partitions that were found closed there although the topology has them open, or that could not be opened.
    pub(crate) closed: BTreeSet<Partition>,
}

/// What a shard needs next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Another run, or other data, than the topology trusts: close everything there, then trust it.
    Admit {
        /// Whether nothing acknowledged can be missing.
        keep_epochs: bool,
    },
    /// Some partitions are closed that should not be: close them properly, decide, open them.
    Reopen {
        /// Which.
        partitions: Vec<Partition>,
    },
    /// Carry out what the topology has decided to open.
    Open,
}

/// What `shard` needs next, if anything.
pub(crate) fn decide(topology: &Topology, shard: &ShardId, sighting: &Sighting) -> Option<Action> {
    let entry = topology.shards.get(shard)?;
    let probe = &sighting.probe;
    let noted = probe.admitted == Some(entry.admitted);
    if entry.incarnation.as_ref() != Some(&probe.incarnation) {
        // A replica that was promoted and restarted since does not show that it was one.
        let durable = entry.durable && !entry.url.may_fail_over();
        let keep_epochs = durable && entry.incarnation.is_some() && noted && !probe.promoted;
        return Some(Action::Admit { keep_epochs });
    }
    // The same run without the note of its admission has lost or exchanged its data. Only while everything is still to
    // be opened the note may merely not have been written yet; if not, the openings will be refused.
    if !noted && !admission_is_under_way(topology, shard, entry) {
        return Some(Action::Admit { keep_epochs: false });
    }
    let closed = sighting
        .closed
        .iter()
        .filter(|partition| is_settled(topology, shard, **partition));
    let partitions: Vec<Partition> = closed.copied().collect();
    if !partitions.is_empty() {
        return Some(Action::Reopen { partitions });
    }
    let opening = topology
        .owned_by(shard)
        .any(|(_, state)| matches!(state, PartitionState::Opening { .. }));
    (opening || !noted).then_some(Action::Open)
}

/// The partitions that the topology has open on `shard` and that its records do not.
pub(crate) fn found_closed(
    topology: &Topology,
    shard: &ShardId,
    records: &[(Partition, OwnerRecord)],
) -> BTreeSet<Partition> {
    let served: BTreeSet<Partition> = records
        .iter()
        .filter(|(_, record)| record.state.serves())
        .map(|(partition, _)| *partition)
        .collect();
    topology
        .owned_by(shard)
        .filter(|(partition, state)| {
            matches!(state, PartitionState::Stable(_)) && !served.contains(partition)
        })
        .map(|(partition, _)| partition)
        .collect()
}

/// A generation above all `records`, if one of them was decided later than `topology`.
///
/// That is so where a decision was never written down, but also where it was, and `topology` is no longer the present one:
/// then what seems to be closed for no reason may just have moved. A document raised to that generation, by
/// compare-and-set, tells the two apart; only then may anything be closed above what is on record.
pub(crate) fn beyond(topology: &Topology, records: &[(Partition, OwnerRecord)]) -> Option<Generation> {
    let newest = records.iter().map(|(_, record)| record.generation).max()?;
    (newest > topology.generation).then(|| newest.next())
}

/// The partitions on record at `shard` whose content is nobody's there: all of them, if it was lost.
pub(crate) fn left_over(
    topology: &Topology,
    shard: &ShardId,
    records: &[(Partition, OwnerRecord)],
) -> Vec<Partition> {
    let lost = topology
        .shards
        .get(shard)
        .is_some_and(|entry| entry.state == ShardState::Lost);
    let recorded = records.iter().map(|(partition, _)| *partition);
    recorded
        .filter(|partition| {
            let state = topology.partition(*partition);
            lost || (state.owner() != shard && state.destination() != shard)
        })
        .collect()
}

/// The commands that close partitions on a shard before the topology trusts them, and their generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seal {
    /// Above the topology and every record there.
    pub(crate) generation: Generation,
    pub(crate) commands: Vec<(Partition, FenceCommand)>,
}

impl Seal {
    /// For `action`, given what is on record at the shard. `least` is above every generation seen so far, the
    /// topology's included.
    ///
    /// A whole shard is closed with all that it serves or fills, also what the topology gives to others: a shard that was
    /// down when the topology was made may hold such partitions open. One that comes back is closed altogether.
    pub(crate) fn plan(
        (topology, shard): (&Topology, &ShardId),
        action: &Action,
        records: &[(Partition, OwnerRecord)],
        least: Generation,
        token: Token,
    ) -> Self {
        let recorded = records.iter().map(|(_, record)| record.generation.next());
        let generation = recorded.fold(least, Generation::max);
        let close = |partition: Partition, keep_epochs: bool| {
            let state = topology.partition(partition);
            let command = command(state, shard, keep_epochs, (generation, token));
            (partition, command)
        };
        let commands = match action {
            Action::Open => Vec::new(),
            Action::Reopen { partitions } => partitions
                .iter()
                .map(|partition| close(*partition, false))
                .collect(),
            Action::Admit { keep_epochs } => {
                let has = |state: &PartitionState| state.owner() == shard || state.destination() == shard;
                let unsealed = records
                    .iter()
                    .filter(|(_, record)| record.state != OwnerState::Sealed);
                let unsealed: BTreeSet<Partition> = unsealed.map(|(partition, _)| *partition).collect();
                let whole = comes_back(topology, shard, records);
                let closed = topology
                    .states()
                    .filter(|(partition, state)| whole || has(state) || unsealed.contains(partition));
                closed
                    .map(|(partition, _)| close(partition, *keep_epochs))
                    .collect()
            }
        };
        Self { generation, commands }
    }
}

/// Whether `shard` was in use before and has not been since: a coordinator that has slept may still want to open there
/// what was decided then, and where nothing is on record nothing would stand in its way.
fn comes_back(topology: &Topology, shard: &ShardId, records: &[(Partition, OwnerRecord)]) -> bool {
    let entry = topology
        .shards
        .get(shard)
        .filter(|entry| entry.incarnation.is_none());
    entry.is_some_and(|entry| entry.state == ShardState::Lost || !records.is_empty())
}

/// How a partition in `state` is closed on `shard`. What it was moving there or away from there, it moves no more, so
/// neither source nor target keeps it open.
fn command(
    state: &PartitionState,
    shard: &ShardId,
    keep_epochs: bool,
    (generation, token): (Generation, Token),
) -> FenceCommand {
    let owned = state.owner() == shard;
    match state {
        PartitionState::Opening {
            content: OpeningContent::Fresh | OpeningContent::FreshUnlessOpen(_),
            ..
        } if owned => FenceCommand::Fresh {
            generation,
            token,
            unless_open: None,
        },
        // A lost target may have accepted more than is here.
        PartitionState::Moving { .. }
        | PartitionState::Opening {
            content: OpeningContent::Reclaim,
            ..
        } => FenceCommand::Admit {
            generation,
            keep_epochs: false,
        },
        PartitionState::Opening { .. } | PartitionState::Stable(_) => FenceCommand::Admit {
            generation,
            keep_epochs: keep_epochs && owned,
        },
    }
}

/// Whether nothing of `shard` has been opened, nor moved there, since it was admitted.
fn admission_is_under_way(topology: &Topology, shard: &ShardId, entry: &ShardEntry) -> bool {
    topology.states().all(|(_, state)| match state {
        PartitionState::Opening { generation, .. } => state.owner() != shard || *generation >= entry.admitted,
        PartitionState::Moving {
            from, to, generation, ..
        } => from != shard && (to != shard || *generation <= entry.admitted),
        PartitionState::Stable(owner) => owner != shard,
    })
}

/// Whether `partition` is `shard`'s, and not about to move.
fn is_settled(topology: &Topology, shard: &ShardId, partition: Partition) -> bool {
    let state = topology.partition(partition);
    state.owner() == shard && !matches!(state, PartitionState::Moving { .. })
}

#[cfg(test)]
mod tests;
