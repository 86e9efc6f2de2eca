//! The numbers of one publisher, as one subscriber sees them.

use std::ops::RangeInclusive;

use super::Entry;

/// Gaps that are remembered. Of further ones it is only known how many numbers are in them: what fills them later counts as
/// doubled instead of out of order, and stays lost.
pub(super) const MOST_GAPS: usize = 256;

/// The numbers of one publisher.
#[derive(Clone, Debug)]
pub(super) struct Track {
    pub(super) worker: u16,
    /// The first number that is expected.
    first: u64,
    /// The highest number seen, or the one before the first that is expected.
    last: u64,
    /// Numbers below that were not seen. Ascending, with something between them.
    gaps: Vec<RangeInclusive<u64>>,
    /// How many more were not seen, in gaps that are not remembered.
    forgotten: u64,
}

/// How a number has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// After all lower ones that came.
    InOrder,
    /// After higher ones.
    Late,
    /// Not for the first time.
    Again,
}

/// What is missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Missing {
    /// How many.
    pub(super) count: u64,
    /// The first range that some of them are in, if it is remembered.
    pub(super) among: Option<RangeInclusive<u64>>,
}

impl Track {
    /// Of this publisher, of whom numbers are expected from `first` on.
    pub(super) const fn new(worker: u16, first: u64) -> Self {
        Self {
            worker,
            first,
            last: first.saturating_sub(1),
            gaps: Vec::new(),
            forgotten: 0,
        }
    }

    /// The highest number seen.
    pub(super) const fn last(&self) -> u64 {
        self.last
    }

    /// Whether all numbers up to the last have come.
    pub(super) fn is_whole(&self) -> bool {
        self.gaps.is_empty() && self.forgotten == 0
    }

    /// A number has come.
    pub(super) fn arrived(&mut self, sequence: u64) -> Arrival {
        if sequence > self.last {
            if sequence - self.last > 1 {
                self.gaps.push(self.last + 1..=sequence - 1);
                self.forget();
            }
            self.last = sequence;
            Arrival::InOrder
        } else if self.fill(sequence) {
            Arrival::Late
        } else {
            Arrival::Again
        }
    }

    /// What was accepted up to `until` and has not come.
    pub(super) fn missing(&self, entry: &Entry, until: u64) -> Missing {
        let mut missing = Missing::default();
        let mut explained = 0;
        let rest = self.last + 1..=until;
        for range in self
            .gaps
            .iter()
            .cloned()
            .chain([rest])
            .filter(|it| !it.is_empty())
        {
            let doubtful = entry.doubtful_in(&range);
            explained += doubtful;
            let lost = length(&range).saturating_sub(doubtful);
            missing.count += lost;
            if lost > 0 {
                missing.among.get_or_insert(range);
            }
        }
        // Of what is forgotten only doubtful ones can be no loss, and only those that are nowhere else.
        let elsewhere = entry.doubtful_in(&(self.first..=until)).saturating_sub(explained);
        missing.count += self.forgotten.saturating_sub(elsewhere);
        missing
    }

    /// Takes a number out of the gaps; false if it is in none.
    fn fill(&mut self, sequence: u64) -> bool {
        let Some(index) = self.gaps.iter().position(|gap| gap.contains(&sequence)) else {
            return false;
        };
        let gap = self.gaps.remove(index);
        let parts = [*gap.start()..=sequence - 1, sequence + 1..=*gap.end()];
        let parts = parts.into_iter().filter(|part| !part.is_empty());
        self.gaps.splice(index..index, parts);
        self.forget();
        true
    }

    /// Forgets where gaps are that are too many.
    fn forget(&mut self) {
        let beyond = self.gaps.drain(MOST_GAPS.min(self.gaps.len())..);
        self.forgotten += beyond.map(|gap| length(&gap)).sum::<u64>();
    }
}

fn length(range: &RangeInclusive<u64>) -> u64 {
    range.end() - range.start() + 1
}
