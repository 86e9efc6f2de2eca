//! The shards and how gateways work with them: validated.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use campanile_shard_router::topology::ShardId;

use super::clients::some_text;
use super::raw::{self, Raw};
use super::redis::{Defaults, RedisUrl};
use super::report::Report;

/// Which shards there are.
#[derive(Clone, Debug)]
pub enum ShardsOptions {
    /// In this process.
    Embedded(EmbeddedShards),
    /// These.
    Redis(Vec<RedisShard>),
}

/// Shards in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmbeddedShards {
    /// How many.
    pub count: usize,
    /// Bytes that each may hold.
    pub max_bytes: usize,
}

/// A shard on a Redis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisShard {
    /// Its name.
    pub id: ShardId,
    /// Where it is.
    pub url: RedisUrl,
    /// The certificates that sign the server's; `None`: those that browsers trust.
    pub ca_file: Option<PathBuf>,
    /// Its share relative to the others'.
    pub weight: u32,
    /// Whether it keeps everything that it acknowledged.
    pub durable: bool,
}

/// How gateways and shards work together.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// The Redis with the topology; `None`: in this process.
    pub store: Option<RedisUrl>,
    /// Begins every key and Pub/Sub channel.
    pub prefix: String,
    /// How long a shard's answer may take.
    pub command_timeout: Duration,
    /// How long a publication may wait for its shard.
    pub publish_wait: Duration,
    /// How long a presence entry stays without being refreshed.
    pub presence_ttl: Duration,
}

pub(super) fn shards(raw: &Raw, report: &mut Report) -> ShardsOptions {
    match raw.engine.kind.as_str() {
        _ if !raw.shards.is_empty() => ShardsOptions::Redis(listed(&raw.shards, report)),
        "memory" => embedded(&raw.embedded, report),
        "redis" => ShardsOptions::Redis(centrifugo_engine(&raw.engine.redis, report)),
        other => {
            report.error(format!("engine.type: {other:?} is none; write memory or redis"));
            embedded(&raw.embedded, report)
        }
    }
}

fn embedded(raw: &raw::Embedded, report: &mut Report) -> ShardsOptions {
    if raw.shards == 0 {
        report.error("embedded.shards: 0 shards hold nothing; write how many, such as 4");
    }
    ShardsOptions::Embedded(EmbeddedShards {
        count: usize::from(raw.shards),
        max_bytes: usize::try_from(raw.max_bytes).unwrap_or(usize::MAX),
    })
}

fn listed(raw: &[raw::Shard], report: &mut Report) -> Vec<RedisShard> {
    let mut names = HashSet::new();
    let mut shards = Vec::new();
    for (index, shard) in raw.iter().enumerate() {
        let section = format!("shards[{index}]");
        if shard.name.is_empty() {
            report.error(format!(
                "{section}.name: not set; write a name that the shard keeps for its life"
            ));
        } else if !names.insert(&shard.name) {
            report.error(format!(
                "{section}.name: {:?} is taken; write another one",
                shard.name
            ));
        }
        if shard.weight == 0 {
            report.error(format!("{section}.weight: 0 gives it nothing; write 1 or more"));
        }
        match RedisUrl::parse(&shard.url) {
            Ok(url) => shards.push(RedisShard {
                id: ShardId::new(&shard.name),
                url,
                ca_file: some_text(&shard.ca_file).map(PathBuf::from),
                weight: shard.weight,
                durable: shard.durable,
            }),
            Err(error) => report.error(format!("{section}.url: {error}")),
        }
    }
    shards
}

/// Centrifugo's list of addresses as shards `redis-1`, `redis-2`, …
fn centrifugo_engine(raw: &raw::EngineRedis, report: &mut Report) -> Vec<RedisShard> {
    let mut addresses = raw.address.0.clone();
    if addresses.is_empty() {
        report.warning("engine.redis.address: not set; redis://127.0.0.1:6379 is used");
        addresses.push("redis://127.0.0.1:6379".to_owned());
    }
    let defaults = Defaults {
        user: &raw.user,
        password: &raw.password,
        db: raw.db,
    };
    let mut shards = Vec::new();
    for (index, address) in addresses.iter().enumerate() {
        match RedisUrl::complete(address, defaults) {
            Ok(url) => shards.push(RedisShard {
                id: ShardId::new(&format!("redis-{}", index + 1)),
                url,
                ca_file: None,
                weight: 1,
                durable: false,
            }),
            Err(error) => report.error(format!("engine.redis.address[{index}]: {error}")),
        }
    }
    shards
}

pub(super) fn cluster(raw: &Raw, shards: &ShardsOptions, report: &mut Report) -> ClusterOptions {
    if raw.cluster.command_timeout.is_zero() {
        report.error("cluster.command_timeout: 0s leaves no time; write a duration, such as \"2s\"");
    }
    let prefix = match raw.engine.redis.prefix.as_str() {
        "" => &raw.cluster.prefix,
        own => own,
    };
    if prefix.is_empty() || prefix.contains(['{', '}']) {
        report.error(format!(
            "cluster.prefix: {prefix:?} must be a text without braces; write campanile"
        ));
    }
    ClusterOptions {
        store: store(raw, shards, report),
        prefix: prefix.to_owned(),
        command_timeout: raw.cluster.command_timeout.get(),
        publish_wait: raw.cluster.publish_wait.get(),
        presence_ttl: raw.engine.redis.presence_ttl.get(),
    }
}

fn store(raw: &Raw, shards: &ShardsOptions, report: &mut Report) -> Option<RedisUrl> {
    let ShardsOptions::Redis(shards) = shards else {
        if !raw.cluster.store.is_empty() {
            report.warning("cluster.store: does nothing with shards in this process");
        }
        return None;
    };
    if raw.cluster.store.is_empty() {
        let first = shards.first()?;
        report.warning(format!(
            "cluster.store: not set; the topology is kept on shard {}, which must then be durable (appendfsync always) \
             and must not leave",
            first.id
        ));
        return Some(first.url.clone());
    }
    RedisUrl::parse(&raw.cluster.store)
        .inspect_err(|error| report.error(format!("cluster.store: {error}")))
        .ok()
}
