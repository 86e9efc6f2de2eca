//! The numbers that one subscriber sees in one channel.

use std::ops::RangeInclusive;

use super::Ledger;
use crate::payload::Label;

/// Gaps that are remembered for each publisher; in a subscriber that misses more pieces than that, what fills them later
/// counts as doubled instead of out of order. Either is a violation.
const MOST_GAPS: usize = 256;

/// From where on a subscriber must see everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// From the first publication on: it subscribed before anything was published.
    Beginning,
    /// From the first that it sees on.
    FirstSeen,
}

/// What a subscriber found wrong in a channel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// How many arrived, each counted once.
    pub received: u64,
    /// How many were accepted and did not arrive.
    pub lost: u64,
    /// How many arrived again.
    pub doubled: u64,
    /// How many arrived after later ones.
    pub reordered: u64,
    /// The first of the wrong ones, for people.
    pub example: Option<String>,
}

/// Follows the numbers in one channel. Costs some bytes for each publisher while all is well.
#[derive(Clone, Debug)]
pub struct Checker {
    channel: u32,
    start: Start,
    tracks: Vec<Track>,
    findings: Findings,
}

/// The numbers of one publisher.
#[derive(Clone, Debug)]
struct Track {
    worker: u16,
    /// The highest number seen, or the one before the first that is expected.
    last: u64,
    /// Numbers below that were not seen. Ascending, with something between them.
    gaps: Vec<RangeInclusive<u64>>,
}

impl Checker {
    /// For the channel of this index.
    #[must_use]
    pub const fn new(channel: u32, start: Start) -> Self {
        Self {
            channel,
            start,
            tracks: Vec::new(),
            findings: Findings {
                received: 0,
                lost: 0,
                doubled: 0,
                reordered: 0,
                example: None,
            },
        }
    }

    /// The index of the channel.
    #[must_use]
    pub const fn channel(&self) -> u32 {
        self.channel
    }

    /// How many arrived so far, each counted once.
    #[must_use]
    pub const fn received(&self) -> u64 {
        self.findings.received
    }

    /// A publication has arrived.
    pub fn arrived(&mut self, label: &Label) {
        let sequence = label.sequence;
        let index = self.track(label.worker, sequence);
        let track = &mut self.tracks[index];
        if sequence == track.last + 1 {
            track.last = sequence;
        } else if sequence > track.last {
            if track.gaps.len() < MOST_GAPS {
                track.gaps.push(track.last + 1..=sequence - 1);
            }
            track.last = sequence;
        } else if track.fill(sequence) {
            self.findings.reordered += 1;
            self.note(label, "after later ones");
        } else {
            self.findings.doubled += 1;
            self.note(label, "again");
            return;
        }
        self.findings.received += 1;
    }

    /// What was wrong, given all that was published.
    #[must_use]
    pub fn finish(mut self, ledger: &Ledger) -> Findings {
        for (worker, entry) in ledger.channel(self.channel) {
            let track = self.tracks.iter().find(|track| track.worker == worker);
            let missing: Vec<_> = match (track, self.start) {
                (None, Start::FirstSeen) => continue,
                (None, Start::Beginning) => vec![1..=entry.last],
                (Some(track), _) => {
                    let end = track.last + 1..=entry.last;
                    track.gaps.iter().cloned().chain([end]).collect()
                }
            };
            for range in missing.into_iter().filter(|range| !range.is_empty()) {
                let lost = range.end() - range.start() + 1 - entry.doubtful_in(&range);
                self.findings.lost += lost;
                if lost > 0 && self.findings.example.is_none() {
                    let (from, to) = (range.start(), range.end());
                    self.findings.example =
                        Some(format!("{from}..={to} of publisher {worker} did not arrive"));
                }
            }
        }
        self.findings
    }

    /// Where a publisher's numbers are; `first` is the first of them that is seen, if it is new.
    fn track(&mut self, worker: u16, first: u64) -> usize {
        if let Some(index) = self.tracks.iter().position(|track| track.worker == worker) {
            return index;
        }
        let last = match self.start {
            Start::Beginning => 0,
            Start::FirstSeen => first.saturating_sub(1),
        };
        self.tracks.push(Track {
            worker,
            last,
            gaps: Vec::new(),
        });
        self.tracks.len() - 1
    }

    fn note(&mut self, label: &Label, how: &str) {
        let Label { sequence, worker, .. } = label;
        let example = || format!("{sequence} of publisher {worker} arrived {how}");
        self.findings.example.get_or_insert_with(example);
    }
}

impl Track {
    /// Takes a number out of the gaps; false if it is in none.
    fn fill(&mut self, sequence: u64) -> bool {
        let Some(index) = self.gaps.iter().position(|gap| gap.contains(&sequence)) else {
            return false;
        };
        let gap = self.gaps.remove(index);
        let parts = [*gap.start()..=sequence - 1, sequence + 1..=*gap.end()];
        let parts = parts.into_iter().filter(|part| !part.is_empty());
        self.gaps.splice(index..index, parts);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::Fate;
    use super::*;
    use crate::run::Stamp;

    /// What a subscriber finds that sees these numbers of five that were accepted, but for those in `doubtful`.
    fn findings(start: Start, seen: &[u64], doubtful: &[u64]) -> (u64, u64, u64, u64) {
        let mut ledger = Ledger::default();
        ledger.sent(7, 1, 5);
        for &sequence in doubtful {
            ledger.settled(7, 1, sequence, Fate::Unknown);
        }
        let mut checker = Checker::new(7, start);
        for &sequence in seen {
            checker.arrived(&Label {
                worker: 1,
                channel: 7,
                sequence,
                intended: Stamp::default(),
            });
        }
        let found = checker.finish(&ledger);
        let wrong = found.lost + found.doubled + found.reordered;
        assert_eq!(found.example.is_some(), wrong > 0, "{found:?}");
        (found.received, found.lost, found.doubled, found.reordered)
    }

    #[test]
    fn everything_once_in_order_is_right() {
        assert_eq!(findings(Start::Beginning, &[1, 2, 3, 4, 5], &[]), (5, 0, 0, 0));
        assert_eq!(findings(Start::FirstSeen, &[3, 4, 5], &[]), (3, 0, 0, 0));
        assert_eq!(findings(Start::FirstSeen, &[], &[]), (0, 0, 0, 0));
    }

    #[test]
    fn what_is_missing_is_lost_wherever_it_was() {
        assert_eq!(findings(Start::Beginning, &[2, 4], &[]), (2, 3, 0, 0));
        assert_eq!(findings(Start::Beginning, &[], &[]), (0, 5, 0, 0));
        assert_eq!(findings(Start::FirstSeen, &[3, 5], &[]), (2, 1, 0, 0));
    }

    #[test]
    fn what_was_not_accepted_may_be_missing_and_may_arrive() {
        assert_eq!(findings(Start::Beginning, &[2, 4], &[1, 3, 5]), (2, 0, 0, 0));
        assert_eq!(
            findings(Start::Beginning, &[1, 2, 3, 4, 5], &[1, 3, 5]),
            (5, 0, 0, 0)
        );
    }

    #[test]
    fn what_comes_again_or_late_is_told_apart() {
        assert_eq!(
            findings(Start::Beginning, &[1, 2, 2, 3, 4, 5, 1], &[]),
            (5, 0, 2, 0)
        );
        assert_eq!(findings(Start::Beginning, &[1, 5, 3, 2, 4, 4], &[]), (5, 0, 1, 3));
    }
}
