//! Waiting until what was accepted has arrived.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::check::Checker;
use crate::payload::Label;
use crate::run::Run;

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(20);

/// How long it is listened for what comes twice.
const ECHO: Duration = Duration::from_millis(200);

/// How many publications have arrived at all who share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Arrivals(Arc<AtomicU64>);

impl Arrivals {
    /// So many have arrived, or are known never to.
    pub(super) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// A publication has arrived. What comes again does not make up for what is missing.
    pub(super) fn follow(&self, checker: &mut Checker, label: &Label) {
        let before = checker.received();
        checker.arrived(label);
        self.add(checker.received() - before);
    }

    /// Waits until so many have arrived, or as long as the plan lets stragglers take; and then a little for what comes twice.
    pub(super) async fn wait(&self, run: &Run, expected: u64) {
        wait(run, || self.0.load(Ordering::Relaxed) >= expected).await;
        tokio::time::sleep(ECHO).await;
    }
}

/// Waits until `done`, or as long as the plan lets stragglers take.
pub(super) async fn wait(run: &Run, done: impl Fn() -> bool) {
    let until = tokio::time::Instant::now() + run.plan().load.settle;
    while !done() && tokio::time::Instant::now() < until {
        tokio::time::sleep(LOOK).await;
    }
}
