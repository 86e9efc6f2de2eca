//! The map of subscribed channels.

use std::collections::HashMap;
use std::sync::Arc;

use ahash::RandomState;
use campanile_common::ChannelName;
use parking_lot::RwLock;

use super::channel::Channel;
use crate::audience::Audience;

/// Channels by name, in segments with a lock each: messages of different channels rarely meet.
pub(super) struct Channels<A: Audience> {
    segments: Box<[Segment<A>]>,
    hasher: RandomState,
}

type Segment<A> = RwLock<HashMap<ChannelName, Arc<Channel<A>>, RandomState>>;

/// Enough that cores do not queue for one lock, few enough that an empty map stays small.
const SEGMENTS: usize = 64;

impl<A: Audience> Default for Channels<A> {
    fn default() -> Self {
        let hasher = RandomState::new();
        let segment = |_| RwLock::new(HashMap::with_hasher(hasher.clone()));
        Self {
            segments: (0..SEGMENTS).map(segment).collect(),
            hasher,
        }
    }
}

impl<A: Audience> Channels<A> {
    pub(super) fn get(&self, name: &str) -> Option<Arc<Channel<A>>> {
        self.segment(name).read().get(name).cloned()
    }

    pub(super) fn get_or_insert(
        &self,
        name: &ChannelName,
        new: impl FnOnce() -> Channel<A>,
    ) -> Arc<Channel<A>> {
        if let Some(channel) = self.get(name) {
            return channel;
        }
        let mut segment = self.segment(name).write();
        Arc::clone(segment.entry(name.clone()).or_insert_with(|| Arc::new(new())))
    }

    /// Takes `channel` off if nobody wants it and nothing is subscribed for it. True if it was.
    pub(super) fn remove_unwanted(&self, channel: &Channel<A>) -> bool {
        let mut segment = self.segment(&channel.name).write();
        let mut state = channel.state.lock();
        if state.is_wanted() || state.source.is_some() {
            return false;
        }
        state.closed = true;
        segment.remove(&channel.name);
        if segment.len() * 4 < segment.capacity() {
            segment.shrink_to_fit();
        }
        true
    }

    /// All channels, a segment at a time; the lock is held while one is copied.
    pub(super) fn segments(&self) -> impl Iterator<Item = Vec<Arc<Channel<A>>>> {
        (0..SEGMENTS).map(|index| self.segments[index].read().values().cloned().collect())
    }

    /// The channels with subscribers.
    pub(super) fn occupied(&self) -> Vec<(ChannelName, A::Members)> {
        let members = |channel: Arc<Channel<A>>| (channel.name.clone(), channel.state.lock().members.clone());
        let all = self.segments().flatten().map(members);
        all.filter(|(_, members)| !A::is_empty(members)).collect()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.segments.iter().map(|segment| segment.read().len()).sum()
    }

    fn segment(&self, name: &str) -> &Segment<A> {
        let hash = self.hasher.hash_one(name);
        // The map inside uses the low bits of the same hash.
        let index = usize::try_from(hash >> 58).expect("six bits fit");
        &self.segments[index % SEGMENTS]
    }
}
