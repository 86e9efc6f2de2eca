//! Who listens to which channel, and what is on its way to them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use campanile_common::ChannelName;

use crate::partition::Partition;
use crate::publication::ShardMessage;
use crate::topology::Generation;

/// A link's name within one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkKey(pub u64);

/// Something for one link.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// For whom.
    pub link: LinkKey,
    /// What.
    pub event: LinkEvent,
}

/// What a link brings.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant)] // Nearly all are messages: boxing them would only cost.
pub enum LinkEvent {
    /// A message of a subscribed channel.
    Message {
        /// The channel.
        channel: ChannelName,
        /// The message.
        message: ShardMessage,
    },
    /// A partition was sealed.
    Marker {
        /// Which.
        partition: Partition,
        /// The generation of the seal.
        generation: Generation,
    },
}

type Topic = (Partition, ChannelName);

#[derive(Debug, Default)]
pub(super) struct PubSub {
    links: BTreeMap<LinkKey, HashSet<Topic>>,
    listeners: HashMap<Topic, BTreeSet<LinkKey>>,
    outbox: Vec<Delivery>,
}

impl PubSub {
    pub(super) fn attach(&mut self, link: LinkKey) {
        self.links.entry(link).or_default();
    }

    pub(super) fn detach(&mut self, link: LinkKey) {
        for topic in self.links.remove(&link).unwrap_or_default() {
            self.forget(link, &topic);
        }
    }

    pub(super) fn subscribe(&mut self, link: LinkKey, partition: Partition, name: &ChannelName) -> bool {
        let Some(topics) = self.links.get_mut(&link) else {
            return false;
        };
        topics.insert((partition, name.clone()));
        self.listeners
            .entry((partition, name.clone()))
            .or_default()
            .insert(link);
        true
    }

    pub(super) fn unsubscribe(&mut self, link: LinkKey, partition: Partition, name: &ChannelName) {
        let topic = (partition, name.clone());
        if self
            .links
            .get_mut(&link)
            .is_some_and(|topics| topics.remove(&topic))
        {
            self.forget(link, &topic);
        }
    }

    pub(super) fn send(&mut self, partition: Partition, name: &ChannelName, message: &ShardMessage) {
        let Some(links) = self.listeners.get(&(partition, name.clone())) else {
            return;
        };
        self.outbox.extend(links.iter().map(|link| Delivery {
            link: *link,
            event: LinkEvent::Message {
                channel: name.clone(),
                message: message.clone(),
            },
        }));
    }

    pub(super) fn mark(&mut self, partition: Partition, generation: Generation) {
        let event = LinkEvent::Marker {
            partition,
            generation,
        };
        self.outbox.extend(self.links.keys().map(|link| Delivery {
            link: *link,
            event: event.clone(),
        }));
    }

    pub(super) fn listeners(&self) -> usize {
        self.links.values().map(HashSet::len).sum()
    }

    pub(super) fn take_outbox(&mut self) -> Vec<Delivery> {
        std::mem::take(&mut self.outbox)
    }

    /// Whether `link` is subscribed to a channel.
    #[cfg(test)]
    pub(super) fn listens(&self, link: LinkKey, partition: Partition, name: &ChannelName) -> bool {
        let listeners = self.listeners.get(&(partition, name.clone()));
        listeners.is_some_and(|links| links.contains(&link))
    }

    fn forget(&mut self, link: LinkKey, topic: &Topic) {
        if let Some(links) = self.listeners.get_mut(topic) {
            links.remove(&link);
            if links.is_empty() {
                self.listeners.remove(topic);
            }
        }
    }
}
