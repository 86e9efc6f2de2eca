//! A deployment within the test: memory servers, a memory store, and coordinators that can be made to fail.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use campanile_common::{ChannelName, Epoch, Offset, Position, Timestamp};
use tokio::time::{Instant, sleep};

use super::super::{Coordinator, CoordinatorOptions, CoordinatorParts, ShardSource};
use super::OwnerState;
use crate::memory::{MemoryServer, MemoryShard};
use crate::partition::Partition;
use crate::publication::Publication;
use crate::shard::{
    HistoryRange, HistoryRequest, PublishRequest, Shard, ShardEvents, ShardOptions, StreamLimits,
};
use crate::store::{GatewayId, MemoryStore, TopologyStore};
use crate::testing::{Deaf, InterceptedShard, InterceptedStore, Judge, Verdict};
use crate::topology::{PartitionState, ShardId, ShardUrl, Topology, WantedShard};

/// Everything should have come to rest by then, a lease that must expire first included.
const PATIENCE: Duration = Duration::from_secs(120);

pub(super) struct Cluster {
    pub(super) store: Arc<MemoryStore>,
    pub(super) servers: BTreeMap<ShardId, Arc<MemoryServer>>,
    pub(super) durable: bool,
}

struct Ways(BTreeMap<ShardId, Arc<dyn Shard>>);

impl ShardSource for Ways {
    fn shard(&self, shard: &ShardId, _: &ShardUrl) -> Result<Arc<dyn Shard>, String> {
        self.0
            .get(shard)
            .cloned()
            .ok_or_else(|| "no such shard".to_owned())
    }

    fn open_apart(&self, shard: &ShardId, url: &ShardUrl) -> Result<Arc<dyn Shard>, String> {
        self.shard(shard, url)
    }
}

impl Cluster {
    pub(super) fn new(servers: usize) -> Self {
        let server = |number| (super::shard(number), Arc::new(MemoryServer::new(64 << 20)));
        Self {
            store: Arc::new(MemoryStore::new()),
            servers: (1..=servers).map(server).collect(),
            durable: false,
        }
    }

    pub(super) fn durable(servers: usize) -> Self {
        Self {
            durable: true,
            ..Self::new(servers)
        }
    }

    pub(super) fn gateway(name: &str) -> GatewayId {
        GatewayId(name.into())
    }

    pub(super) fn server(&self, number: usize) -> &MemoryServer {
        &self.servers[&super::shard(number)]
    }

    /// A way of its own to a server.
    pub(super) fn way(&self, number: usize) -> MemoryShard {
        self.way_to(&super::shard(number))
    }

    pub(super) fn way_to(&self, id: &ShardId) -> MemoryShard {
        let events: Arc<dyn ShardEvents> = Arc::new(Deaf);
        MemoryShard::open(
            id.clone(),
            Arc::clone(&self.servers[id]),
            &events,
            ShardOptions::default(),
        )
    }

    pub(super) fn coordinator(&self, name: &str) -> Coordinator {
        Coordinator::start(self.parts(name))
    }

    pub(super) fn parts(&self, name: &str) -> CoordinatorParts {
        let pass: Judge = Arc::new(|| Verdict::Pass);
        self.parts_behind(name, &pass, &pass)
    }

    /// A coordinator whose operations are judged.
    pub(super) fn coordinator_behind(&self, name: &str, store: &Judge, shards: &Judge) -> Coordinator {
        Coordinator::start(self.parts_behind(name, store, shards))
    }

    fn parts_behind(&self, name: &str, store: &Judge, shards: &Judge) -> CoordinatorParts {
        let configured = |id: &ShardId| WantedShard {
            url: ShardUrl::new(ShardUrl::MEMORY),
            address: id.to_string(),
            weight: 1,
            durable: self.durable,
        };
        let way = |id: &ShardId| -> Arc<dyn Shard> {
            Arc::new(InterceptedShard::new(
                Arc::new(self.way_to(id)),
                Arc::clone(shards),
            ))
        };
        let ids = self.servers.keys();
        CoordinatorParts {
            gateway: Self::gateway(name),
            configured: ids.clone().map(|id| (id.clone(), configured(id))).collect(),
            options: CoordinatorOptions::default(),
            store: Arc::new(InterceptedStore::new(self.store.clone(), Arc::clone(store))),
            shards: Arc::new(Ways(ids.map(|id| (id.clone(), way(id))).collect())),
        }
    }

