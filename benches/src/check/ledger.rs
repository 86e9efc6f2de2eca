//! What became of publications.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::Failure;

/// Doubtful publications whose numbers are kept, over all channels: some megabytes. A run with more of them has failed to
/// publish, and what must arrive is not known any more.
const MOST_DOUBTFUL: usize = 1 << 20;

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
    /// How many numbers are in `doubtful` of all entries.
    kept: usize,
    /// How many more would be.
    dropped: u64,
    /// How many of both were refused.
    refused: u64,
    /// Why the first of them was.
    reason: Option<String>,
}

impl Entry {
    /// How many doubtful ones are among these numbers.
    #[must_use]
    pub fn doubtful_in(&self, numbers: &RangeInclusive<u64>) -> u64 {
        let before = self.doubtful.partition_point(|it| it < numbers.start());
        let until = self.doubtful.partition_point(|it| it <= numbers.end());
        until.saturating_sub(before) as u64
    }
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
        let Err(place) = entry.doubtful.binary_search(&sequence) else {
            return;
        };
        self.refused += u64::from(fate == Fate::Refused);
        if self.kept < MOST_DOUBTFUL {
            entry.doubtful.insert(place, sequence);
            self.kept += 1;
        } else {
            self.dropped += 1;
        }
    }

    /// Notes why publications are refused. The first reason is kept.
    pub fn explain(&mut self, reason: &str) {
        self.reason.get_or_insert_with(|| reason.to_owned());
    }

    /// Adds another's entries, of other workers or later publications.
    pub fn add(&mut self, other: Self) {
        self.dropped += other.dropped;
        self.refused += other.refused;
        self.reason = self.reason.take().or(other.reason);
        for ((channel, worker), entry) in other.entries {
            self.sent(channel, worker, entry.last);
            for sequence in entry.doubtful {
                self.settled(channel, worker, sequence, Fate::Unknown);
            }
        }
    }

    /// This ledger, if nothing is missing in it and something was accepted of what was published.
    pub fn complete(self) -> Result<Self, Failure> {
        let (total, doubtful) = (self.total(), self.doubtful());
        if self.dropped > 0 {
            return Err(Failure::run(format!(
                "{doubtful} publications were refused or not answered: what must arrive is not known{}",
                self.why()
            )));
        }
        if total > 0 && doubtful == total {
            return Err(Failure::run(format!(
                "none of the {total} publications was accepted{}",
                self.why()
            )));
        }
        Ok(self)
    }

    /// What is not known, in words; `None`: everything that was published was accepted.
    #[must_use]
    pub fn doubt(&self) -> Option<String> {
        let (doubtful, refused) = (self.doubtful(), self.refused);
        (doubtful > 0).then(|| {
            format!(
                "whether {doubtful} of {} publications arrived, of which {refused} were refused and the rest not \
                 answered{}",
                self.total(),
                self.why()
            )
        })
    }

    /// How many publications were refused.
    #[must_use]
    pub const fn refused(&self) -> u64 {
        self.refused
    }

    /// How it goes on behind what was refused: with the first reason, if there was one.
    #[must_use]
    pub fn why(&self) -> String {
        let reason = self.reason.as_ref();
        reason.map_or_else(String::new, |reason| format!(": {reason}"))
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
        self.total().saturating_sub(self.doubtful())
    }

    /// How many publications of a channel were accepted, and must arrive.
    #[must_use]
    pub fn accepted_in(&self, channel: u32) -> u64 {
        let entries = self.channel(channel);
        let accepted = entries.map(|(_, entry)| entry.last.saturating_sub(entry.doubtful.len() as u64));
        accepted.sum()
    }

    /// Those that were not accepted, as far as anybody knows.
    const fn doubtful(&self) -> u64 {
        self.kept as u64 + self.dropped
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

#[cfg(test)]
mod tests;
