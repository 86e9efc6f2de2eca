//! What happened, in words, and what was broken.

use std::collections::VecDeque;
use std::fmt;

use xxhash_rust::xxh3::Xxh3;

use super::kernel::{MS, Micros};

/// How many of the last events a report shows.
const SHOWN: usize = 60;

/// The names of the invariants, as reports print them.
pub(super) type Invariant = &'static str;

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Violation {
    pub(super) invariant: Invariant,
    pub(super) words: String,
    pub(super) step: u64,
    pub(super) at: Micros,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            invariant,
            words,
            step,
            at,
        } = self;
        write!(f, "{invariant} at step {step} ({} ms): {words}", at / MS)
    }
}

/// How much of what happens is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Recording {
    /// Nothing: thousands of seeds are only looked at for violations.
    Nothing,
    /// The last events, for a report.
    Last,
    /// All of it.
    Everything,
}

pub(super) struct Trace {
    recording: Recording,
    lines: VecDeque<String>,
    hash: Xxh3,
    /// What happened by kind, for the figures of a run.
    pub(super) violation: Option<Violation>,
}

impl Trace {
    pub(super) fn new(recording: Recording) -> Self {
        Self {
            recording,
            lines: VecDeque::new(),
            hash: Xxh3::new(),
            violation: None,
        }
    }

    pub(super) fn note(&mut self, step: u64, at: Micros, words: impl FnOnce() -> String) {
        if self.recording == Recording::Nothing {
            return;
        }
        let line = format!("{step:>6} {:>9.3} {}", at as f64 / MS as f64, words());
        self.hash.update(line.as_bytes());
        if self.recording == Recording::Last && self.lines.len() == SHOWN {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    /// A fingerprint of everything noted so far.
    pub(super) fn hash(&self) -> u64 {
        self.hash.digest()
    }

    pub(super) fn lines(&self) -> String {
        self.lines.iter().fold(String::new(), |mut text, line| {
            text.push_str(line);
            text.push('\n');
            text
        })
    }
}
