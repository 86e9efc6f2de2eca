//! What is published meanwhile: in each channel the numbers from 1 on, each of them once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Result;
use campanile_tests::wait::until;
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::PATIENCE;
use super::crowd::channel;
use super::fleet::Fleet;

/// Between two publications, each for a hundred clients.
const EVERY: Duration = Duration::from_millis(100);

/// Somebody who publishes.
pub(crate) struct Load {
    ends: Arc<AtomicBool>,
    publishing: JoinHandle<Vec<u64>>,
}

impl Load {
    /// Publishes in each channel in turn, through whichever gateway is ready.
    pub(crate) fn start(fleet: Arc<Fleet>, channels: usize) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let publishing = tokio::spawn(publish(fleet, vec![0; channels], Arc::clone(&ends)));
        Self { ends, publishing }
    }

    /// How much has been published in each channel.
    pub(crate) async fn stop(self) -> Result<Vec<u64>> {
        self.ends.store(true, Ordering::Relaxed);
        Ok(self.publishing.await?)
    }
}

async fn publish(fleet: Arc<Fleet>, mut published: Vec<u64>, ends: Arc<AtomicBool>) -> Vec<u64> {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for turn in 0.. {
        ticks.tick().await;
        let index = turn % published.len();
        // Every channel has as many as the others.
        if index == 0 && ends.load(Ordering::Relaxed) {
            break;
        }
        published[index] += 1;
        let (channel, number) = (channel(index), published[index]);
        let params = json!({
            "channel": channel,
            "data": number,
            // Who tries again after an answer was lost publishes once.
            "idempotency_key": number.to_string(),
        });
        until("a publication is accepted", PATIENCE, || async {
            let answer = fleet.api()?.try_call("publish", &params).await;
            answer.ok()?.ok()
        })
        .await;
    }
    published
}
