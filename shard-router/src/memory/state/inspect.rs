//! Looking at a server from outside, for the simulator: nothing is touched, nothing expires by it.

use campanile_common::{ChannelName, Position};

use super::channel::Channel;
use super::{LinkKey, MemoryState};
use crate::fence::OwnerRecord;
use crate::partition::Partition;

impl MemoryState {
    /// A partition's owner record.
    pub(crate) fn record(&self, partition: Partition) -> Option<&OwnerRecord> {
        self.data.partitions.get(&partition)?.owner.as_ref()
    }

    /// A stream's position, if it has one that continues. It may have expired.
    pub(crate) fn peek(&self, partition: Partition, name: &ChannelName) -> Option<Position> {
        let floor = self.record(partition)?.floor;
        let channel = self.channel(partition, name)?;
        channel.continues(floor).then(|| channel.position())
    }

    /// Whether anything is kept of a channel.
    pub(crate) fn holds(&self, partition: Partition, name: &ChannelName) -> bool {
        self.channel(partition, name)
            .is_some_and(|channel| !channel.is_empty())
    }

    /// Whether a link is subscribed to a channel.
    pub(crate) fn listens(&self, link: LinkKey, partition: Partition, name: &ChannelName) -> bool {
        self.pubsub.listens(link, partition, name)
    }

    fn channel(&self, partition: Partition, name: &ChannelName) -> Option<&Channel> {
        self.data.partitions.get(&partition)?.channels.get(name)
    }
}
