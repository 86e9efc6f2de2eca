//! Waiting for what is still on its way.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::watcher::Channel;
use crate::check::Ledger;
use crate::run::Run;

/// How often is looked.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// After everything has arrived: so long is listened for what comes twice.
const ECHO: Duration = Duration::from_millis(300);

/// How many publications were accepted in these channels, each counted as often as it is watched.
pub(in crate::scenario) fn expected(ledger: &Ledger, watched: impl Iterator<Item = Channel>) -> u64 {
    watched.map(|channel| ledger.accepted_in(channel.index)).sum()
}

/// Waits until so many have arrived, as long as the plan's `settle`. Whether they are the right ones is seen later.
pub(in crate::scenario) async fn until(run: &Run, received: &AtomicU64, expected: u64) {
    let arrive = async {
        while received.load(Ordering::Relaxed) < expected {
            run.progress(
                received.load(Ordering::Relaxed),
                expected,
                "publications that have arrived",
            );
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    // Who waits for more than that waits for what was lost, which is told in the end.
    let _ = tokio::time::timeout(run.plan().load.settle, arrive).await;
    tokio::time::sleep(ECHO).await;
}
