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
        if self.kept < MOST_DOUBTFUL {
            entry.doubtful.insert(place, sequence);
            self.kept += 1;
        } else {
            self.dropped += 1;
        }
    }

    /// Adds another's entries, of other workers or later publications.
    pub fn add(&mut self, other: Self) {
        self.dropped += other.dropped;
        for ((channel, worker), entry) in other.entries {
            self.sent(channel, worker, entry.last);
            for sequence in entry.doubtful {
                self.settled(channel, worker, sequence, Fate::Unknown);
            }
        }
    }

    /// This ledger, if nothing is missing in it.
    pub fn complete(self) -> Result<Self, Failure> {
        match self.dropped {
            0 => Ok(self),
            dropped => Err(Failure::run(format!(
                "{} publications were refused or not answered: what must arrive is not known",
                dropped + self.kept as u64
            ))),
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
        self.total().saturating_sub(self.kept as u64 + self.dropped)
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
mod tests {
    use super::*;

    #[test]
    fn doubtful_ones_are_found_where_they_are() {
        let mut ledger = Ledger::default();
        ledger.sent(0, 1, 9);
        for sequence in [7, 3, 3, 5] {
            ledger.settled(0, 1, sequence, Fate::Refused);
        }
        ledger.settled(0, 1, 4, Fate::Accepted);
        assert_eq!((ledger.total(), ledger.accepted()), (9, 6));
        let (_, entry) = ledger.channel(0).next().unwrap();
        let counts = [1..=9, 3..=5, 4..=4, 8..=9, 6..=7].map(|it| entry.doubtful_in(&it));
        assert_eq!(counts, [3, 2, 0, 0, 1]);
    }

    #[test]
    fn too_many_doubtful_ones_are_counted_and_not_kept() {
        let most = MOST_DOUBTFUL as u64;
        let mut ledger = Ledger::default();
        ledger.sent(0, 1, most + 2);
        for sequence in 1..=most {
            ledger.settled(0, 1, sequence, Fate::Unknown);
        }
        let mut ledger = ledger.complete().unwrap();
        let mut other = Ledger::default();
        other.sent(0, 2, 1);
        other.settled(0, 2, 1, Fate::Unknown);
        ledger.add(other);
        assert_eq!(ledger.accepted(), 2);
        let mut merged = Ledger::default();
        merged.add(ledger);
        let refused = merged.complete().unwrap_err().to_string();
        assert!(
            refused.starts_with(&format!("{} publications", most + 1)),
            "{refused}"
        );
    }
}
