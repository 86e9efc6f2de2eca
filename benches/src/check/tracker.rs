//! The numbers that one subscriber sees in one channel.

use super::track::{Arrival, Track};
use super::{Findings, Ledger};
use crate::payload::Label;

/// From where on a subscriber must see everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// From the first publication on: it subscribed before anything was published.
    Beginning,
    /// From the first that it sees on.
    FirstSeen,
}

/// Until where a subscriber must have seen everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Until the last publication.
    Last,
    /// Until the last of each publisher that it saw.
    LastSeen,
}

/// Follows the numbers in one channel. Costs some bytes for each publisher while all is well.
#[derive(Clone, Debug)]
pub struct Checker {
    channel: u32,
    start: Start,
    tracks: Vec<Track>,
    findings: Findings,
}

impl Checker {
    /// For the channel of this index.
    #[must_use]
    pub fn new(channel: u32, start: Start) -> Self {
        Self {
            channel,
            start,
            tracks: Vec::new(),
            findings: Findings::default(),
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

    /// Whether nothing is wrong, and nothing missing, as far as it has come.
    #[must_use]
    pub fn is_flawless(&self) -> bool {
        self.findings.broken().next().is_none() && self.tracks.iter().all(Track::is_whole)
    }

    /// A publication has arrived.
    pub fn arrived(&mut self, label: &Label) {
        let Label {
            sequence,
            worker,
            channel,
            ..
        } = *label;
        if channel != self.channel {
            return self.strayed(|| format!("{sequence} of publisher {worker} is of channel {channel}"));
        }
        match self.track(worker, sequence).arrived(sequence) {
            Arrival::InOrder => {}
            Arrival::Late => {
                self.findings.reordered += 1;
                self.note(|| format!("{sequence} of publisher {worker} arrived after later ones"));
            }
            Arrival::Again => {
                self.findings.doubled += 1;
                return self.note(|| format!("{sequence} of publisher {worker} arrived again"));
            }
        }
        self.findings.received += 1;
    }

    /// Something has arrived that does not belong to the channel; `what` it is.
    pub fn strayed(&mut self, what: impl FnOnce() -> String) {
        self.findings.strayed += 1;
        self.note(what);
    }

    /// What was wrong, given all that was published.
    #[must_use]
    pub fn finish(self, ledger: &Ledger) -> Findings {
        self.compare(ledger, End::Last)
    }

    /// The same where the subscriber left before the end, or was disconnected: it must have seen everything up to some point.
    #[must_use]
    pub fn finish_early(self, ledger: &Ledger) -> Findings {
        self.compare(ledger, End::LastSeen)
    }

    fn compare(mut self, ledger: &Ledger, end: End) -> Findings {
        for (worker, entry) in ledger.channel(self.channel) {
            let unseen = Track::new(worker, 1);
            let seen = self.tracks.iter().find(|track| track.worker == worker);
            let track = match (seen, self.start, end) {
                (Some(track), ..) => track,
                (None, Start::Beginning, End::Last) => &unseen,
                (None, ..) => continue,
            };
            let until = match end {
                End::Last => entry.last,
                End::LastSeen => entry.last.min(track.last()),
            };
            let missing = track.missing(entry, until);
            self.findings.lost += missing.count;
            if missing.count > 0 {
                let among = missing.among.map_or_else(
                    || "some".to_owned(),
                    |among| format!("{}..={}", among.start(), among.end()),
                );
                let example = format!("{among} of publisher {worker} did not arrive");
                self.findings.example.get_or_insert(example);
            }
        }
        self.findings
    }

    /// Where a publisher's numbers are; `first` is the first of them that is seen, if it is new.
    fn track(&mut self, worker: u16, first: u64) -> &mut Track {
        let known = self.tracks.iter().position(|track| track.worker == worker);
        let index = known.unwrap_or_else(|| {
            let first = match self.start {
                Start::Beginning => 1,
                Start::FirstSeen => first,
            };
            self.tracks.push(Track::new(worker, first));
            self.tracks.len() - 1
        });
        &mut self.tracks[index]
    }

    fn note(&mut self, example: impl FnOnce() -> String) {
        self.findings.example.get_or_insert_with(example);
    }
}

#[cfg(test)]
mod tests;
