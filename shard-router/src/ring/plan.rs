//! From present owners to proposed ones, within the bounds.

use super::bounds::Bounds;
use super::walk::Walk;

/// An assignment in the making. Shards are indexes into the ring's list, partitions their numbers.
pub(super) struct Plan<'a> {
    bounds: &'a [Bounds],
    walk: &'a Walk,
    owners: Vec<Option<usize>>,
    loads: Vec<usize>,
}

impl<'a> Plan<'a> {
    pub(super) fn new(bounds: &'a [Bounds], walk: &'a Walk, owners: Vec<Option<usize>>) -> Self {
        let mut loads = vec![0; bounds.len()];
        for owner in owners.iter().flatten() {
            loads[*owner] += 1;
        }
        Self {
            bounds,
            walk,
            owners,
            loads,
        }
    }

    /// Takes from each shard above its capacity what it has too much: first what the ring would rather see on the
    /// shards that have too little.
    pub(super) fn shed(&mut self) {
        let receivers = self.receivers();
        for shard in 0..self.bounds.len() {
            let excess = self.loads[shard].saturating_sub(self.bounds[shard].capacity);
            if excess == 0 {
                continue;
            }
            let mut owned = self.owned_by(shard);
            owned.sort_by_key(|partition| (self.nearest(*partition, &receivers), *partition));
            for partition in owned.into_iter().take(excess) {
                self.owners[partition] = None;
                self.loads[shard] -= 1;
            }
        }
    }

    /// Gives each partition without an owner to the first shard on its walk that is below its floor, or, when all
    /// have that, to the first below its capacity, or, when what cannot be moved leaves no room, to the first.
    pub(super) fn place(&mut self) {
        for partition in 0..self.owners.len() {
            if self.owners[partition].is_some() {
                continue;
            }
            let first = |fits: &dyn Fn(usize) -> bool| self.walk.from(partition).find(|shard| fits(*shard));
            let shard = first(&|shard| self.loads[shard] < self.bounds[shard].floor)
                .or_else(|| first(&|shard| self.loads[shard] < self.bounds[shard].capacity))
                .or_else(|| first(&|_| true))
                .expect("a ring has at least one shard");
            self.owners[partition] = Some(shard);
            self.loads[shard] += 1;
        }
    }

    /// Brings each shard up to its floor with partitions of shards that are above theirs: those whose walk meets it
    /// earliest.
    pub(super) fn fill(&mut self) {
        for shard in 0..self.bounds.len() {
            if self.loads[shard] >= self.bounds[shard].floor {
                continue;
            }
            let mut candidates: Vec<usize> = (0..self.owners.len()).collect();
            candidates.sort_by_key(|partition| (self.walk.rank(*partition, shard), *partition));
            for partition in candidates {
                if self.loads[shard] >= self.bounds[shard].floor {
                    break;
                }
                self.take(partition, shard);
            }
        }
    }

    /// The proposed owners; everything must have been placed.
    pub(super) fn into_owners(self) -> Vec<usize> {
        let placed = self.owners.into_iter();
        placed
            .map(|owner| owner.expect("`place` gives every partition an owner"))
            .collect()
    }

    /// Gives `partition` to `shard` if its owner can spare it.
    fn take(&mut self, partition: usize, shard: usize) {
        let Some(owner) = self.owners[partition] else {
            return;
        };
        if owner != shard && self.loads[owner] > self.bounds[owner].floor {
            self.owners[partition] = Some(shard);
            self.loads[owner] -= 1;
            self.loads[shard] += 1;
        }
    }

    /// The shards to which what is shed will go: those below their floor, or, if there are none, those with room.
    fn receivers(&self) -> Vec<bool> {
        let below = |limit: fn(&Bounds) -> usize| -> Vec<bool> {
            let pairs = self.loads.iter().zip(self.bounds);
            pairs.map(|(load, bounds)| *load < limit(bounds)).collect()
        };
        let hungry = below(|bounds| bounds.floor);
        if hungry.contains(&true) {
            hungry
        } else {
            below(|bounds| bounds.capacity)
        }
    }

    fn owned_by(&self, shard: usize) -> Vec<usize> {
        let owned = self
            .owners
            .iter()
            .enumerate()
            .filter(|(_, owner)| **owner == Some(shard));
        owned.map(|(partition, _)| partition).collect()
    }

    /// How many shards a walk from `partition` meets before the first of `receivers`.
    fn nearest(&self, partition: usize, receivers: &[bool]) -> usize {
        self.walk
            .from(partition)
            .position(|shard| receivers[shard])
            .unwrap_or(usize::MAX)
    }
}
