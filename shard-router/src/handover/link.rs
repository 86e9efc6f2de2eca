//! The present links of one partition, one to each shard at most, as far as anything is known of them.

use super::Serial;
use crate::topology::{Generation, ShardId};

/// The present link to one shard.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) shard: ShardId,
    pub(super) serial: Serial,
    /// How many of the partition's channels are subscribed on it: from the SUBSCRIBE that was sent first to the
    /// acknowledged UNSUBSCRIBE.
    pub(super) channels: u32,
    /// The highest marker that it brought.
    pub(super) marker: Generation,
}

/// At most a handful: the shards that own the partition now, or did a moment ago.
#[derive(Clone, Debug, Default)]
pub(super) struct Links(Vec<Link>);

impl Links {
    pub(super) fn to(&self, shard: &ShardId) -> Option<&Link> {
        self.0.iter().find(|link| link.shard == *shard)
    }

    pub(super) fn by_serial(&self, serial: Serial) -> Option<&Link> {
        self.0.iter().find(|link| link.serial == serial)
    }

    pub(super) fn by_serial_mut(&mut self, serial: Serial) -> Option<&mut Link> {
        self.0.iter_mut().find(|link| link.serial == serial)
    }

    /// The link `serial` to `shard`, which takes the place of an earlier one; `None` if a later one has taken its own.
    pub(super) fn enter(&mut self, shard: &ShardId, serial: Serial) -> Option<&mut Link> {
        let index = match self.0.iter().position(|link| link.shard == *shard) {
            Some(index) if self.0[index].serial > serial => return None,
            Some(index) if self.0[index].serial == serial => index,
            Some(index) => {
                self.0[index] = Link::new(shard, serial);
                index
            }
            None => {
                // Most partitions have one link and never another.
                self.0.reserve_exact(1);
                self.0.push(Link::new(shard, serial));
                self.0.len() - 1
            }
        };
        self.0.get_mut(index)
    }

    pub(super) fn remove(&mut self, serial: Serial) {
        self.0.retain(|link| link.serial != serial);
        self.0.shrink_to_fit();
    }
}

impl Link {
    fn new(shard: &ShardId, serial: Serial) -> Self {
        Self {
            shard: shard.clone(),
            serial,
            channels: 0,
            marker: Generation::default(),
        }
    }
}
