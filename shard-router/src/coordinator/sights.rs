//! What the keepers have seen of their shards, for those who decide about several shards at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

use crate::topology::ShardId;

/// What a keeper has seen last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sight {
    /// It answered.
    pub(super) reachable: bool,
    /// With the run that the topology trusts.
    pub(super) trusted: bool,
    /// Somebody has asked, on the server itself, that it be drained.
    pub(super) drain_asked: bool,
    /// It had asked to be drained, and has started anew since.
    pub(super) returned: bool,
}

/// What all keepers of a term have seen last, and whose shard is being decided about.
#[derive(Debug, Default)]
pub(super) struct Sights {
    seen: Mutex<BTreeMap<ShardId, Sight>>,
    turns: Mutex<BTreeMap<ShardId, Arc<Turn<()>>>>,
    /// The shards that have been told that they are drained.
    told: Mutex<BTreeSet<ShardId>>,
}

impl Sights {
    pub(super) fn note(&self, shard: &ShardId, sight: Sight) {
        self.seen.lock().insert(shard.clone(), sight);
    }

    /// What was seen of `shard` last; of one that was not looked at yet, nothing good.
    pub(super) fn of(&self, shard: &ShardId) -> Sight {
        self.seen.lock().get(shard).copied().unwrap_or_default()
    }

    /// Whether `shard` has yet to be told that it is drained.
    pub(super) fn is_untold(&self, shard: &ShardId) -> bool {
        !self.told.lock().contains(shard)
    }

    /// Notes whether `shard` has been told that it is drained.
    pub(super) fn tell(&self, shard: &ShardId, told: bool) {
        let mut all = self.told.lock();
        match told {
            true => all.insert(shard.clone()),
            false => all.remove(shard),
        };
    }

    /// Whether any shard but `shard` among `others` was seen to answer.
    pub(super) fn reaches_another<'a>(
        &self,
        shard: &ShardId,
        mut others: impl Iterator<Item = &'a ShardId>,
    ) -> bool {
        others.any(|other| other != shard && self.of(other).reachable)
    }

    /// Waits until nobody else decides about `shard`, and keeps others from it as long as the guard lives. Moves from
    /// and to a shard are not announced meanwhile, so that what a keeper has read of it stays what it is about.
    pub(super) async fn turn(&self, shard: &ShardId) -> OwnedMutexGuard<()> {
        self.lock_of(shard).lock_owned().await
    }

    /// The turns of all `shards`, if nobody has one of them.
    pub(super) fn try_turns<'a>(
        &self,
        shards: impl Iterator<Item = &'a ShardId>,
    ) -> Option<Vec<OwnedMutexGuard<()>>> {
        shards
            .map(|shard| self.lock_of(shard).try_lock_owned().ok())
            .collect()
    }

    fn lock_of(&self, shard: &ShardId) -> Arc<Turn<()>> {
        Arc::clone(self.turns.lock().entry(shard.clone()).or_default())
    }
}
