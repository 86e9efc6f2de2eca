//! How many partitions a shard may and should own.

use crate::partition::Partition;
use crate::topology::ShardId;

/// A shard owns at most this many percent of its weighted share (rounded up): what bounded loads buy over a plain
/// ring, whose fullest shard has 106 % of the mean at best.
const CAPACITY_PERCENT: u64 = 105;

/// A shard owns at least this many percent of its weighted share (rounded down). Without it a shard that joins twenty
/// others, each within its capacity, would get nothing. It leaves enough room between the bounds that a shard that
/// joins or leaves moves no partition between two others.
const FLOOR_PERCENT: u64 = 95;

/// The least and the most that one shard should own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    /// Below this, it takes partitions from others.
    pub(super) floor: usize,
    /// Above this, it gives partitions away.
    pub(super) capacity: usize,
}

impl Bounds {
    /// The bounds of each of `shards`, in their order. Sums of capacities are never below, sums of floors never above
    /// the number of partitions.
    pub(super) fn of(shards: &[(&ShardId, u32)]) -> Vec<Self> {
        let total: u64 = shards.iter().map(|(_, weight)| u64::from(*weight)).sum();
        let count = u64::from(Partition::COUNT);
        let share = |percent: u64, weight: u32| percent * count * u64::from(weight);
        let whole = 100 * total;
        shards
            .iter()
            .map(|(_, weight)| Self {
                floor: to_usize(share(FLOOR_PERCENT, *weight) / whole),
                capacity: to_usize(share(CAPACITY_PERCENT, *weight).div_ceil(whole)),
            })
            .collect()
    }
}

fn to_usize(partitions: u64) -> usize {
    usize::try_from(partitions).expect("a part of the partitions is a small number")
}
