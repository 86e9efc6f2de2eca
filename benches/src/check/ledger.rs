//! What became of publications.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What became of a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The server took it: it must arrive.
    Accepted,
    /// The server refused it: it must not arrive, but for an error after the fact it may.
    Refused,
    /// Nobody said: it may arrive.
    Unknown,
}

/// What became of one worker's publications in one channel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The number of the last publication that was sent; the first one is 1.
    pub last: u64,
    /// Those that were not accepted, as far as anybody knows: refused, or of unknown fate. Ascending.
    pub doubtful: Vec<u64>,
}

/// What became of all publications, by channel and worker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// Pairs of channel index and worker, with what became of that worker's publications there.
    #[serde(with = "as_list")]
    entries: BTreeMap<(u32, u16), Entry>,
}

impl Ledger {
    /// Notes that this publication was sent; publications of a channel are sent in the order of their numbers.
    pub fn sent(&mut self, channel: u32, worker: u16, sequence: u64) {
        let entry = self.entries.entry((channel, worker)).or_default();
        entry.last = entry.last.max(sequence);
    }

    /// Notes what became of a publication that was sent.
    pub fn settled(&mut self, channel: u32, worker: u16, sequence: u64, fate: Fate) {
        if fate == Fate::Accepted {
            return;
        }
        let entry = self.entries.entry((channel, worker)).or_default();
        if let Err(place) = entry.doubtful.binary_search(&sequence) {
            entry.doubtful.insert(place, sequence);
        }
    }

    /// Adds another's entries, of other workers or later publications.
    pub fn add(&mut self, other: Self) {
        for ((channel, worker), entry) in other.entries {
            self.sent(channel, worker, entry.last);
            for sequence in entry.doubtful {
                self.settled(channel, worker, sequence, Fate::Unknown);
            }
        }
    }

    /// What each worker has published in a channel.
    pub fn channel(&self, channel: u32) -> impl Iterator<Item = (u16, &Entry)> {
        let entries = self.entries.range((channel, 0)..=(channel, u16::MAX));
        entries.map(|((_, worker), entry)| (*worker, entry))
    }

    /// All publications that were sent.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.entries.values().map(|entry| entry.last).sum()
    }

    /// Those of them that were accepted.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        let doubtful: usize = self.entries.values().map(|entry| entry.doubtful.len()).sum();
        self.total().saturating_sub(doubtful as u64)
    }
}

/// JSON has no keys but texts.
mod as_list {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serializer};

    use super::Entry;

    pub(super) fn serialize<S: Serializer>(
        entries: &BTreeMap<(u32, u16), Entry>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(entries)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<(u32, u16), Entry>, D::Error> {
        let list: Vec<((u32, u16), Entry)> = Vec::deserialize(deserializer)?;
        Ok(list.into_iter().collect())
    }
}
