//! The topology store and the ways to the shards, as configured. The rest of the gateway does not know which kind they are.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;
use campanile_shard_router::memory::MemoryFactory;
use campanile_shard_router::redis::{RedisFactory, RedisShardConfig};
use campanile_shard_router::shard::{ShardFactory, ShardOptions};
use campanile_shard_router::store::{MemoryStore, RedisStore, RedisStoreConfig, TopologyStore};
use campanile_shard_router::topology::{ShardId, ShardUrl, WantedShard};

use crate::config::{ClusterOptions, Config, EmbeddedShards, RedisShard, ShardsOptions, StoreOptions};

/// Where a shard of this process is, in words.
pub(super) const EMBEDDED_ADDRESS: &str = "this process";

/// Where topology and streams live.
pub(super) struct Backend {
    pub(super) store: Arc<dyn TopologyStore>,
    pub(super) factory: Arc<dyn ShardFactory>,
    /// The shards that this gateway was told of.
    pub(super) configured: BTreeMap<ShardId, WantedShard>,
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
}

fn embedded(shards: EmbeddedShards, options: ShardOptions) -> Backend {
    let factory = MemoryFactory::embedded(shards.count, shards.max_bytes, options);
    let configured = factory.servers().into_keys().map(|id| {
        let shard = WantedShard {
            url: ShardUrl::new(ShardUrl::MEMORY),
            address: EMBEDDED_ADDRESS.to_owned(),
            weight: 1,
            durable: false,
        };
        (id, shard)
    });
    Backend {
        configured: configured.collect(),
        store: Arc::new(MemoryStore::new()),
        factory: Arc::new(factory),
    }
}

fn redis(shards: &[RedisShard], cluster: &ClusterOptions, options: ShardOptions) -> anyhow::Result<Backend> {
    let mut configs = Vec::new();
    let mut configured = BTreeMap::new();
    for shard in shards {
        let reach = RedisShardConfig {
            ca_file: shard.ca_file.clone(),
            prefix: cluster.prefix.clone(),
            ..RedisShardConfig::new(shard.url.expose())
        };
        let entry = WantedShard {
            url: ShardUrl::new(shard.url.expose()),
            address: reach.address().with_context(|| format!("shard {}", shard.id))?,
            weight: shard.weight,
            durable: shard.durable,
        };
        configured.insert(shard.id.clone(), entry);
        configs.push((shard.id.clone(), reach));
    }
    let at = cluster
        .store
        .as_ref()
        .context("Redis shards need a topology store")?;
    Ok(Backend {
        store: Arc::new(store(at, cluster)?),
        factory: Arc::new(
            RedisFactory::new(configs, &cluster.prefix, options).context("a shard cannot be used")?,
        ),
        configured,
    })
}

fn store(at: &StoreOptions, cluster: &ClusterOptions) -> anyhow::Result<RedisStore> {
    let config = RedisStoreConfig {
        prefix: cluster.prefix.clone(),
        command_timeout: cluster.command_timeout,
        ca_file: at.ca_file.clone(),
        ..RedisStoreConfig::new(at.url.expose())
    };
    RedisStore::open(config).with_context(|| format!("the topology store {} cannot be used", at.url))
}
