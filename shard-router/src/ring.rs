//! The ring: proposes an owner for every partition by consistent hashing with bounded loads.
//!
//! A proposal starts from the present owners, because moving a partition costs more than a perfect placement gains:
//! a shard keeps what it has while it is within its [`Bounds`], and only what is above them, or owned by nobody, is
//! placed anew, on the shard that the ring meets first from the partition's point.
//!
//! What comes out is pinned by golden vectors: two gateways of different releases must propose the same.

use std::collections::BTreeMap;

use crate::partition::Partition;
use crate::topology::ShardId;

mod bounds;
mod plan;
mod walk;

#[cfg(test)]
mod tests;

use bounds::Bounds;
use plan::Plan;
use walk::Walk;

/// Proposes the owner of every partition, by index, so that each shard's part follows its weight and as few partitions
/// as possible change hands.
///
/// `present` holds the present owners by index. An owner that is not in `shards`, or there with weight 0, is about to
/// leave: all it has is placed on others. `None` if no shard may own anything.
///
/// # Panics
///
/// If `present` does not hold one entry for each partition.
#[must_use]
pub fn propose(shards: &BTreeMap<ShardId, u32>, present: &[Option<ShardId>]) -> Option<Vec<ShardId>> {
    let ring = Ring::new(shards)?;
    let mut plan = ring.plan(present);
    plan.shed();
    plan.place();
    plan.fill();
    Some(ring.names(&plan.into_owners()))
}

/// Proposes an owner for the partitions that have none among `shards`, and leaves every other where it is, however
/// uneven that may be: for filling gaps when nothing can be moved.
///
/// # Panics
///
/// As [`propose`].
#[must_use]
pub fn place_missing(shards: &BTreeMap<ShardId, u32>, present: &[Option<ShardId>]) -> Option<Vec<ShardId>> {
    let ring = Ring::new(shards)?;
    let mut plan = ring.plan(present);
    plan.place();
    Some(ring.names(&plan.into_owners()))
}

/// The shards that may own partitions, in the order of their names, and what follows from their weights.
struct Ring<'a> {
    shards: Vec<&'a ShardId>,
    bounds: Vec<Bounds>,
    walk: Walk,
}

impl<'a> Ring<'a> {
    fn new(shards: &'a BTreeMap<ShardId, u32>) -> Option<Self> {
        let weighted: Vec<(&ShardId, u32)> = shards
            .iter()
            .filter(|(_, weight)| **weight > 0)
            .map(|(id, weight)| (id, *weight))
            .collect();
        if weighted.is_empty() {
            return None;
        }
        Some(Self {
            shards: weighted.iter().map(|(id, _)| *id).collect(),
            bounds: Bounds::of(&weighted),
            walk: Walk::new(&weighted),
        })
    }

    fn plan(&self, present: &[Option<ShardId>]) -> Plan<'_> {
        assert_eq!(
            present.len(),
            usize::from(Partition::COUNT),
            "one present owner for each partition"
        );
        let index = |id: &ShardId| self.shards.binary_search(&id).ok();
        let owners = present.iter().map(|owner| owner.as_ref().and_then(index));
        Plan::new(&self.bounds, &self.walk, owners.collect())
    }

    fn names(&self, owners: &[usize]) -> Vec<ShardId> {
        owners.iter().map(|owner| self.shards[*owner].clone()).collect()
    }
}
