//! Which moves of the plan are announced next. No I/O.

use std::collections::{BTreeMap, BTreeSet};

use super::super::sights::Sights;
use super::is_usable;
use crate::partition::Partition;
use crate::topology::{PartitionState, ShardId, Topology};

/// The next moves of the plan, `most` of them at most: those whose partition is at rest, between shards that answer.
/// Those from one shard to one other come together, because each walk over a shard's keys costs the same for one
/// partition and for many.
pub(super) fn next(topology: &Topology, sights: &Sights, most: usize) -> Vec<Partition> {
    let mut possible: BTreeMap<(&ShardId, &ShardId), Vec<Partition>> = BTreeMap::new();
    for (partition, to) in &topology.plan {
        if let PartitionState::Stable(from) = topology.partition(*partition) {
            possible.entry((from, to)).or_default().push(*partition);
        }
    }
    let ready = |shard: &ShardId| is_usable(topology, shard) && sights.of(shard).trusted;
    let pairs = possible
        .into_iter()
        .filter(|((from, to), _)| ready(from) && ready(to));
    pairs.flat_map(|(_, partitions)| partitions).take(most).collect()
}

/// The shards that the planned moves of `batch` lead from and to.
pub(super) fn shards_of(topology: &Topology, batch: &[Partition]) -> BTreeSet<ShardId> {
    let both = |partition: &Partition| {
        let to = topology.plan.get(partition).cloned();
        [Some(topology.partition(*partition).owner().clone()), to]
    };
    batch.iter().flat_map(both).flatten().collect()
}

/// Why nothing of the plan can be announced, in words.
pub(super) fn obstacle(topology: &Topology, sights: &Sights) -> Option<String> {
    let involved = shards_of(topology, &topology.plan.keys().copied().collect::<Vec<_>>());
    let absent = involved.into_iter().find(|shard| !sights.of(shard).trusted);
    absent.map(|shard| format!("shard {shard} cannot be used yet"))
}
