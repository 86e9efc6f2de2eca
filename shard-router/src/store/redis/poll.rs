//! Looks at the topology's version now and then, so that a lost notification costs seconds, not forever; and behind Sentinel,
//! whether the server is as safe as it has to be.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::connection::Connection;
use super::keys::{Keys, Version};
use super::safety::Safety;
use crate::redis::{Dialer, Replication};

/// How often: two numbers read, and nothing more unless they have changed.
const EVERY: Duration = Duration::from_secs(2);

/// Who looks.
#[derive(Debug)]
pub(super) struct Poll {
    pub(super) connection: Connection,
    pub(super) dialer: Dialer,
    pub(super) keys: Keys,
    pub(super) changes: watch::Sender<u64>,
    pub(super) safety: Arc<Safety>,
}

impl Poll {
    /// Wakes `changes` whenever generation or change id differ from what was seen before.
    pub(super) async fn run(self) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let question = self.keys.version();
        let mut seen: Option<Version> = None;
        loop {
            ticks.tick().await;
            let read = self
                .connection
                .run(async |connection| question.query_async(connection).await)
                .await;
            // An error says nothing about the topology, and the connection has noted it.
            let Ok(version) = read else { continue };
            if seen.replace(version) != Some(version) {
                self.changes.send_modify(|wakes| *wakes += 1);
            }
            self.look_at_replication().await;
        }
    }

    async fn look_at_replication(&self) {
        let Some(primary) = self.dialer.primary() else {
            return;
        };
        let asked = self
            .connection
            .run(async |connection| Replication::ask(connection).await);
        if let Ok(replication) = asked.await {
            self.safety.note(&primary, replication);
        }
    }
}