    pub(super) async fn topology(&self) -> Topology {
        self.store.read().await.unwrap().expect("a topology")
    }

    /// Waits until every shard's present run is trusted and every partition stable.
    pub(super) async fn settled(&self) -> Topology {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(topology) = self.store.read().await.unwrap()
                && self.is_settled(&topology)
            {
                return topology;
            }
            assert!(Instant::now() < deadline, "nothing has settled");
            sleep(Duration::from_millis(50)).await;
        }
    }

    pub(super) fn is_settled(&self, topology: &Topology) -> bool {
        let trusted = self
            .servers
            .iter()
            .all(|(id, server)| topology.shards[id].incarnation == Some(server.run()));
        trusted
            && topology
                .partitions
                .iter()
                .all(|state| matches!(state, PartitionState::Stable(_)))
    }

    /// Every partition is open on its owner and nowhere else.
    pub(super) async fn assert_open_where_owned(&self, topology: &Topology) {
        for (id, server) in &self.servers {
            let records = self.way_to(id).owners(&server.run()).await.unwrap();
            let open: Vec<Partition> = records
                .iter()
                .filter(|(_, record)| record.state != OwnerState::Sealed)
                .inspect(|(_, record)| assert!(record.generation <= topology.generation))
                .map(|(partition, record)| {
                    assert_eq!(record.state, OwnerState::Open);
                    *partition
                })
                .collect();
            let owned: Vec<Partition> = topology.owned_by(id).map(|(partition, _)| partition).collect();
            assert_eq!(open, owned, "open on {id}");
        }
    }

    /// Publishes once to a channel of each shard; where it got.
    pub(super) async fn publish_everywhere(&self, topology: &Topology) -> BTreeMap<ShardId, Position> {
        let mut positions = BTreeMap::new();
        for id in self.servers.keys() {
            let (channel, partition) = channel_of(topology, id);
            let request = PublishRequest {
                channel,
                publication: Publication {
                    offset: Offset::ZERO,
                    data: Bytes::from_static(b"{}"),
                    info: None,
                    tags: BTreeMap::new(),
                    time: Timestamp::ZERO,
                },
                stream: Some(limits()),
                idempotency: None,
                version: None,
                new_epoch: new_epoch(),
            };
            let outcome = self
                .trusted(topology, id)
                .publish(partition, request)
                .await
                .unwrap();
            positions.insert(id.clone(), outcome.position.unwrap());
        }
        positions
    }

    /// Where the channels of [`Self::publish_everywhere`] are.
    pub(super) async fn positions(&self, topology: &Topology) -> BTreeMap<ShardId, Position> {
        let mut positions = BTreeMap::new();
        for id in self.servers.keys() {
            let (channel, partition) = channel_of(topology, id);
            let request = HistoryRequest {
                channel,
                range: HistoryRange::POSITION,
                meta_ttl: limits().meta_ttl,
                new_epoch: new_epoch(),
            };
            let page = self
                .trusted(topology, id)
                .history(partition, request)
                .await
                .unwrap();
            positions.insert(id.clone(), page.position);
        }
        positions
    }

    fn trusted(&self, topology: &Topology, id: &ShardId) -> MemoryShard {
        let way = self.way_to(id);
        let entry = &topology.shards[id];
        way.trust(entry.incarnation.clone(), entry.admitted);
        way
    }
}

/// A channel that `id` owns, the same as long as owners do not change.
fn channel_of(topology: &Topology, id: &ShardId) -> (ChannelName, Partition) {
    (0..)
        .map(|number| format!("channel-{number}"))
        .map(|name| (ChannelName::from_trusted(&name), Partition::of(&name)))
        .find(|(_, partition)| topology.partition(*partition).owner() == id)
        .expect("among all names there is one")
}

pub(super) fn limits() -> StreamLimits {
    let day = Duration::from_secs(86_400);
    StreamLimits {
        size: 10,
        ttl: day,
        meta_ttl: day,
    }
}

pub(super) fn new_epoch() -> Epoch {
    Epoch::new(format!("{:x}", rand::random::<u64>()))
}
