//! What a scenario is handed: the plan, its share of it, clocks, meters, and the other workers.

mod clock;
mod link;
mod phase;
mod recorder;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::check::Ledger;
use crate::measure::Recording;
use crate::plan::{Plan, Share};
use crate::target::Target;
use crate::{Failure, Violation};

pub use clock::{Clock, Stamp};
pub use link::Link;
pub(crate) use link::{Port, pair};
pub use phase::Phase;
use recorder::Recorder;

/// A run as one worker sees it. Clones are the same run.
#[derive(Clone, Debug)]
pub struct Run {
    inner: Arc<Inner>,
}

/// What a worker is told before it begins.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Assignment {
    /// The run's name, by its seed: part of the channels' names.
    pub id: String,
    /// What to do.
    pub plan: Plan,
    /// Which part of it.
    pub share: Share,
    /// Whom to do it to.
    pub target: Target,
}

#[derive(Debug)]
struct Inner {
    assignment: Assignment,
    clock: Clock,
    recorder: Recorder,
    link: Arc<Link>,
}

impl Run {
    pub(crate) fn new(assignment: Assignment, clock: Clock, link: Arc<Link>) -> Self {
        let recorder = Recorder::new(clock);
        Self {
            inner: Arc::new(Inner {
                assignment,
                clock,
                recorder,
                link,
            }),
        }
    }

    /// What is to be done.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.inner.assignment.plan
    }

    /// Which part of it is this worker's.
    #[must_use]
    pub fn share(&self) -> Share {
        self.inner.assignment.share
    }

    /// Whom it is done to.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.inner.assignment.target
    }

    /// The run's name, the same for all workers, and for every run of the same seed.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.inner.assignment.id
    }

    /// The controller's clock, as far as it can be known here.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.inner.clock
    }

    /// The name of a channel of this run, in the namespace that the plan chooses.
    #[must_use]
    pub fn channel(&self, index: usize) -> String {
        self.channel_in(self.plan().load.stream, index)
    }

    /// The same in the namespace with streams, or in that without.
    #[must_use]
    pub fn channel_in(&self, stream: bool, index: usize) -> String {
        let target = self.target();
        let namespace = if stream {
            &target.stream_namespace
        } else {
            &target.namespace
        };
        let colon = if namespace.is_empty() { "" } else { ":" };
        format!("{namespace}{colon}{}{}-{index}", self.plan().prefix, self.id())
    }

    /// Waits until every worker has come here, and returns an instant that is the same for all.
    ///
    /// One call at a time: phases, marks and exchanges are made by a scenario's own task, in the same order by all workers.
    pub async fn phase(&self, phase: Phase) -> Result<Instant, Failure> {
        let begin = self.mark(phase.name()).await?;
        self.inner.recorder.enter(phase, begin);
        Ok(begin)
    }

    /// The same for a point that only one scenario knows. The controller notes the processes' memory and CPU there, and how
    /// long it took from the point before.
    pub async fn mark(&self, name: &str) -> Result<Instant, Failure> {
        let at = self.inner.link.barrier(name).await?;
        let begin = self.clock().instant(at);
        tokio::time::sleep_until(begin.into()).await;
        Ok(begin)
    }

    /// All workers' ledgers as one. Waits for every worker, like a phase. Fails where nothing was accepted of all that was
    /// published; what is in doubt otherwise is [said](Self::unseen).
    pub async fn exchange(&self, ledger: Ledger) -> Result<Ledger, Failure> {
        let merged = self.inner.link.exchange(ledger).await?;
        if let Some(doubt) = merged.doubt().filter(|_| self.share().index == 0) {
            self.unseen(doubt);
        }
        Ok(merged)
    }

    /// Adds to a counter of what happened while measuring: from the phase [`Measure`](Phase::Measure) to
    /// [`Settle`](Phase::Settle). Outside of them it is not counted.
    pub fn count(&self, name: &'static str, by: u64) {
        if self.inner.recorder.is_measuring() {
            self.inner.recorder.count(name, by);
        }
    }

    /// Adds to a counter of the whole run, whatever its phase.
    pub fn total(&self, name: &'static str, by: u64) {
        self.inner.recorder.total(name, by);
    }

    /// Notes how long something took. Whatever the phase: ask [`measures`](Self::measures) whether it belongs to what is
    /// measured by when it was *meant* to begin, so that what the server delays beyond the end still counts.
    pub fn latency(&self, name: &'static str, value: Duration) {
        self.inner.recorder.latency(name, value);
    }

    /// Whether what was meant to begin at this time belongs to what is measured.
    #[must_use]
    pub fn measures(&self, intended: Stamp) -> bool {
        self.inner.recorder.measures(intended)
    }

    /// Adds to what happened in this second of the measurement. Outside of the measurement it is not noted.
    pub fn series(&self, name: &'static str, by: u64) {
        self.inner.recorder.series(name, by);
    }

    /// Something could not be watched, read or checked, and why: the report says so.
    pub fn unseen(&self, what: impl Into<String>) {
        self.inner.recorder.unseen(what.into());
    }

    /// A promise was broken: the run goes on, and fails at its end. The first ones are kept with their details, all are
    /// counted.
    pub fn violation(&self, what: Violation) {
        self.inner.recorder.violation(what);
    }

    /// Tells the user how far this worker is with what it does now.
    pub fn progress(&self, done: u64, of: u64, what: &str) {
        self.inner.link.progress(done, of, what);
    }

    /// What was recorded; nothing is afterwards.
    pub(crate) fn into_recording(self) -> Recording {
        self.inner.recorder.take()
    }
}
