//! What is measured: by the workers about the load, and by the controller about the server's processes.

pub mod histogram;
pub mod machine;
pub mod processes;
pub mod scrape;
pub mod timeline;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Violation;
use crate::plan::Plan;
use crate::run::{Phase, Stamp};
use crate::target::Target;

pub use histogram::Histogram;
pub use machine::Machine;
pub use processes::ProcessUse;
pub use scrape::{Counters, Readings, Scraper};
pub use timeline::Timeline;

/// The counter of durations that were below zero by the clocks of two machines, and count as zero.
pub const BELOW_ZERO: &str = "below_zero";

/// Violations that are kept with their details; more are counted.
pub const MOST_VIOLATIONS: usize = 100;

/// What one worker has recorded, or several together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Recording {
    /// Sums, by name.
    pub counters: BTreeMap<String, u64>,
    /// The names of those counters that count the whole run, and not only while measuring.
    #[serde(default)]
    pub totals: BTreeSet<String>,
    /// How long things took, by name.
    pub histograms: BTreeMap<String, Histogram>,
    /// What happened in each second of the measurement, by name.
    pub series: BTreeMap<String, Timeline>,
    /// The first violations.
    pub violations: Vec<Violation>,
    /// How many violations there were.
    pub violation_count: u64,
    /// What could not be watched, read or checked, and why, in words.
    #[serde(default)]
    pub unseen: BTreeSet<String>,
}

/// Everything about a run: what [`figures`](crate::scenario::Scenario::figures) are derived from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// What was to be done.
    pub plan: Plan,
    /// Whom it was done to; without its secrets.
    pub target: Target,
    /// How many workers did it.
    pub workers: usize,
    /// What the workers recorded, together.
    pub recording: Recording,
    /// When each phase and each mark was passed, in this order.
    pub marks: Vec<Mark>,
    /// What the server's processes used, as far as they are known.
    pub processes: Vec<ProcessUse>,
    /// What the gateways counted until each mark, by the mark's name, where their metrics are known.
    #[serde(default)]
    pub counted: Vec<(String, Counters)>,
    /// What could not be watched or read, and why, in words.
    #[serde(default)]
    pub unseen: Vec<String>,
    /// What else a reader should know, in words.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Where it was done.
    pub machine: Machine,
}

/// A point in a run that all workers passed together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The phase's name, or another.
    pub name: String,
    /// When.
    pub at: Stamp,
}

impl Recording {
    /// Adds to a counter.
    pub fn count(&mut self, name: &str, by: u64) {
        *entry(&mut self.counters, name) += by;
    }

    /// Adds to a counter of the whole run.
    pub fn total(&mut self, name: &str, by: u64) {
        if !self.totals.contains(name) {
            self.totals.insert(name.to_owned());
        }
        self.count(name, by);
    }

    /// Notes how long something took.
    pub fn latency(&mut self, name: &str, value: Duration) {
        entry(&mut self.histograms, name).record(value);
    }

    /// Adds to what happened in a second of the measurement.
    pub fn series(&mut self, name: &str, second: u64, by: u64) {
        entry(&mut self.series, name).add(second, by);
    }

    /// Notes a violation.
    pub fn violation(&mut self, what: Violation) {
        self.violation_count += 1;
        if self.violations.len() < MOST_VIOLATIONS {
            self.violations.push(what);
        }
    }

    /// Adds what another one has recorded.
    pub fn add(&mut self, other: &Self) {
        for (name, by) in &other.counters {
            self.count(name, *by);
        }
        self.totals.extend(other.totals.iter().cloned());
        self.unseen.extend(other.unseen.iter().cloned());
        for (name, histogram) in &other.histograms {
            entry(&mut self.histograms, name).merge(histogram);
        }
        for (name, timeline) in &other.series {
            entry(&mut self.series, name).merge(timeline);
        }
        self.violation_count += other.violation_count;
        let room = MOST_VIOLATIONS.saturating_sub(self.violations.len());
        self.violations
            .extend(other.violations.iter().take(room).cloned());
    }
}

impl Outcome {
    /// A counter; 0 if nothing was counted.
    #[must_use]
    pub fn counter(&self, name: &str) -> u64 {
        self.recording.counters.get(name).copied().unwrap_or_default()
    }

    /// How long things took, if any did.
    #[must_use]
    pub fn histogram(&self, name: &str) -> Option<&Histogram> {
        self.recording.histograms.get(name).filter(|it| !it.is_empty())
    }

    /// What happened by seconds.
    #[must_use]
    pub fn series(&self, name: &str) -> Option<&Timeline> {
        self.recording.series.get(name)
    }

    /// From one mark to another that comes later.
    #[must_use]
    pub fn between(&self, from: &str, to: &str) -> Option<Duration> {
        let at = |name: &str| {
            self.marks
                .iter()
                .find(|mark| mark.name == name)
                .map(|mark| mark.at)
        };
        Some(at(to)?.since(at(from)?))
    }

    /// How long was measured.
    #[must_use]
    pub fn measured(&self) -> Option<Duration> {
        self.between(Phase::Measure.name(), Phase::Settle.name())
    }

    /// CPU seconds of the processes whose name begins so, from one mark to another. `None`: none is known.
    #[must_use]
    pub fn cpu_between(&self, process: &str, from: &str, to: &str) -> Option<f64> {
        let seconds = self.matching(process).filter_map(|it| it.cpu_between(from, to));
        seconds.fold(None, |sum, seconds| Some(sum.unwrap_or(0.0) + seconds))
    }

    /// CPU seconds of the processes whose name begins so, while measuring.
    #[must_use]
    pub fn cpu(&self, process: &str) -> Option<f64> {
        self.cpu_between(process, Phase::Measure.name(), Phase::Settle.name())
    }

    /// Resident bytes of the processes whose name begins so, at a mark. `None`: none is known.
    #[must_use]
    pub fn resident(&self, process: &str, mark: &str) -> Option<u64> {
        let bytes = self.matching(process).filter_map(|it| it.at(mark));
        bytes.fold(None, |sum, sample| {
            Some(sum.unwrap_or(0) + sample.usage.resident_bytes)
        })
    }

    /// By how much the gateways' counters of a metric that have all of these labels grew, together, from one mark to
    /// another. `None`: their metrics are not known.
    #[must_use]
    pub fn counted_between(
        &self,
        metric: &str,
        labels: &[(&str, &str)],
        from: &str,
        to: &str,
    ) -> Option<f64> {
        let at = |name| {
            self.counted
                .iter()
                .find(|(mark, _)| mark == name)
                .map(|(_, counters)| counters)
        };
        Some(at(to)?.grown_since(at(from)?, metric, labels))
    }

    /// Whether every promise was kept.
    #[must_use]
    pub fn held(&self) -> bool {
        self.recording.violation_count == 0
    }

    fn matching<'a>(&'a self, process: &'a str) -> impl Iterator<Item = &'a ProcessUse> {
        self.processes
            .iter()
            .filter(move |it| it.name.starts_with(process))
    }
}

/// The value of a name, made if it is not there, without a copy of the name if it is.
fn entry<'a, T: Default>(map: &'a mut BTreeMap<String, T>, name: &str) -> &'a mut T {
    if !map.contains_key(name) {
        map.insert(name.to_owned(), T::default());
    }
    map.get_mut(name).expect("it was put there if it was not")
}
