//! Memory shards, and the coordinator that opens them.

use std::sync::Arc;

use campanile_shard_router::coordinator::{Coordinator, CoordinatorOptions, CoordinatorParts, ShardSource};
use campanile_shard_router::memory::MemoryFactory;
use campanile_shard_router::router::{Router, RouterConfig};
use campanile_shard_router::shard::ShardOptions;
use campanile_shard_router::store::{GatewayId, MemoryStore, TopologyStore};
use campanile_shard_router::topology::{PartitionState, ShardId, ShardUrl, Topology, WantedShard};

use crate::connection::Connection;
use crate::hub::{EncodedCounters, Hub};

const SERVERS: usize = 2;

/// A router over memory shards whose partitions are all open.
pub(super) async fn router() -> Arc<Router<Hub<Connection>>> {
    let factory = MemoryFactory::embedded(SERVERS, 64 << 20, ShardOptions::default());
    let configured = factory
        .servers()
        .keys()
        .map(|id| (id.clone(), configured(id)))
        .collect();
    let store: Arc<dyn TopologyStore> = Arc::new(MemoryStore::new());
    let gateway = GatewayId("g".into());
    let router = Router::start(
        RouterConfig::default(),
        Arc::new(Hub::new(EncodedCounters::register(), std::time::Duration::ZERO)),
        Arc::clone(&store),
        Arc::new(factory),
        gateway.clone(),
    );
    let coordinator = Coordinator::start(CoordinatorParts {
        gateway: gateway.clone(),
        configured,
        options: CoordinatorOptions::default(),
        store: Arc::clone(&store),
        shards: Arc::clone(&router) as Arc<dyn ShardSource>,
    });
    let mut applied = router.applied();
    while !router.topology().is_some_and(|topology| all_open(&topology)) {
        applied.changed().await.unwrap();
    }
    coordinator.stop().await;
    router
}

fn configured(id: &ShardId) -> WantedShard {
    WantedShard {
        url: ShardUrl::new(ShardUrl::MEMORY),
        address: id.to_string(),
        weight: 1,
        durable: false,
    }
}

fn all_open(topology: &Topology) -> bool {
    let is_open = |state: &PartitionState| matches!(state, PartitionState::Stable(_));
    topology.partitions.iter().all(is_open)
}
