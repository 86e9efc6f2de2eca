//! The topology store and the ways to the shards, as configured. The rest of the gateway does not know which kind they are.

use std::sync::Arc;

use anyhow::Context as _;
use campanile_shard_router::coordinator::{ConfiguredShards, CoordinatorOptions, ManagedBy, ShardList};
use campanile_shard_router::memory::MemoryFactory;
use campanile_shard_router::redis::{RedisFactory, RedisShardConfig, RedisTls};
use campanile_shard_router::shard::{ShardFactory, ShardOptions};
use campanile_shard_router::store::{MemoryStore, RedisStore, RedisStoreConfig, TopologyStore};
use campanile_shard_router::topology::{MoveHistory, ShardId, ShardUrl, WantedShard};

use crate::config::{self, ClusterOptions, Config, EmbeddedShards, RedisShard, ShardsOptions, StoreOptions};
use crate::reload::ApplyShards;
use crate::shard_list::lists::Lists;

/// Where a shard of this process is, in words.
pub(super) const EMBEDDED_ADDRESS: &str = "this process";

/// Where topology and streams live.
pub(super) struct Backend {
    pub(super) store: Arc<dyn TopologyStore>,
    pub(super) factory: Arc<dyn ShardFactory>,
    /// The shards that this gateway is told of.
    pub(super) configured: ConfiguredShards,
    /// Where else it is told of shards.
    pub(super) lists: Lists,
    /// Makes it go by another list of the configuration; given away once.
    apply: Option<ApplyShards>,
}

impl Backend {
    /// Reaches for what is configured; connecting goes on in the background.
    pub(super) fn open(config: &Config) -> anyhow::Result<Self> {
        let options = ShardOptions {
            command_timeout: config.cluster.command_timeout,
            ..ShardOptions::default()
        };
        match &config.shards {
            ShardsOptions::Embedded(shards) => Ok(embedded(*shards, options)),
            ShardsOptions::Redis(shards) => redis(shards, &config.cluster, options),
        }
    }

    /// What makes it go by another list of the configuration.
    pub(super) fn take_apply(&mut self) -> ApplyShards {
        self.apply.take().unwrap_or_else(|| Box::new(|_| Ok(())))
    }
}

/// How the coordinator is to act.
pub(super) fn coordinator_options(cluster: &ClusterOptions) -> CoordinatorOptions {
    let moves = &cluster.moves;
    CoordinatorOptions {
        managed_by: managed_by(cluster),
        evict_after: moves.evict_after,
        history_on_move: if moves.keeps_history {
            MoveHistory::Keep
        } else {
            MoveHistory::Drop
        },
        max_moving: moves.max_moving,
        move_rate: moves.rate,
        barrier_timeout: moves.barrier_timeout,
    }
}

/// A shard of a list as the topology describes it.
pub(super) fn describe(shard: &RedisShard) -> anyhow::Result<(ShardId, WantedShard)> {
    let wanted = WantedShard {
        url: ShardUrl::new(shard.url.expose()),
        address: shard.url.address(),
        weight: shard.weight,
        durable: shard.durable,
    };
    Ok((shard.id.clone(), wanted))
}

fn managed_by(cluster: &ClusterOptions) -> ManagedBy {
    match &cluster.managed_by {
        config::ManagedBy::File => ManagedBy::File,
        config::ManagedBy::Api => ManagedBy::Api,
        config::ManagedBy::Dns(_) => ManagedBy::Dns,
    }
}

fn embedded(shards: EmbeddedShards, options: ShardOptions) -> Backend {
    let factory = MemoryFactory::embedded(shards.count, shards.max_bytes, options);
    let list = factory.servers().into_keys().map(|id| {
        let shard = WantedShard {
            url: ShardUrl::new(ShardUrl::MEMORY),
            address: EMBEDDED_ADDRESS.to_owned(),
            weight: 1,
            durable: false,
        };
        (id, shard)
    });
    let (lists, configured) = Lists::new(ManagedBy::Api, list.collect());
    Backend {
        configured,
        lists,
        apply: None,
        store: Arc::new(MemoryStore::new()),
        factory: Arc::new(factory),
    }
}

fn redis(shards: &[RedisShard], cluster: &ClusterOptions, options: ShardOptions) -> anyhow::Result<Backend> {
    let prefix = cluster.prefix.clone();
    let list: ShardList = shards.iter().map(describe).collect::<anyhow::Result<_>>()?;
    let tls = cluster.redis_tls.clone();
    let factory = RedisFactory::new(ways(shards, &prefix, &tls), &prefix, options);
    let factory = factory.context("a shard cannot be used")?;
    let factory = factory.with_ca_file(cluster.shards_ca_file.clone());
    let factory = Arc::new(factory.with_tls(tls.clone()));
    let (lists, configured) = Lists::new(managed_by(cluster), list);
    let at = cluster
        .store
        .as_ref()
        .context("Redis shards need a topology store")?;
    let store = Arc::new(store(at, cluster)?);
    let apply: ApplyShards = {
        let (factory, lists) = (Arc::clone(&factory), lists.clone());
        Box::new(move |shards| {
            let list = shards.iter().map(describe).collect::<anyhow::Result<_>>()?;
            let configured = factory.configure(ways(shards, &prefix, &tls));
            configured.context("a shard cannot be used")?;
            lists.told_by_file(list);
            Ok(())
        })
    };
    Ok(Backend {
        store,
        factory,
        configured,
        lists,
        apply: Some(apply),
    })
}

/// How to reach each of `shards`.
fn ways(
    shards: &[RedisShard],
    prefix: &str,
    tls: &RedisTls,
) -> impl Iterator<Item = (ShardId, RedisShardConfig)> {
    shards.iter().map(|shard| {
        let way = RedisShardConfig {
            ca_file: shard.ca_file.clone(),
            tls: tls.clone(),
            prefix: prefix.to_owned(),
            ..RedisShardConfig::new(shard.url.expose())
        };
        (shard.id.clone(), way)
    })
}

fn store(at: &StoreOptions, cluster: &ClusterOptions) -> anyhow::Result<RedisStore> {
    let config = RedisStoreConfig {
        prefix: cluster.prefix.clone(),
        command_timeout: cluster.command_timeout,
        ca_file: at.ca_file.clone(),
        tls: cluster.redis_tls.clone(),
        ..RedisStoreConfig::new(at.url.expose())
    };
    RedisStore::open(config).with_context(|| format!("the topology store {} cannot be used", at.url))
}
