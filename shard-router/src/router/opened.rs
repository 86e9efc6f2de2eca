//! One gateway's ways to its shards, and the state of their links.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};

use crate::handover::Serial;
use crate::partition::Partition;
use crate::shard::{LinkId, Shard, lane_of};
use crate::topology::{ShardId, ShardUrl};

/// A shard that was opened.
pub(super) struct OpenedShard {
    pub(super) shard: Arc<dyn Shard>,
    /// Where the topology had it when it was opened.
    url: ShardUrl,
    pub(super) links: Arc<Links>,
    /// Bounds the reads of streams under way, per shard, so that a stalled one delays no other.
    pub(super) reads: Semaphore,
    /// Set while a position check of this shard is under way.
    pub(super) checking: AtomicBool,
}

/// Which life of each of a shard's links is the present one.
///
/// A channel remembers the lives on which it is subscribed. When one is no longer present, that subscription is gone: a
/// broken link invalidates all its channels at once without a walk over them.
#[derive(Debug)]
pub(super) struct Links {
    /// By lane, as many as a lane's number can name.
    lanes: Box<[AtomicU64]>,
    /// Wakes those who wait for any link to come up.
    pub(super) up: Notify,
}

impl Default for Links {
    fn default() -> Self {
        let down = |_| AtomicU64::new(Self::DOWN);
        Self {
            lanes: (0..=u8::MAX).map(down).collect(),
            up: Notify::new(),
        }
    }
}

impl Links {
    /// No link's serial: the lane is down.
    pub(super) const DOWN: u64 = 0;

    pub(super) fn serial(&self, lane: u8) -> u64 {
        self.lanes[usize::from(lane)].load(Ordering::Acquire)
    }

    pub(super) fn is_current(&self, link: &LinkId) -> bool {
        self.serial(link.lane) == link.serial
    }

    pub(super) fn set_up(&self, link: &LinkId) {
        self.lanes[usize::from(link.lane)].store(link.serial, Ordering::Release);
        self.up.notify_waiters();
    }

    /// Only the present life can end; a late farewell of an earlier one changes nothing.
    pub(super) fn set_down(&self, link: &LinkId) {
        let lane = &self.lanes[usize::from(link.lane)];
        let _ = lane.compare_exchange(link.serial, Self::DOWN, Ordering::AcqRel, Ordering::Acquire);
    }
}

impl OpenedShard {
    /// The link that carries `partition`.
    pub(super) fn lane_of(&self, partition: Partition) -> u8 {
        lane_of(partition, self.shard.lanes())
    }

    /// The present life of that link; [`Links::DOWN`] if it has none.
    pub(super) fn link_of(&self, partition: Partition) -> Serial {
        self.links.serial(self.lane_of(partition))
    }

    /// Whether the link that carries `partition` is up.
    pub(super) fn is_up(&self, partition: Partition) -> bool {
        self.link_of(partition) != Links::DOWN
    }
}

/// All shards that were opened, by name. They stay open while the topology knows them.
#[derive(Default)]
pub(super) struct OpenedShards(Mutex<BTreeMap<ShardId, Arc<OpenedShard>>>);

impl OpenedShards {
    /// The shard `id` at `url`, opened with `open` if it was not yet. One that is open stays, at whatever URL.
    pub(super) fn get_or_open(
        &self,
        (id, url): (&ShardId, &ShardUrl),
        concurrent_reads: usize,
        open: impl FnOnce(Arc<Links>) -> Result<Arc<dyn Shard>, String>,
    ) -> Result<Arc<OpenedShard>, String> {
        let mut shards = self.0.lock();
        if let Some(shard) = shards.get(id) {
            return Ok(Arc::clone(shard));
        }
        let links = Arc::new(Links::default());
        let opened = Arc::new(OpenedShard {
            shard: open(Arc::clone(&links))?,
            url: url.clone(),
            links,
            reads: Semaphore::new(concurrent_reads.max(1)),
            checking: AtomicBool::new(false),
        });
        shards.insert(id.clone(), Arc::clone(&opened));
        Ok(opened)
    }

    pub(super) fn get(&self, id: &ShardId) -> Option<Arc<OpenedShard>> {
        self.0.lock().get(id).cloned()
    }

    /// Closes those of which `keep` says no.
    pub(super) fn retain(&self, keep: impl Fn(&ShardId, &ShardUrl) -> bool) {
        self.0.lock().retain(|id, opened| {
            let keep = keep(id, &opened.url);
            if !keep {
                opened.shard.close();
            }
            keep
        });
    }

    /// Closes all.
    pub(super) fn close(&self) {
        self.retain(|_, _| false);
    }
}
