//! A run's processes, looked at while it goes on.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::usage::{Memory, Stat, Usage, command_of};
use crate::run::Stamp;

/// Samples of one process. Beyond, every other one is dropped, and of later looks only every other one is kept.
pub(super) const MAX_SAMPLES: usize = 2_400;

/// A process that is watched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watched {
    /// What it is called in reports: `gateway-1`, `redis-1`.
    pub name: String,
    /// Its id.
    pub pid: u32,
}

/// What a process had used at some time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// When.
    pub at: Stamp,
    /// What.
    #[serde(flatten)]
    pub usage: Usage,
}

/// What a process used in the course of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProcessUse {
    /// What it is called.
    pub name: String,
    /// Its id.
    pub pid: u32,
    /// Its command line, as long as the system shows it.
    pub command: String,
    /// At each mark, by name: memory by a walk over all pages, where that is allowed.
    pub marks: Vec<(String, Sample)>,
    /// At regular times: memory by the kernel's running count.
    pub samples: Vec<Sample>,
    /// When it was found to have ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Stamp>,
}

impl Watched {
    /// The processes `pids` of one server: by its name, and numbered where they are several.
    #[must_use]
    pub fn named(name: &str, pids: &[u32]) -> Vec<Self> {
        let several = pids.len() > 1;
        let one = |(index, pid): (usize, &u32)| Self {
            name: if several {
                format!("{name}.{index}")
            } else {
                name.to_owned()
            },
            pid: *pid,
        };
        pids.iter().enumerate().map(one).collect()
    }
}

impl Sample {
    /// How many cores the process kept busy from `earlier` to this.
    #[must_use]
    pub fn cores_since(&self, earlier: &Self) -> Option<f64> {
        let elapsed = self.at.since(earlier.at);
        let used = (self.usage.cpu_seconds() - earlier.usage.cpu_seconds()).max(0.0);
        (elapsed > Duration::ZERO).then(|| used / elapsed.as_secs_f64())
    }
}

impl ProcessUse {
    /// What it had used at a mark.
    #[must_use]
    pub fn at(&self, mark: &str) -> Option<Sample> {
        let named = self.marks.iter().find(|(name, _)| name == mark);
        named.map(|(_, sample)| *sample)
    }

    /// Seconds of CPU time from one mark to another.
    #[must_use]
    pub fn cpu_between(&self, from: &str, to: &str) -> Option<f64> {
        let used = |mark| Some(self.at(mark)?.usage.cpu_seconds());
        Some((used(to)? - used(from)?).max(0.0))
    }

    /// Each time from one mark to the next, by the name of the mark that begins it, with what was used at both.
    pub fn phases(&self) -> impl Iterator<Item = (&str, Sample, Sample)> {
        let pairs = self.marks.windows(2);
        pairs.map(|pair| (pair[0].0.as_str(), pair[0].1, pair[1].1))
    }
}

/// Watches processes.
#[derive(Debug, Default)]
pub struct Watcher(Vec<Process>);

#[derive(Debug)]
struct Process {
    seen: ProcessUse,
    /// Tells it from a later process with the same id. `None`: there was none to begin with.
    born: Option<u64>,
    /// Every so many looks become a sample.
    every: u64,
    looks: u64,
}

impl Watcher {
    /// Begins to watch these.
    #[must_use]
    pub fn new(watched: Vec<Watched>) -> Self {
        Self(watched.into_iter().map(Process::new).collect())
    }

    /// Looks at all of them closely, at a mark.
    pub fn mark(&mut self, name: &str, at: Stamp) {
        for process in &mut self.0 {
            if let Some(usage) = process.look(at, Memory::Walked) {
                let sample = Sample { at, usage };
                process.seen.marks.push((name.to_owned(), sample));
            }
        }
    }

    /// Looks at all of them, as it is done at regular times.
    pub fn tick(&mut self, at: Stamp) {
        for process in &mut self.0 {
            process.tick(at);
        }
    }

    /// What they used.
    #[must_use]
    pub fn finish(self) -> Vec<ProcessUse> {
        self.0.into_iter().map(|process| process.seen).collect()
    }
}

impl Process {
    fn new(Watched { name, pid }: Watched) -> Self {
        let seen = ProcessUse {
            name,
            pid,
            command: command_of(pid),
            marks: Vec::new(),
            samples: Vec::new(),
            ended: None,
        };
        Self {
            seen,
            born: Stat::of(pid).ok().map(|stat| stat.started),
            every: 1,
            looks: 0,
        }
    }

    fn tick(&mut self, at: Stamp) {
        self.looks += 1;
        if !self.looks.is_multiple_of(self.every) {
            return;
        }
        let Some(usage) = self.look(at, Memory::Counted) else {
            return;
        };
        let samples = &mut self.seen.samples;
        samples.push(Sample { at, usage });
        if samples.len() > MAX_SAMPLES {
            let mut odd = false;
            samples.retain(|_| {
                odd = !odd;
                odd
            });
            self.every *= 2;
        }
    }

    /// `None` once the process has ended, even if another has its id by now.
    fn look(&mut self, at: Stamp, memory: Memory) -> Option<Usage> {
        if self.seen.ended.is_some() {
            return None;
        }
        let pid = self.seen.pid;
        let usage = Usage::of(pid, memory).ok();
        let born = Stat::of(pid).ok().map(|stat| stat.started);
        if usage.is_none() || born.is_none() || born != self.born {
            self.seen.ended = Some(at);
            return None;
        }
        usage
    }
}
