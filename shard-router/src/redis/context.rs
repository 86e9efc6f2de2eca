//! What the tasks of one Redis shard share.

use std::sync::Arc;

use tokio::sync::watch;

use super::connection::Connector;
use super::health::{ConnectionState, Health};
use super::memory::Complaints;
use crate::shard::ShardOptions;
use crate::shard::intent::Intent;
use crate::shard::metrics::ShardMetrics;
use crate::topology::ShardId;

/// What the tasks of one shard share.
#[derive(Clone)]
pub(super) struct TaskContext {
    pub(super) shard: ShardId,
    pub(super) connector: Arc<Connector>,
    pub(super) health: Arc<Health>,
    pub(super) metrics: Arc<ShardMetrics>,
    pub(super) intent: watch::Receiver<Intent>,
    pub(super) options: ShardOptions,
    pub(super) complaints: Arc<Complaints>,
}

impl TaskContext {
    /// Notes a connection's state, and logs it if it is news.
    pub(super) fn report(&self, slot: usize, state: ConnectionState) {
        if !self.health.set(slot, state.clone()) {
            return;
        }
        let shard = &self.shard;
        match state {
            ConnectionState::Up => tracing::info!(%shard, slot, "connected"),
            ConnectionState::Untrusted(run) => tracing::info!(%shard, slot, %run, "another run answers"),
            ConnectionState::Down(why) if self.intent.borrow().closed => {
                tracing::debug!(%shard, slot, why, "not connected any more");
            }
            ConnectionState::Down(why) => tracing::warn!(%shard, slot, why, "not connected"),
        }
    }
}
