//! The desk between an attempt's script and whoever drives it: one ask, one answer, and the newest topology.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use parking_lot::Mutex;

use super::{Answer, Ask, Progress};
use crate::topology::Topology;

/// Shared by the script, which asks, and the attempt, which hands the asks out and the answers in. Both are one value
/// and never run at the same time: the lock is there for the compiler.
#[derive(Clone)]
pub(super) struct Desk(Arc<Mutex<Papers>>);

struct Papers {
    ask: Option<Ask>,
    answer: Option<Answer>,
    now: Duration,
    topology: Arc<Topology>,
    progress: Progress,
}

impl Desk {
    pub(super) fn new(topology: Arc<Topology>) -> Self {
        Self(Arc::new(Mutex::new(Papers {
            ask: None,
            answer: None,
            now: Duration::ZERO,
            topology,
            progress: Progress::default(),
        })))
    }

    /// Puts `ask` there and waits for the answer.
    pub(super) async fn ask(&self, ask: Ask) -> Answer {
        self.0.lock().ask = Some(ask);
        poll_fn(|_| self.0.lock().answer.take().map_or(Poll::Pending, Poll::Ready)).await
    }

    /// The ask that is not answered yet.
    pub(super) fn pending(&self) -> Option<Ask> {
        self.0.lock().ask.clone()
    }

    pub(super) fn answer(&self, now: Duration, answer: Answer) {
        let mut papers = self.0.lock();
        // An answer to nothing is a driver's mistake that must not be taken for the answer to the next ask.
        if papers.ask.take().is_some() {
            papers.answer = Some(answer);
        }
        papers.now = papers.now.max(now);
    }

    pub(super) fn observe(&self, topology: Arc<Topology>) {
        let mut papers = self.0.lock();
        if topology.generation > papers.topology.generation {
            papers.topology = topology;
        }
    }

    /// The newest topology that is known.
    pub(super) fn topology(&self) -> Arc<Topology> {
        Arc::clone(&self.0.lock().topology)
    }

    /// When the last answer came.
    pub(super) fn now(&self) -> Duration {
        self.0.lock().now
    }

    pub(super) fn progress(&self) -> Progress {
        self.0.lock().progress.clone()
    }

    pub(super) fn note(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.0.lock().progress);
    }
}
