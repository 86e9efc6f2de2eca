//! Which shards may serve a partition now, in the order in which they are worth asking.
//!
//! While a partition moves that is the source, and once that has sealed it, the target. A gateway learns of the seal from
//! the marker, or from the first request that the source refuses, whichever comes first; what is sealed stays so within
//! its move, so the source is not asked again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Core;
use super::line::Destination;
use super::opened::OpenedShard;
use super::retry::Backoff;
use crate::audience::Audience;
use crate::partition::Partition;
use crate::shard::{Shard, ShardError, ShardFuture};
use crate::topology::{Generation, PartitionState};

/// The shards to ask, in order.
#[derive(Default)]
pub(super) struct Ways {
    pub(super) first: Option<Arc<OpenedShard>>,
    /// To be asked if the first one does not serve the partition.
    pub(super) second: Option<Arc<OpenedShard>>,
    /// If the first one is the source of a move: which one. If it refuses, it has sealed the partition.
    pub(super) source_of: Option<Generation>,
}

/// For which moves the sources are known to refuse requests: by partition, the generation that announced the move.
pub(super) struct SealedSources(Box<[AtomicU64]>);

impl Default for SealedSources {
    fn default() -> Self {
        Self(Partition::all().map(|_| AtomicU64::new(0)).collect())
    }
}

impl SealedSources {
    fn note(&self, partition: Partition, moved: Generation) {
        self.0[partition.index()].fetch_max(moved.0, Ordering::Relaxed);
    }

    fn knows(&self, partition: Partition, moved: Generation) -> bool {
        self.0[partition.index()].load(Ordering::Relaxed) == moved.0
    }
}

impl OpenedShard {
    /// Tells it from other shards.
    pub(super) fn destination(&self) -> Destination {
        Destination(std::ptr::from_ref(self).addr())
    }
}

impl<A: Audience> Core<A> {
    pub(super) fn ways(&self, partition: Partition) -> Ways {
        let routes = self.routes.load();
        let source = routes.owner(partition).cloned();
        let Some(moved) = self.moving(partition) else {
            return Ways {
                first: source,
                ..Ways::default()
            };
        };
        let target = routes.target(partition).cloned();
        let sealed = self.sealed.knows(partition, moved) || self.handovers.is_sealed_at_source(partition);
        match source {
            Some(source) if !sealed => Ways {
                first: Some(source),
                second: target,
                source_of: Some(moved),
            },
            _ => Ways {
                first: target,
                ..Ways::default()
            },
        }
    }

    /// The generation that announced the present move of `partition`, if it moves.
    fn moving(&self, partition: Partition) -> Option<Generation> {
        let routes = self.routes.load();
        match routes.topology.as_ref()?.partition(partition) {
            PartitionState::Moving { generation, .. } => Some(*generation),
            PartitionState::Stable(_) | PartitionState::Opening { .. } => None,
        }
    }

    /// The first of some [`Ways`] of `partition` does not serve it.
    pub(super) fn refused(&self, partition: Partition, source_of: Option<Generation>) {
        if let Some(moved) = source_of {
            self.sealed.note(partition, moved);
        }
    }

    /// Asks the shards that may serve `partition` one after the other, until one does. With which it was.
    ///
    /// `NotOwner` only if all of them say so.
    pub(super) async fn ask<T>(
        &self,
        partition: Partition,
        operation: impl Fn(&dyn Shard) -> ShardFuture<T>,
    ) -> Result<(T, Arc<OpenedShard>), ShardError> {
        let ways = self.ways(partition);
        let mut source_of = ways.source_of;
        let (mut found, mut unreachable) = (false, None);
        for shard in [ways.first, ways.second].into_iter().flatten() {
            let source_of = source_of.take();
            match operation(&*shard.shard).await {
                Ok(answer) => return Ok((answer, shard)),
                Err(ShardError::NotOwner) => self.refused(partition, source_of),
                Err(other) if may_ask_another(&other) => unreachable = Some(other),
                Err(other) => return Err(other),
            }
            found = true;
        }
        match unreachable {
            Some(error) => Err(error),
            None if found => Err(ShardError::NotOwner),
            None => Err(no_owner()),
        }
    }

    /// The pauses between attempts at `partition`.
    pub(super) fn pauses(&self, partition: Partition) -> Backoff {
        match self.moving(partition) {
            Some(_) => Backoff::moving(),
            None => Backoff::owner(),
        }
    }
}

/// Whether nothing was done, and another shard, or the same one a little later, may do it.
pub(super) fn may_ask_another(error: &ShardError) -> bool {
    matches!(error, ShardError::NotOwner | ShardError::Unavailable(_))
}

pub(super) fn no_owner() -> ShardError {
    ShardError::Unavailable("no known shard owns the partition".to_owned())
}
