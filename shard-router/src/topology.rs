//! The topology: the versioned document that decides which shard owns which partition.
//!
//! The ring only *proposes*; what is written here is what is so, and a change in the ring's code can never re-route
//! a running fleet by itself.
//!
//! A document never changes. Each of the transitions makes the next one, with a higher generation, and says no to
//! what the present one does not allow; whoever wants a transition writes it to the store by compare-and-set.

use std::collections::BTreeMap;

use crate::partition::Partition;

mod document;
mod id;
mod leaving;
mod moving;
mod partition;
mod request;
mod shard;
mod transition;
mod validate;

#[cfg(test)]
mod tests;

pub use document::DocumentError;
pub use id::{DeploymentId, Generation, Incarnation, ShardId, Token};
pub use partition::{MoveHistory, OpeningContent, PartitionState};
pub use request::{PlanSummary, RequestError, ShardRequest};
pub use shard::{ShardEntry, ShardState, ShardUrl, WantedShard};
pub use transition::{Change, TransitionError};
pub use validate::Invalid;

/// The topology document. Immutable once read; every change makes a new one with a higher generation.
#[derive(Clone, Debug, PartialEq)]
pub struct Topology {
    /// Version of this document.
    pub generation: Generation,
    /// Random, so that two documents that were proposed at the same generation differ.
    pub change_id: u64,
    /// Which deployment this is.
    pub deployment: DeploymentId,
    /// The shards by name.
    pub shards: BTreeMap<ShardId, ShardEntry>,
    /// One state for each partition, by index.
    pub partitions: Vec<PartitionState>,
    /// Moves that are decided and not announced yet: each partition's new owner.
    pub plan: BTreeMap<Partition, ShardId>,
    /// How many moves the present plan had when it was made; 0 when all of them are over.
    pub planned: usize,
    /// What remains on shards that partitions have left, or to which they were never moved to the end, and through which
    /// generation it may be deleted.
    pub cleaning: BTreeMap<(ShardId, Partition), Generation>,
    /// The shard list that the managing file or DNS name gave last. Carried out when nothing is planned or moving.
    pub wanted: Option<BTreeMap<ShardId, WantedShard>>,
}

impl Topology {
    /// A document in which nothing is planned, and whose deployment is named by its change's random number.
    #[must_use]
    pub fn new(
        change: Change,
        shards: BTreeMap<ShardId, ShardEntry>,
        partitions: Vec<PartitionState>,
    ) -> Self {
        Self {
            generation: change.generation,
            change_id: change.id,
            deployment: DeploymentId(change.id),
            shards,
            partitions,
            plan: BTreeMap::new(),
            planned: 0,
            cleaning: BTreeMap::new(),
            wanted: None,
        }
    }

    /// The state of `partition`.
    #[must_use]
    pub fn partition(&self, partition: Partition) -> &PartitionState {
        &self.partitions[partition.index()]
    }

    /// Each partition with its state, in order.
    pub fn states(&self) -> impl Iterator<Item = (Partition, &PartitionState)> {
        Partition::all().zip(&self.partitions)
    }

    /// The partitions that `shard` owns: stable, opening, or moving away.
    pub fn owned_by<'a>(
        &'a self,
        shard: &'a ShardId,
    ) -> impl Iterator<Item = (Partition, &'a PartitionState)> {
        self.states().filter(move |(_, state)| state.owner() == shard)
    }

    /// How many partitions each shard owns; also those that own none.
    #[must_use]
    pub fn shares(&self) -> BTreeMap<ShardId, usize> {
        let mut shares: BTreeMap<ShardId, usize> = self.shards.keys().map(|id| (id.clone(), 0)).collect();
        for state in &self.partitions {
            if let Some(share) = shares.get_mut(state.owner()) {
                *share += 1;
            }
        }
        shares
    }
}
