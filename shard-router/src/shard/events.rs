//! What a shard tells its router, over which links.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::partition::Partition;
use crate::publication::ShardMessage;
use crate::topology::{Generation, ShardId};

/// What a shard tells its router. Called from the link's own task, in the link's order; must not block.
pub trait ShardEvents: Send + Sync + 'static {
    /// A message arrived on a link.
    fn message(&self, link: &LinkId, channel: &str, message: ShardMessage);

    /// The shard says that it sealed `partition` for the move (or admission) named `generation`: whatever it
    /// published before, this link has brought before.
    fn marker(&self, link: &LinkId, partition: Partition, generation: Generation);

    /// A link is up; nothing is subscribed on it yet.
    fn link_up(&self, link: &LinkId);

    /// A link is gone, and all its subscriptions with it; messages may have been lost.
    fn link_down(&self, link: &LinkId);
}

/// One life of one Pub/Sub link.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LinkId {
    /// The shard it leads to.
    pub shard: ShardId,
    /// Which of the shard's links; see [`lane_of`].
    pub lane: u8,
    /// Unique among all shards' links within this process; a link that is made anew has a higher one.
    pub serial: u64,
}

/// Which of a shard's Pub/Sub links carries `partition`: all channels of a partition share one, so that its markers
/// and its messages are in one order.
#[must_use]
pub fn lane_of(partition: Partition, lanes: u8) -> u8 {
    u8::try_from(partition.index() % usize::from(lanes.max(1))).expect("a remainder of a u8 fits u8")
}

/// The serial of a link that has just come up; see [`LinkId`].
pub(crate) fn next_serial() -> u64 {
    static SERIAL: AtomicU64 = AtomicU64::new(1);
    SERIAL.fetch_add(1, Ordering::Relaxed)
}
