//! The coordinator: carries out what the topology decided, and decides what restarted shards make necessary.
//!
//! Every gateway runs one; the one that holds the store's lease acts. The lease makes it alone for efficiency only. What
//! makes two of them safe is that every decision is a compare-and-set on the topology, that every act at a shard passes
//! the owner fence, and that what fills a partition carries a token that a later coordinator's is larger than.
//!
//! # Parts
//!
//! * `decision`: what to do about a shard, from the topology and what is seen of it. Pure.
//! * `bootstrap`: the first topology of an empty store. Pure.
//! * `configured`, `options`: the shards that this gateway is told of, and how to act.
//! * `list`: how the configured shards and the topology's differ. Pure.
//! * `check`: what is checked of a server before it becomes a shard.
//! * `requests`: requests about the shard list, from any gateway.
//! * `lease`: who acts, and for how long.
//! * `term`: what is done while the lease is held: reading the topology, filling an empty store, one keeper per shard.
//! * `keeper`: the loop around one shard. A shard that is down delays no other.
//! * `work`: the acts at a shard.
//! * `conductor`: announces the plan's moves batch by batch, and drives a [`crate::mover::Attempt`] at each.
//! * `cleaner`: deletes what partitions have left behind.
//! * `tidy`: what is done about the shard list when nothing moves.
//! * `sights`, `outage`: what the keepers see of their shards, and when one is given up.
//! * `ledger`: the topology as this coordinator knows it; the one place that writes it.
//!
//! # The life of a decision
//!
//! A keeper sees a shard run in another incarnation than the topology's → it closes the shard's partitions there
//! (`Admit`, at a generation above all) → compare-and-set: the incarnation is trusted, its partitions are `Opening` →
//! they are opened at the shard → compare-and-set: they are `Stable`. Whoever dies anywhere in between, the next
//! coordinator reads from the topology what was decided, and finds each step done or to be done again.

use std::collections::BTreeMap;
use std::sync::Arc;

use campanile_common::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::debug;

use crate::shard::Shard;
use crate::store::{GatewayId, TopologyStore};
use crate::topology::{ShardId, ShardUrl};

mod bootstrap;
mod check;
mod cleaner;
mod conductor;
mod configured;
pub(crate) mod decision;
mod keeper;
mod lease;
mod ledger;
mod list;
mod options;
mod outage;
mod requests;
mod sights;
mod term;
mod tidy;
mod work;

#[cfg(test)]
mod tests;

pub use check::Unfit;
pub use configured::{ConfiguredShards, ShardList};
pub use list::ListDifference;
pub use options::{CoordinatorOptions, ManagedBy};
pub use requests::{Planned, ShardRequests, SubmitError};

/// Where the coordinator gets its ways to shards from: the router, which has them open.
pub trait ShardSource: Send + Sync + 'static {
    /// The way to `shard`, opened at `url` if it is not yet.
    ///
    /// # Errors
    ///
    /// In words, why there is no such way.
    fn shard(&self, shard: &ShardId, url: &ShardUrl) -> Result<Arc<dyn Shard>, String>;

    /// A way to the server at `url` that is not (or not any more) among the topology's shards: to look at it before it
    /// is. Ends when it is dropped.
    ///
    /// # Errors
    ///
    /// In words, why there is no such way.
    fn open_apart(&self, shard: &ShardId, url: &ShardUrl) -> Result<Arc<dyn Shard>, String>;
}

/// What is known of the coordinator's work, for readiness and people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CoordinatorStatus {
    /// Whether this gateway's coordinator is the one that acts.
    pub leading: bool,
    /// How the configured shards differ from those that count; `None` where they agree, where it does not matter, or
    /// where no topology is known. Nothing is altered because of it.
    pub list: Option<ListDifference>,
    /// What keeps which shard from being served, as far as the acting coordinator sees it. Empty elsewhere.
    pub troubles: BTreeMap<ShardId, String>,
    /// What keeps the wanted shard list from being carried out, as far as the acting coordinator sees it.
    pub wish: Option<String>,
    /// The moves that the acting coordinator carries out; `None` elsewhere, and while there are none.
    pub moves: Option<MoveProgress>,
}

/// How far moves are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MoveProgress {
    /// How many partitions the present plan moves.
    pub planned: usize,
    /// How many of them are not at their new shard yet, those that are moving included.
    pub left: usize,
    /// How many are moving now.
    pub moving: usize,
    /// Bytes copied for the plan by this coordinator.
    pub bytes: u64,
    /// Since when this coordinator has been carrying the plan out.
    pub started: Timestamp,
    /// What is being done, in words.
    pub stage: String,
    /// What does not get done at the moment, in words.
    pub trouble: Option<String>,
}

/// This gateway's coordinator, acting or waiting for its turn.
pub struct Coordinator {
    store: Arc<dyn TopologyStore>,
    gateway: GatewayId,
    status: watch::Receiver<CoordinatorStatus>,
    driver: JoinHandle<()>,
}

/// What a coordinator is made of.
#[derive(Clone)]
pub struct CoordinatorParts {
    /// This gateway.
    pub gateway: GatewayId,
    /// The shards as this gateway's configuration lists them: they fill an empty store.
    pub configured: ConfiguredShards,
    /// How to act.
    pub options: CoordinatorOptions,
    /// Where topology and lease live.
    pub store: Arc<dyn TopologyStore>,
    /// The ways to the shards.
    pub shards: Arc<dyn ShardSource>,
}

impl Coordinator {
    /// Starts to wait for the lease, and to act once it is held, in a task of its own. Needs a runtime.
    #[must_use]
    pub fn start(parts: CoordinatorParts) -> Self {
        conductor::register_metrics();
        let (board, status) = watch::channel(CoordinatorStatus::default());
        let (store, gateway) = (Arc::clone(&parts.store), parts.gateway.clone());
        let driver = tokio::spawn(lease::take_turns(parts, board));
        Self {
            store,
            gateway,
            status,
            driver,
        }
    }

    /// How it goes, as it changes.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<CoordinatorStatus> {
        self.status.clone()
    }

    /// Stops acting and lets another gateway take over at once.
    pub async fn stop(mut self) {
        self.driver.abort();
        // Awaited, so that nothing is done after the lease is given up. The only error is having been aborted.
        let _ = (&mut self.driver).await;
        if let Err(error) = self.store.release_lease(&self.gateway).await {
            debug!(%error, "the coordinator's lease is left to expire");
        }
    }
}

impl Drop for Coordinator {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
