//! Publishers and gateways as the coordinator meets them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use campanile_common::{ChannelName, Epoch, Offset, Timestamp};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::super::Cluster;
use super::super::cluster::{limits, new_epoch};
use crate::memory::MemoryShard;
use crate::partition::Partition;
use crate::publication::Publication;
use crate::shard::{
    CopyScope, HistoryPage, HistoryRange, HistoryRequest, PublishRequest, ScanCursor, Shard, ShardError,
    StreamLimits,
};
use crate::store::{GatewayReport, MemoryStore, TopologyStore};
use crate::topology::{ShardId, Topology};

/// A gateway that is registered, and says what it is told to say.
pub(super) struct Follower(JoinHandle<()>);

impl Follower {
    /// One that acknowledges every topology soon after it was written.
    pub(super) fn start(cluster: &Cluster, name: &str) -> Self {
        Self::with(cluster, name, |topology| {
            GatewayReport::applied(topology.generation)
        })
    }

    /// One that makes its report from each topology.
    pub(super) fn with(
        cluster: &Cluster,
        name: &str,
        report: impl Fn(&Topology) -> GatewayReport + Send + 'static,
    ) -> Self {
        let (store, id) = (Arc::clone(&cluster.store), Cluster::gateway(name));
        Self(tokio::spawn(async move {
            let mut newest = Newest::of(&store);
            loop {
                if let Some(topology) = newest.read().await {
                    store.register(&id, &report(topology), false).await.unwrap();
                }
                sleep(Duration::from_millis(50)).await;
            }
        }))
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The stored topology, read again only when it has changed.
pub(super) struct Newest {
    store: Arc<MemoryStore>,
    changes: watch::Receiver<u64>,
    topology: Option<Topology>,
}

impl Newest {
    pub(super) fn of(store: &Arc<MemoryStore>) -> Self {
        let mut changes = store.changes();
        changes.mark_changed();
        Self {
            store: Arc::clone(store),
            changes,
            topology: None,
        }
    }

    pub(super) async fn read(&mut self) -> Option<&Topology> {
        if self.changes.has_changed().unwrap() {
            self.changes.mark_unchanged();
            self.topology = self.store.read().await.unwrap();
        }
        self.topology.as_ref()
    }
}

/// What was accepted of one channel.
#[derive(Clone, Default)]
struct Accepted {
    payloads: Vec<Bytes>,
    epochs: BTreeSet<String>,
}

/// Publishes numbered messages to many channels, each to whichever shard takes it.
pub(super) struct Traffic {
    ways: Arc<Ways>,
    accepted: Arc<Mutex<BTreeMap<String, Accepted>>>,
    task: JoinHandle<()>,
}

struct Ways {
    store: Arc<MemoryStore>,
    ways: BTreeMap<ShardId, MemoryShard>,
}

impl Traffic {
    pub(super) const CHANNELS: usize = 100;

    pub(super) fn start(cluster: &Cluster) -> Self {
        let ways = Arc::new(Ways {
            store: Arc::clone(&cluster.store),
            ways: cluster
                .servers
                .keys()
                .map(|id| (id.clone(), cluster.way_to(id)))
                .collect(),
        });
        let accepted = Arc::default();
        let task = tokio::spawn(publish(Arc::clone(&ways), Arc::clone(&accepted)));
        Self { ways, accepted, task }
    }

    pub(super) fn count(&self) -> usize {
        self.accepted
            .lock()
            .values()
            .map(|channel| channel.payloads.len())
            .sum()
    }

    /// Stops publishing and checks that each channel holds all that was accepted, in order and in one epoch.
    pub(super) async fn assert_nothing_lost(self) {
        self.task.abort();
        let topology = self.ways.store.read().await.unwrap().unwrap();
        let accepted = self.accepted.lock().clone();
        assert!(!accepted.is_empty());
        for (name, accepted) in accepted {
            let page = self.ways.read(&topology, &name).await;
            let payloads: Vec<Bytes> = page.publications.into_iter().map(|one| one.data).collect();
            assert_eq!(payloads, accepted.payloads, "{name}");
            assert_eq!(page.position.offset, Offset(accepted.payloads.len() as u64));
            assert_eq!(
                accepted.epochs,
                BTreeSet::from([page.position.epoch.to_string()]),
                "{name}"
            );
        }
    }

    /// Stops publishing; which channels are in another epoch than everything that was accepted.
    pub(super) async fn renewed(self) -> BTreeSet<Partition> {
        self.task.abort();
        let topology = self.ways.store.read().await.unwrap().unwrap();
        let accepted = self.accepted.lock().clone();
        let mut renewed = BTreeSet::new();
        for (name, accepted) in accepted {
            let page = self.ways.read(&topology, &name).await;
            let present = page.position.epoch.to_string();
            if accepted.epochs != BTreeSet::from([present]) {
                renewed.insert(Partition::of(&name));
            }
        }
        renewed
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Ways {
    fn trusted(&self, topology: &Topology, id: &ShardId) -> &MemoryShard {
        let (way, entry) = (&self.ways[id], &topology.shards[id]);
        way.trust(entry.incarnation.clone(), entry.admitted);
        way
    }

    async fn read(&self, topology: &Topology, name: &str) -> HistoryPage {
        let partition = Partition::of(name);
        let request = HistoryRequest {
            channel: ChannelName::from_trusted(name),
            range: HistoryRange::after(Offset::ZERO, None),
            meta_ttl: limits().meta_ttl,
            new_epoch: new_epoch(),
        };
        let owner = topology.partition(partition).owner();
        self.trusted(topology, owner)
            .history(partition, request)
            .await
            .unwrap()
    }
}

async fn publish(ways: Arc<Ways>, accepted: Arc<Mutex<BTreeMap<String, Accepted>>>) {
    let mut newest = Newest::of(&ways.store);
    for number in 0_usize.. {
        sleep(Duration::from_millis(5)).await;
        let name = format!("channel-{}", number % Traffic::CHANNELS);
        let partition = Partition::of(&name);
        let Some(topology) = newest.read().await else {
            continue;
        };
        let state = topology.partition(partition);
        for id in [state.owner(), state.destination()] {
            let data = Bytes::from(number.to_string());
            let way = ways.trusted(topology, id);
            match way.publish(partition, request(&name, data.clone())).await {
                Ok(outcome) => {
                    let mut accepted = accepted.lock();
                    let channel = accepted.entry(name).or_default();
                    channel.payloads.push(data);
                    channel.epochs.insert(outcome.position.unwrap().epoch.to_string());
                    break;
                }
                Err(ShardError::NotOwner | ShardError::Unavailable(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
}

fn request(name: &str, data: Bytes) -> PublishRequest {
    PublishRequest {
        channel: ChannelName::from_trusted(name),
        publication: Publication {
            offset: Offset::ZERO,
            data,
            info: None,
            tags: BTreeMap::new(),
            time: Timestamp::ZERO,
        },
        stream: Some(StreamLimits {
            size: 100_000,
            ..limits()
        }),
        idempotency: None,
        version: None,
        new_epoch: Epoch::new(new_epoch().to_string()),
    }
}

/// Nothing of a partition is anywhere but on its owner.
pub(super) async fn assert_nothing_left_elsewhere(cluster: &Cluster, topology: &Topology) {
    for (id, server) in &cluster.servers {
        if !topology.shards.contains_key(id) {
            continue;
        }
        let others: BTreeSet<Partition> = topology
            .states()
            .filter(|(_, state)| state.owner() != id)
            .map(|(partition, _)| partition)
            .collect();
        let others = Arc::new(others);
        let (way, run) = (cluster.way_to(id), server.run());
        let mut cursor = Some(ScanCursor::START);
        while let Some(from) = cursor {
            let step = way.scan(&run, Arc::clone(&others), CopyScope::All, from).await;
            let (items, next) = step.unwrap();
            assert!(items.is_empty(), "{id} still holds {items:?}");
            cursor = next;
        }
    }
}
