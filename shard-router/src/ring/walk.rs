//! The ring itself: in which order a walk from a partition's point meets the shards.

use std::hash::{Hash, Hasher};

use hashring::HashRing;

use crate::partition::Partition;
use crate::topology::ShardId;

/// Points on the ring for a shard of mean weight. With 1000 the fullest shard of a plain ring is within 7 % of the
/// mean, close enough to the bounds that few walks go past the first shard; building 16 shards takes about 2 ms.
const POINTS_PER_SHARD: u64 = 1000;

/// For each partition the order in which the ring meets the shards.
pub(super) struct Walk {
    /// Shard indexes, one row of all shards for each partition.
    order: Vec<Vec<u16>>,
}

impl Walk {
    /// The walks over `shards`; what is returned by [`Walk::from`] are indexes into it.
    pub(super) fn new(shards: &[(&ShardId, u32)]) -> Self {
        let mut ring = HashRing::new();
        ring.batch_add(points(shards));
        let starts: Vec<(u16, u64)> = Partition::all()
            .map(|partition| ring.get(&PartitionPoint(partition)).map(Point::key))
            .map(|key| key.expect("each shard has at least one point"))
            .collect();
        let circle: Vec<(u16, u64)> = ring.into_iter().map(|point| point.key()).collect();
        let positions: ahash::AHashMap<(u16, u64), usize> =
            circle.iter().enumerate().map(|(at, key)| (*key, at)).collect();
        let order = starts
            .iter()
            .map(|start| distinct(&circle, positions[start], shards.len()))
            .collect();
        Self { order }
    }

    /// The shards in the order in which they are met from `partition`'s point.
    pub(super) fn from(&self, partition: usize) -> impl Iterator<Item = usize> {
        self.order[partition].iter().map(|shard| usize::from(*shard))
    }

    /// How many shards are met before `shard`.
    pub(super) fn rank(&self, partition: usize, shard: usize) -> usize {
        let found = self.from(partition).position(|met| met == shard);
        found.expect("a walk meets every shard")
    }
}

/// The shards in the order in which they appear on `circle` from `start` on.
fn distinct(circle: &[(u16, u64)], start: usize, shards: usize) -> Vec<u16> {
    let mut seen = vec![false; shards];
    let mut order = Vec::with_capacity(shards);
    let (before, after) = circle.split_at(start);
    for (shard, _) in after.iter().chain(before) {
        if !std::mem::replace(&mut seen[usize::from(*shard)], true) {
            order.push(*shard);
            if order.len() == shards {
                break;
            }
        }
    }
    order
}

/// The points of all shards, as many for each as its weight deserves.
fn points<'a>(shards: &[(&'a ShardId, u32)]) -> Vec<Point<'a>> {
    let total: u64 = shards.iter().map(|(_, weight)| u64::from(*weight)).sum();
    let all = POINTS_PER_SHARD * shards.len() as u64;
    let points_of = |(index, (id, weight)): (usize, &(&'a ShardId, u32))| {
        let count = (all * u64::from(*weight) / total).max(1);
        let shard = u16::try_from(index).expect("no deployment has 65536 shards");
        let name = id.as_str();
        (0..count).map(move |number| Point { name, number, shard })
    };
    shards.iter().enumerate().flat_map(points_of).collect()
}

/// One of a shard's points on the ring.
struct Point<'a> {
    name: &'a str,
    number: u64,
    /// Index of the shard; no part of what is hashed.
    shard: u16,
}

impl Point<'_> {
    fn key(&self) -> (u16, u64) {
        (self.shard, self.number)
    }
}

/// Written out, so that a place on the ring depends neither on how the standard library hashes a tuple nor on the
/// machine's byte order.
impl Hash for Point<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mut bytes = self.name.as_bytes().to_vec();
        bytes.push(0xff);
        bytes.extend_from_slice(&self.number.to_le_bytes());
        state.write(&bytes);
    }
}

/// Where the walk for a partition begins.
struct PartitionPoint(Partition);

impl Hash for PartitionPoint {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&(self.0.index() as u64).to_le_bytes());
    }
}
