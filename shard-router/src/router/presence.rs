//! Presence entries of this gateway's clients: entered, kept alive in batches, removed.

use std::borrow::Borrow;
use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use ahash::RandomState;
use campanile_common::ChannelName;
use campanile_common::message::ClientInfo;
use parking_lot::Mutex;
use tokio::time::{MissedTickBehavior, interval};

use super::opened::OpenedShard;
use super::resume::BATCH;
use super::{Core, Router, RouterError};
use crate::audience::Audience;
use crate::partition::Partition;
use crate::shard::{PresenceEntry, ShardError, ShardFuture};

/// A refresh is spread over so many ticks.
const SLICES: usize = 16;

/// Who was entered by this gateway, in slices by partition; one slice is refreshed on each tick.
pub(super) struct PresenceTable {
    slices: [Mutex<Slice>; SLICES],
}

type Slice = HashMap<ChannelName, HashSet<Present, RandomState>, RandomState>;

/// One entry; in a set there is one for each client.
struct Present(Arc<ClientInfo>);

impl Borrow<str> for Present {
    fn borrow(&self) -> &str {
        &self.0.client
    }
}

impl PartialEq for Present {
    fn eq(&self, other: &Self) -> bool {
        self.0.client == other.0.client
    }
}

impl Eq for Present {}

impl Hash for Present {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.client.hash(state);
    }
}

impl Default for PresenceTable {
    fn default() -> Self {
        Self {
            slices: std::array::from_fn(|_| Mutex::default()),
        }
    }
}

impl PresenceTable {
    fn slice(&self, partition: Partition) -> &Mutex<Slice> {
        &self.slices[partition.index() % SLICES]
    }

    fn insert(&self, partition: Partition, channel: &ChannelName, info: Arc<ClientInfo>) {
        let mut slice = self.slice(partition).lock();
        slice.entry(channel.clone()).or_default().replace(Present(info));
    }

    fn remove(&self, partition: Partition, channel: &ChannelName, client: &str) {
        let mut slice = self.slice(partition).lock();
        if let Some(clients) = slice.get_mut(channel) {
            clients.remove(client);
            if clients.is_empty() {
                slice.remove(channel);
            }
        }
    }
}

impl<A: Audience> Router<A> {
    /// Enters a client into a channel's presence and keeps it there until [`Router::leave`].
    ///
    /// # Errors
    ///
    /// If the owner could not be told now; the next refresh will.
    pub async fn enter(&self, channel: &ChannelName, info: Arc<ClientInfo>) -> Result<(), RouterError> {
        let partition = Partition::of(channel);
        self.core.presence.insert(partition, channel, Arc::clone(&info));
        let ttl = self.core.config.presence_ttl;
        let entry = PresenceEntry {
            partition,
            channel: channel.clone(),
            info,
            ttl,
        };
        let enter = |shard: &dyn crate::shard::Shard| -> ShardFuture<()> {
            let refreshed = shard.refresh_presence(vec![entry.clone()]);
            Box::pin(async move { refreshed.await?.pop().unwrap_or(Ok(())) })
        };
        self.core.at_owner(partition, enter).await
    }

    /// Removes a client from a channel's presence.
    ///
    /// # Errors
    ///
    /// If the owner could not be told; the entry expires there.
    pub async fn leave(&self, channel: &ChannelName, client: &str) -> Result<(), RouterError> {
        let partition = Partition::of(channel);
        self.core.presence.remove(partition, channel, client);
        self.core
            .at_owner(partition, |shard| {
                shard.remove_presence(partition, channel, client)
            })
            .await
    }
}

/// Refreshes a slice of the entries on each tick, until the router ends.
pub(super) async fn run<A: Audience>(core: Arc<Core<A>>) {
    let every = core.config.presence_refresh_interval / u32::try_from(SLICES).unwrap_or(u32::MAX);
    let mut ticks = interval(every.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for slice in (0..SLICES).cycle() {
        ticks.tick().await;
        let shards: Vec<_> = core.routes.load().shards().cloned().collect();
        for shard in shards {
            // Submitted here, awaited aside: a stalled shard delays no other's entries.
            let batches = core.submit_refresh(&shard, slice, |_| true);
            if !batches.is_empty() {
                core.spawn(settle(Arc::clone(&core), shard, batches));
            }
        }
    }
}

type Refresh = ShardFuture<Vec<Result<(), ShardError>>>;

impl<A: Audience> Core<A> {
    /// Refreshes the entries of those of `shard`'s partitions that `include` says.
    pub(super) async fn refresh_presence(&self, shard: &OpenedShard, include: impl Fn(Partition) -> bool) {
        for slice in 0..SLICES {
            for refresh in self.submit_refresh(shard, slice, &include) {
                self.settle_refresh(shard, refresh).await;
            }
        }
    }

    /// Submits under the slice's lock: an entry that is removed afterwards is removed at the shard afterwards too.
    fn submit_refresh(
        &self,
        shard: &OpenedShard,
        slice: usize,
        include: impl Fn(Partition) -> bool,
    ) -> Vec<Refresh> {
        let routes = self.routes.load();
        let ttl = self.config.presence_ttl;
        let slice = self.presence.slices[slice].lock();
        let here = |(channel, _): &(&ChannelName, _)| {
            let partition = Partition::of(channel);
            let owner = routes.owner(partition);
            include(partition) && owner.is_some_and(|owner| Arc::ptr_eq(&owner.links, &shard.links))
        };
        let entries = slice.iter().filter(here).flat_map(|(channel, clients)| {
            let partition = Partition::of(channel);
            clients.iter().map(move |Present(info)| PresenceEntry {
                partition,
                channel: channel.clone(),
                info: Arc::clone(info),
                ttl,
            })
        });
        let entries: Vec<_> = entries.collect();
        entries
            .chunks(BATCH)
            .map(|batch| shard.shard.refresh_presence(batch.to_vec()))
            .collect()
    }

    async fn settle_refresh(&self, shard: &OpenedShard, refresh: Refresh) {
        let failed = match refresh.await {
            Ok(answers) => answers.iter().filter(|answer| answer.is_err()).count(),
            Err(error) => {
                tracing::debug!(shard = %shard.shard.id(), %error, "presence was not refreshed");
                1
            }
        };
        self.metrics.presence_failures.increment(failed as u64);
    }
}

async fn settle<A: Audience>(core: Arc<Core<A>>, shard: Arc<OpenedShard>, batches: Vec<Refresh>) {
    for refresh in batches {
        core.settle_refresh(&shard, refresh).await;
    }
}
