//! Membership and coordinators of two gateways over one real store, across its faults and a shard's.

#![allow(clippy::unwrap_used)]

#[path = "support/redis_server.rs"]
#[allow(dead_code, unreachable_pub)]
mod redis_server;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use campanile_shard_router::coordinator::{Coordinator, CoordinatorOptions, CoordinatorParts, ShardSource};
use campanile_shard_router::membership::Membership;
use campanile_shard_router::memory::{MemoryFactory, MemoryServer, RestartWith};
use campanile_shard_router::partition::Partition;
use campanile_shard_router::publication::ShardMessage;
use campanile_shard_router::shard::{LinkId, Shard, ShardEvents, ShardFactory, ShardOptions};
use campanile_shard_router::store::{GatewayId, RedisStore, RedisStoreConfig, TopologyStore};
use campanile_shard_router::topology::{
    Generation, PartitionState, ShardId, ShardUrl, Topology, WantedShard,
};
use redis_server::RedisServer;
use tokio::time::timeout;

/// What should happen soon happens within this; a lease may have to expire first.
const SOON: Duration = Duration::from_secs(40);

struct Deaf;

impl ShardEvents for Deaf {
    fn message(&self, _: &LinkId, _: &str, _: ShardMessage) {}
    fn marker(&self, _: &LinkId, _: Partition, _: Generation) {}
    fn link_up(&self, _: &LinkId) {}
    fn link_down(&self, _: &LinkId) {}
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

/// One gateway without clients.
struct Gateway {
    id: GatewayId,
    store: Arc<dyn TopologyStore>,
    membership: Membership,
    coordinator: Coordinator,
}

impl Gateway {
    fn start(name: &str, server: &RedisServer, factory: &MemoryFactory) -> Self {
        let store: Arc<dyn TopologyStore> =
            Arc::new(RedisStore::open(RedisStoreConfig::new(&server.url())).unwrap());
        let id = GatewayId(name.into());
        let ids: Vec<_> = factory.servers().into_keys().collect();
        let configured = |id: &ShardId| WantedShard {
            url: ShardUrl::new(ShardUrl::MEMORY),
            address: id.to_string(),
            weight: 1,
            durable: false,
        };
        let parts = CoordinatorParts {
            gateway: id.clone(),
            configured: ids.iter().map(|id| (id.clone(), configured(id))).collect(),
            options: CoordinatorOptions::default(),
            store: Arc::clone(&store),
            shards: Arc::new(Ways(
                ids.into_iter()
                    .map(|id| {
                        (
                            id.clone(),
                            factory.open(&id, &ShardUrl::default(), Arc::new(Deaf)).unwrap(),
                        )
                    })
                    .collect(),
            )),
        };
        Self {
            membership: Membership::join(Arc::clone(&store), id.clone()),
            coordinator: Coordinator::start(parts),
            store,
            id,
        }
    }

    /// The topology that this gateway sees once it satisfies `wanted`.
    async fn sees(&self, wanted: impl Fn(&Topology) -> bool) -> Arc<Topology> {
        let mut views = self.membership.views();
        let found = timeout(
            SOON,
            views.wait_for(|view| view.topology.as_deref().is_some_and(&wanted)),
        )
        .await;
        found.expect("in time").unwrap().topology.clone().unwrap()
    }
}

fn settled(servers: &BTreeMap<ShardId, Arc<MemoryServer>>) -> impl Fn(&Topology) -> bool {
    |topology| {
        let trusted = servers
            .iter()
            .all(|(id, server)| topology.shards[id].incarnation == Some(server.run()));
        trusted
            && topology
                .partitions
                .iter()
                .all(|state| matches!(state, PartitionState::Stable(_)))
    }
}

#[tokio::test]
async fn two_gateways_see_one_topology_across_restarts_of_shard_and_store() {
    // Killed, not unplugged: what was written is there again, and no answer waits for the disk.
    let mut server = RedisServer::start_with(&["--appendonly", "yes", "--appendfsync", "no"]);
    let factory = MemoryFactory::embedded(3, 16 << 20, ShardOptions::default());
    let servers = factory.servers();
    let one = Gateway::start("one", &server, &factory);
    let two = Gateway::start("two", &server, &factory);
    let first = one.sees(settled(&servers)).await;
    assert_eq!(two.sees(settled(&servers)).await, first);

    let restarted = &servers[&ShardId::new("memory-2")];
    restarted.restart(RestartWith::Data);
    let second = two.sees(settled(&servers)).await;
    assert!(second.generation > first.generation);

    // A shard restarts while the store is away: decided about as soon as the store is back.
    server.kill();
    restarted.restart(RestartWith::Data);
    server.restart();
    let third = two.sees(settled(&servers)).await;
    assert!(third.generation > second.generation);
    one.sees(|topology| topology.generation == third.generation).await;
    assert_eq!(one.membership.views().borrow().joined, 1);

    // The one that acts leaves; the other one acts in its place, and knows that it is alone.
    let (leaving, staying) = match one.coordinator.status().borrow().leading {
        true => (one, two),
        false => (two, one),
    };
    leaving.coordinator.stop().await;
    leaving.membership.leave().await;
    restarted.restart(RestartWith::Nothing);
    let fourth = staying.sees(settled(&servers)).await;
    assert!(fourth.generation > third.generation);
    let live: Vec<GatewayId> = staying
        .store
        .gateways()
        .await
        .unwrap()
        .into_iter()
        .map(|(id, _)| id)
        .collect();
    assert_eq!(live, std::slice::from_ref(&staying.id));
}
