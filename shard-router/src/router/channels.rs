//! The map of subscribed channels.

use std::collections::HashMap;
use std::sync::Arc;

use ahash::RandomState;
use campanile_common::{ChannelName, Position};
use parking_lot::RwLock;

use super::channel::Channel;
use crate::audience::Audience;
use crate::partition::Partition;

/// Channels by name, in a segment with a lock of its own for each partition: messages of different channels rarely
/// meet, and the channels of a partition that changes hands are found without a walk over the others. An empty map takes
/// 56 bytes a segment, 224 KiB in all.
pub(super) struct Channels<A: Audience>(Box<[Segment<A>]>);

type Segment<A> = RwLock<HashMap<ChannelName, Arc<Channel<A>>, RandomState>>;

impl<A: Audience> Default for Channels<A> {
    fn default() -> Self {
        let hasher = RandomState::new();
        let segment = |_| RwLock::new(HashMap::with_hasher(hasher.clone()));
        Self(Partition::all().map(segment).collect())
    }
}

impl<A: Audience> Channels<A> {
    pub(super) fn get(&self, name: &str) -> Option<Arc<Channel<A>>> {
        self.segment(Partition::of(name)).read().get(name).cloned()
    }

    pub(super) fn get_or_insert(
        &self,
        name: &ChannelName,
        new: impl FnOnce(Partition) -> Channel<A>,
    ) -> Arc<Channel<A>> {
        let partition = Partition::of(name);
        let segment = self.segment(partition);
        if let Some(channel) = segment.read().get(name) {
            return Arc::clone(channel);
        }
        let mut segment = segment.write();
        let channel = segment
            .entry(name.clone())
            .or_insert_with(|| Arc::new(new(partition)));
        Arc::clone(channel)
    }

    /// Takes `channel` off if nobody wants it and nothing is subscribed for it. True if it was.
    pub(super) fn remove_unwanted(&self, channel: &Channel<A>) -> bool {
        let mut segment = self.segment(channel.partition).write();
        let mut state = channel.state.lock();
        if state.is_wanted() || !state.subscriptions.is_gone() {
            return false;
        }
        state.closed = true;
        segment.remove(&channel.name);
        if segment.len() * 4 < segment.capacity() {
            segment.shrink_to_fit();
        }
        true
    }

    /// The channels of `partition`.
    pub(super) fn of(&self, partition: Partition) -> Vec<Arc<Channel<A>>> {
        self.segment(partition).read().values().cloned().collect()
    }

    /// All channels, a partition at a time; the lock is held while one is copied.
    pub(super) fn segments(&self) -> impl Iterator<Item = Vec<Arc<Channel<A>>>> {
        Partition::all().map(|partition| self.of(partition))
    }

    /// The channels of one of `slices` parts of the partitions, a partition at a time.
    pub(super) fn slice(&self, slice: usize, slices: usize) -> impl Iterator<Item = Vec<Arc<Channel<A>>>> {
        let size = self.0.len().div_ceil(slices);
        let partitions = Partition::all().skip(slice * size).take(size);
        partitions.map(|partition| self.of(partition))
    }

    /// Has `look` see each channel with subscribers, under its lock, and hands what that gave to `visit`, under none.
    pub(super) fn visit<R>(
        &self,
        look: impl Fn(&A::Members, Option<&Position>) -> R,
        mut visit: impl FnMut(&ChannelName, R),
    ) {
        for channel in self.segments().flatten() {
            let seen = {
                let state = channel.state.lock();
                (!A::is_empty(&state.members)).then(|| look(&state.members, state.delivered()))
            };
            if let Some(seen) = seen {
                visit(&channel.name, seen);
            }
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.iter().map(|segment| segment.read().len()).sum()
    }

    fn segment(&self, partition: Partition) -> &Segment<A> {
        &self.0[partition.index()]
    }
}
