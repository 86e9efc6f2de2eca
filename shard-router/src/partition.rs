//! Partitions: the unit that a shard owns and that moves between shards.

use std::fmt;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

/// One of [`Partition::COUNT`] slices of the channel space: `xxh3_64(channel) mod COUNT`.
///
/// The mapping is part of what is stored (each key of a partition carries its number), so neither the hash nor the
/// count may ever change for the life of a deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Partition(u16);

impl Partition {
    /// How many partitions there are. 4096 keeps a move small (1/4096 of the channels) and the topology document
    /// a few tens of kilobytes, and lets hundreds of shards share them evenly.
    pub const COUNT: u16 = 4096;

    /// The partition that `channel` belongs to.
    #[must_use]
    pub fn of(channel: &str) -> Self {
        let slot = xxh3_64(channel.as_bytes()) % u64::from(Self::COUNT);
        Self(u16::try_from(slot).expect("a remainder of 4096 fits u16"))
    }

    /// The partition numbered `index`; `None` at [`Partition::COUNT`] and above.
    #[must_use]
    pub fn from_index(index: u16) -> Option<Self> {
        (index < Self::COUNT).then_some(Self(index))
    }

    /// All partitions in order.
    pub fn all() -> impl ExactSizeIterator<Item = Self> {
        (0..Self::COUNT).map(Self)
    }

    /// Its number, below [`Partition::COUNT`].
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests;
