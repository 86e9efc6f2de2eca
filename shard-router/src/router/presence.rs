//! Presence entries of this gateway's clients: entered, kept alive in batches, removed.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap, HashSet};
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
        let mut shards: HashMap<_, Vec<_>> = HashMap::new();
        for refresh in core.submit_refresh(slice, |partition| core.ways(partition).first) {
            shards
                .entry(refresh.shard.destination())
                .or_default()
                .push(refresh);
        }
        // Submitted here, awaited aside: a stalled shard delays no other's entries.
        for batches in shards.into_values() {
            core.spawn(settle(Arc::clone(&core), slice, batches));
        }
    }
}

async fn settle<A: Audience>(core: Arc<Core<A>>, slice: usize, batches: Vec<Refresh>) {
    for refresh in batches {
        core.settle_refresh(slice, refresh).await;
    }
}

/// A batch of entries that one shard was asked to refresh.
struct Refresh {
    shard: Arc<OpenedShard>,
    partitions: Vec<Partition>,
    answer: ShardFuture<Vec<Result<(), ShardError>>>,
}

impl<A: Audience> Core<A> {
    /// Refreshes the entries of those of `shard`'s partitions that `include` says.
    pub(super) async fn refresh_presence(
        &self,
        shard: &Arc<OpenedShard>,
        include: impl Fn(Partition) -> bool,
    ) {
        let here = |partition| {
            let first = self.ways(partition).first.filter(|_| include(partition));
            first.filter(|first| Arc::ptr_eq(first, shard))
        };
        for slice in 0..SLICES {
            for refresh in self.submit_refresh(slice, here) {
                self.settle_refresh(slice, refresh).await;
            }
        }
    }

    /// Submits a slice's entries, each to the shard that `aim` says of its partition. Under the slice's lock: an entry
    /// that is removed afterwards is removed at the shard afterwards too.
    fn submit_refresh(
        &self,
        slice: usize,
        aim: impl Fn(Partition) -> Option<Arc<OpenedShard>>,
    ) -> Vec<Refresh> {
        let ttl = self.config.presence_ttl;
        let slice = self.presence.slices[slice].lock();
        let mut shards: HashMap<_, (Arc<OpenedShard>, Vec<PresenceEntry>)> = HashMap::new();
        for (channel, clients) in slice.iter() {
            let partition = Partition::of(channel);
            let Some(shard) = aim(partition) else { continue };
            let (_, entries) = shards
                .entry(shard.destination())
                .or_insert_with(|| (shard, Vec::new()));
            entries.extend(clients.iter().map(|Present(info)| PresenceEntry {
                partition,
                channel: channel.clone(),
                info: Arc::clone(info),
                ttl,
            }));
        }
        let batches = |(shard, entries): &(Arc<OpenedShard>, Vec<PresenceEntry>)| {
            let batches = entries.chunks(BATCH).map(|batch| Refresh::submit(shard, batch));
            batches.collect::<Vec<_>>()
        };
        shards.values().flat_map(batches).collect()
    }

    /// Awaits the answer. What changes hands just now is tried once more, at the other shard; if that does not serve it
    /// yet, the next refresh comes long before the entries expire.
    async fn settle_refresh(&self, slice: usize, refresh: Refresh) {
        let refused_by = refresh.shard.destination();
        let (mut failed, mut refused) = refresh.settle().await;
        if !refused.is_empty() {
            let elsewhere = |partition| {
                let ways = self.ways(partition);
                let mut shards = [ways.first, ways.second].into_iter().flatten();
                let other = shards.find(|shard| shard.destination() != refused_by);
                other.filter(|_| refused.contains_key(&partition))
            };
            for again in self.submit_refresh(slice, elsewhere) {
                for partition in &again.partitions {
                    refused.remove(partition);
                }
                let (failures, refusals) = again.settle().await;
                failed += failures + refusals.values().sum::<usize>();
            }
        }
        failed += refused.values().sum::<usize>();
        self.metrics.presence_failures.increment(failed as u64);
    }
}

impl Refresh {
    fn submit(shard: &Arc<OpenedShard>, entries: &[PresenceEntry]) -> Self {
        Self {
            shard: Arc::clone(shard),
            partitions: entries.iter().map(|entry| entry.partition).collect(),
            answer: shard.shard.refresh_presence(entries.to_vec()),
        }
    }

    /// How many entries (or whole batches) failed; and how many the shard refused because it does not serve their
    /// partitions.
    async fn settle(self) -> (usize, BTreeMap<Partition, usize>) {
        let answers = match self.answer.await {
            Ok(answers) => answers,
            Err(error) => {
                tracing::debug!(shard = %self.shard.shard.id(), %error, "presence was not refreshed");
                return (1, BTreeMap::new());
            }
        };
        let mut refused = BTreeMap::new();
        let mut failed = 0;
        for (partition, answer) in self.partitions.into_iter().zip(answers) {
            match answer {
                Ok(()) => {}
                Err(ShardError::NotOwner) => *refused.entry(partition).or_default() += 1,
                Err(_) => failed += 1,
            }
        }
        (failed, refused)
    }
}
