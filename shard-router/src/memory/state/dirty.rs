//! What changed in a partition while it migrates.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;

use crate::shard::key_name::KeyName;

/// Names of keys, each with the number of its last change. Read by any number of coordinators, and emptied only when
/// a migration begins.
#[derive(Clone, Debug, Default)]
pub(super) struct Dirty {
    last: u64,
    names: BTreeMap<u64, Bytes>,
    numbers: HashMap<Bytes, u64>,
}

impl Dirty {
    fn note(&mut self, name: KeyName<'_>) {
        let name = Bytes::from(name.to_string());
        self.last += 1;
        if let Some(before) = self.numbers.insert(name.clone(), self.last) {
            self.names.remove(&before);
        }
        self.names.insert(self.last, name);
    }

    /// What changed after change number `since`, in order.
    pub(super) fn after(&self, since: u64) -> impl Iterator<Item = (u64, &Bytes)> {
        self.names
            .range(since.saturating_add(1)..)
            .map(|(number, name)| (*number, name))
    }
}

/// Notes what an operation changes in one channel, if anybody wants to know.
pub(super) struct Notes<'a> {
    channel: &'a str,
    dirty: Option<&'a mut Dirty>,
}

impl<'a> Notes<'a> {
    /// Notes into `dirty`; `None`: nobody wants to know.
    pub(super) fn new(channel: &'a str, dirty: Option<&'a mut Dirty>) -> Self {
        Self { channel, dirty }
    }

    pub(super) fn stream(&mut self) {
        self.note(KeyName::Stream(self.channel));
    }

    pub(super) fn meta(&mut self) {
        self.note(KeyName::Meta(self.channel));
    }

    pub(super) fn member(&mut self, client: &str) {
        let channel = self.channel;
        self.note(KeyName::Member { channel, client });
    }

    pub(super) fn result(&mut self, key: &str) {
        let channel = self.channel;
        self.note(KeyName::Result { channel, key });
    }

    fn note(&mut self, name: KeyName<'_>) {
        if let Some(dirty) = &mut self.dirty {
            dirty.note(name);
        }
    }
}
