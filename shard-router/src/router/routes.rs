//! The routing snapshot: one topology and the shards it names, read without a lock, replaced as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::ShardHealth;
use super::opened::OpenedShard;
use crate::partition::Partition;
use crate::shard::ShardStatus;
use crate::topology::{PartitionState, ShardId, ShardState, Topology};

/// Immutable; every applied topology makes a new one.
#[derive(Default)]
pub(super) struct Routes {
    /// `None` before the first.
    pub(super) topology: Option<Arc<Topology>>,
    /// The shards that this gateway was told how to reach.
    shards: BTreeMap<ShardId, Arc<OpenedShard>>,
    /// By partition index; empty before the first topology.
    places: Vec<Place>,
}

/// The shards of one partition, as far as this gateway has ways to them.
struct Place {
    owner: Option<Arc<OpenedShard>>,
    target: Option<Arc<OpenedShard>>,
}

impl Routes {
    pub(super) fn new(topology: Arc<Topology>, shards: BTreeMap<ShardId, Arc<OpenedShard>>) -> Self {
        let place = |(_, state): (Partition, &PartitionState)| Place {
            owner: shards.get(state.owner()).cloned(),
            target: match state {
                PartitionState::Moving { to, .. } => shards.get(to).cloned(),
                PartitionState::Stable(_) | PartitionState::Opening { .. } => None,
            },
        };
        let places = topology.states().map(place).collect();
        Self {
            topology: Some(topology),
            shards,
            places,
        }
    }

    /// The shard to which requests for `partition` go first: during a move the source, until it has sealed the
    /// partition.
    pub(super) fn owner(&self, partition: Partition) -> Option<&Arc<OpenedShard>> {
        self.places.get(partition.index())?.owner.as_ref()
    }

    /// The shard to which `partition` moves, if it does: requests go there once the source has sealed it.
    pub(super) fn target(&self, partition: Partition) -> Option<&Arc<OpenedShard>> {
        self.places.get(partition.index())?.target.as_ref()
    }

    /// The shards of the topology that are not connected.
    pub(super) fn unreachable(&self) -> BTreeSet<ShardId> {
        let shards = self.topology.iter().flat_map(|topology| topology.shards.keys());
        let connected = |id: &ShardId| {
            let opened = self.shards.get(id);
            opened.is_some_and(|opened| opened.shard.status() == ShardStatus::Connected)
        };
        shards.filter(|id| !connected(id)).cloned().collect()
    }

    pub(super) fn health(&self) -> Vec<ShardHealth> {
        let Some(topology) = &self.topology else {
            return Vec::new();
        };
        let shares = topology.shares();
        let health = |(id, entry): (&ShardId, &crate::topology::ShardEntry)| ShardHealth {
            id: id.clone(),
            address: entry.address.clone(),
            status: match self.shards.get(id) {
                Some(opened) => opened.shard.status(),
                None if entry.state == ShardState::Lost => {
                    ShardStatus::Unreachable("it was lost, and nobody is connected to it".to_owned())
                }
                None => {
                    ShardStatus::Unreachable("this gateway has no way to it; its log says why".to_owned())
                }
            },
            partitions: shares.get(id).copied().unwrap_or(0),
            opening: opening(topology, id),
        };
        topology.shards.iter().map(health).collect()
    }
}

/// How many partitions are to be opened on `shard` and are not yet.
fn opening(topology: &Topology, shard: &ShardId) -> usize {
    let is_opening = |state: &&PartitionState| matches!(state, PartitionState::Opening { shard: target, .. } if target == shard);
    topology.partitions.iter().filter(is_opening).count()
}
