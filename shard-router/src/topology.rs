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
mod partition;
mod shard;
mod transition;
mod validate;

#[cfg(test)]
mod tests;

pub use document::DocumentError;
pub use id::{Generation, Incarnation, ShardId, Token};
pub use partition::{OpeningContent, PartitionState};
pub use shard::{ShardEntry, ShardState};
pub use transition::{Change, TransitionError};
pub use validate::Invalid;

/// The topology document. Immutable once read; every change makes a new one with a higher generation.
#[derive(Clone, Debug, PartialEq)]
pub struct Topology {
    /// Version of this document.
    pub generation: Generation,
    /// Random, so that two documents that were proposed at the same generation differ.
    pub change_id: u64,
    /// The shards by name.
    pub shards: BTreeMap<ShardId, ShardEntry>,
    /// One state for each partition, by index.
    pub partitions: Vec<PartitionState>,
}

impl Topology {
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
