//! The first topology of an empty store.
//!
//! A store is empty when the deployment is new, or when it has lost everything. So the shards are asked first: what
//! exactly one of them holds open stays there, and the first generation is above every one they have on record.

use std::collections::BTreeMap;

use crate::fence::OwnerRecord;
use crate::partition::Partition;
use crate::ring;
use crate::shard::Probe;
use crate::topology::{Change, DeploymentId, Generation, OpeningContent, ShardId, Topology, WantedShard};

/// What was found on a shard that answered.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    pub(super) probe: Probe,
    pub(super) records: Vec<(Partition, OwnerRecord)>,
}

/// The first topology, at or above generation `least`; `None` if no shard is configured that may own anything.
///
/// Shards that did not answer get their part of what nobody holds; it is opened when they come.
pub(super) fn first_topology(
    configured: &BTreeMap<ShardId, WantedShard>,
    found: &BTreeMap<ShardId, Finding>,
    least: Generation,
    id: u64,
) -> Option<Topology> {
    let holders = holders(found);
    let weights = configured
        .iter()
        .map(|(id, shard)| (id.clone(), shard.weight))
        .collect();
    let owners = ring::place_missing(&weights, &holders)?;
    let content = |(owner, holder): (ShardId, &Option<ShardId>)| {
        let keep = holder.as_ref() == Some(&owner);
        (
            owner,
            if keep {
                OpeningContent::Keep
            } else {
                OpeningContent::Fresh
            },
        )
    };
    let placement = owners.into_iter().zip(&holders).map(content).collect();
    let entries = configured
        .iter()
        .map(|(id, shard)| (id.clone(), shard.entry()))
        .collect();
    let change = Change {
        generation: least.max(latest(found).next()),
        id,
    };
    let topology = Topology::bootstrap(change, entries, placement)
        .expect("the ring places each partition on a listed shard");
    Some(Topology {
        deployment: noted(found).unwrap_or(topology.deployment),
        ..topology
    })
}

/// The deployment that all shards say they belong to: then it is the same one, and its store was lost.
fn noted(found: &BTreeMap<ShardId, Finding>) -> Option<DeploymentId> {
    let mut notes = found.values().filter_map(|finding| finding.probe.deployment);
    let first = notes.next()?;
    notes.all(|note| note == first).then_some(first)
}

/// For each partition the shard that holds it open, where exactly one does.
fn holders(found: &BTreeMap<ShardId, Finding>) -> Vec<Option<ShardId>> {
    let mut open: Vec<Vec<&ShardId>> = vec![Vec::new(); usize::from(Partition::COUNT)];
    for (id, finding) in found {
        for (partition, record) in &finding.records {
            if record.state.serves() {
                open[partition.index()].push(id);
            }
        }
    }
    let only = |shards: Vec<&ShardId>| match shards[..] {
        [shard] => Some(shard.clone()),
        _ => None,
    };
    open.into_iter().map(only).collect()
}

/// The latest generation on record anywhere.
fn latest(found: &BTreeMap<ShardId, Finding>) -> Generation {
    let of_shard = |finding: &Finding| {
        let recorded = finding
            .records
            .iter()
            .map(|(_, record)| record.generation.max(record.floor));
        recorded.chain(finding.probe.admitted).max()
    };
    found.values().filter_map(of_shard).max().unwrap_or_default()
}

#[cfg(test)]
mod tests;
