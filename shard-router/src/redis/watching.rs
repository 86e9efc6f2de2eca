//! Noticing that another server has taken a shard over, as long as the shard is open.
//!
//! Nobody waits for a connection to break: a primary that was replaced while it was cut off from its Sentinels may go on
//! answering for a long time. So all connections are made anew at once, and whoever looks after the shard looks.

use std::sync::Arc;

use tokio::sync::watch;

use super::connection::Connector;
use super::sentinel::Lookout;
use crate::shard::intent::Intent;
use crate::topology::ShardId;

/// What happens when another server takes over.
pub(super) struct Watching {
    pub(super) shard: ShardId,
    pub(super) connector: Arc<Connector>,
    pub(super) intent: watch::Sender<Intent>,
    /// Counts takeovers.
    pub(super) takeovers: watch::Sender<u64>,
}

impl Watching {
    /// Runs until the shard is closed.
    pub(super) async fn run(self) {
        let mut intents = self.intent.subscribe();
        let mut dialers = self.connector.dialers();
        loop {
            let dialer = dialers.borrow_and_update().clone();
            let mut lookout = Lookout::begin(&dialer, self.connector.timeout);
            loop {
                tokio::select! {
                    _ = intents.wait_for(|intent| intent.closed) => return,
                    _ = dialers.changed() => break,
                    primary = lookout.takeover() => self.tell(&primary),
                }
            }
        }
    }

    fn tell(&self, primary: &str) {
        tracing::info!(shard = %self.shard, primary, "Sentinel names another primary");
        Intent::take_over(&self.intent);
        self.takeovers.send_modify(|count| *count += 1);
    }
}
