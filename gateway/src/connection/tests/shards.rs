//! Memory shards, and the coordinator that opens them.

use std::collections::BTreeMap;
use std::sync::Arc;

use campanile_shard_router::coordinator::{ConfiguredShard, Coordinator, CoordinatorParts, ShardSource};
use campanile_shard_router::memory::MemoryFactory;
use campanile_shard_router::partition::Partition;
use campanile_shard_router::publication::ShardMessage;
use campanile_shard_router::router::{Router, RouterConfig};
use campanile_shard_router::shard::{LinkId, Shard, ShardEvents, ShardFactory, ShardOptions};
use campanile_shard_router::store::{GatewayId, MemoryStore, TopologyStore};
use campanile_shard_router::topology::{Generation, PartitionState, ShardId};

use crate::connection::Connection;
use crate::hub::{EncodedCounters, Hub};

const SERVERS: usize = 2;

/// The coordinator's own ways to the shards; it listens to nothing.
struct Ways(BTreeMap<ShardId, Arc<dyn Shard>>);

struct Deaf;

impl ShardEvents for Deaf {
    fn message(&self, _: &LinkId, _: &str, _: ShardMessage) {}
    fn marker(&self, _: &LinkId, _: Partition, _: Generation) {}
    fn link_up(&self, _: &LinkId) {}
    fn link_down(&self, _: &LinkId) {}
}

impl ShardSource for Ways {
    fn shard(&self, shard: &ShardId) -> Option<Arc<dyn Shard>> {
        self.0.get(shard).cloned()
    }
}

/// A router over memory shards whose partitions are all open.
pub(super) async fn router() -> Arc<Router<Hub<Connection>>> {
    let factory = MemoryFactory::embedded(SERVERS, 64 << 20, ShardOptions::default());
    let store: Arc<dyn TopologyStore> = Arc::new(MemoryStore::new());
    let gateway = GatewayId("g".into());
    let coordinator = coordinate(&factory, &store, &gateway);
    let hub = Arc::new(Hub::new(EncodedCounters::register()));
    let router = Router::start(
        RouterConfig::default(),
        hub,
        Arc::clone(&store),
        Arc::new(factory),
        gateway.clone(),
    );
    let mut applied = router.applied();
    while !router.topology().is_some_and(|topology| {
        let is_open = |state: &PartitionState| matches!(state, PartitionState::Stable(_));
        topology.partitions.iter().all(is_open)
    }) {
        applied.changed().await.unwrap();
    }
    coordinator.stop(&*store, &gateway).await;
    router
}

fn coordinate(factory: &MemoryFactory, store: &Arc<dyn TopologyStore>, gateway: &GatewayId) -> Coordinator {
    let configured = |id: &ShardId| ConfiguredShard {
        address: id.to_string(),
        weight: 1,
        durable: false,
    };
    let way = |id: &ShardId| factory.open(id, Arc::new(Deaf)).unwrap();
    let ids = || factory.servers().keys();
    Coordinator::start(CoordinatorParts {
        gateway: gateway.clone(),
        configured: ids().map(|id| (id.clone(), configured(id))).collect(),
        store: Arc::clone(store),
        shards: Arc::new(Ways(ids().map(|id| (id.clone(), way(id))).collect())),
    })
}
