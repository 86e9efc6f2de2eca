//! Waiting until what was accepted has arrived.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::check::{Checker, Ledger};
use crate::payload::Label;
use crate::run::Run;

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(20);

/// How many publications have arrived at all who share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Arrivals(Arc<AtomicU64>);

impl Arrivals {
    /// A publication has arrived. What comes again does not make up for what is missing.
    pub(super) fn follow(&self, checker: &mut Checker, label: &Label) {
        let before = checker.received();
        checker.arrived(label);
        self.0.fetch_add(checker.received() - before, Ordering::Relaxed);
    }

    /// Waits until so many have arrived, or as long as the plan lets stragglers take.
    pub(super) async fn wait(&self, run: &Run, expected: u64) {
        wait(run, || self.0.load(Ordering::Relaxed) >= expected).await;
    }
}

/// Waits until `done`, or as long as the plan lets stragglers take.
pub(super) async fn wait(run: &Run, done: impl Fn() -> bool) {
    let until = tokio::time::Instant::now() + run.plan().load.settle;
    while !done() && tokio::time::Instant::now() < until {
        tokio::time::sleep(LOOK).await;
    }
}

/// How many publications of a channel must arrive.
pub(super) fn accepted(ledger: &Ledger, channel: u32) -> u64 {
    let entries = ledger.channel(channel);
    entries
        .map(|(_, entry)| entry.last.saturating_sub(entry.doubtful.len() as u64))
        .sum()
}
