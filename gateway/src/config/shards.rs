//! The shards: validated.

use std::collections::HashSet;
use std::path::PathBuf;

use campanile_shard_router::topology::ShardId;

use super::cluster::ca_file;
use super::raw::{self, Raw};
use super::redis::{Defaults, NOT_DURABLE, RedisUrl, SentinelNames};
use super::report::{Mistake, Report};

/// Which shards there are.
#[derive(Clone, Debug)]
pub enum ShardsOptions {
    /// In this process.
    Embedded(EmbeddedShards),
    /// These; none where the topology lists them already.
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

pub(super) fn shards(raw: &Raw, report: &mut Report) -> ShardsOptions {
    match raw.engine.kind.as_str() {
        _ if !raw.shards.is_empty() => ShardsOptions::Redis(listed(raw, report)),
        _ if is_listed_elsewhere(raw) => ShardsOptions::Redis(Vec::new()),
        "memory" => embedded(&raw.embedded, report),
        "redis" => ShardsOptions::Redis(centrifugo_engine(&raw.engine.redis, report)),
        other => {
            report.error(format!("engine.type: {other:?} is none; write memory or redis"));
            embedded(&raw.embedded, report)
        }
    }
}

/// Whether the shards are on Redis and the configuration need not list them.
fn is_listed_elsewhere(raw: &Raw) -> bool {
    matches!(raw.cluster.shards_managed_by.as_str(), "api" | "dns")
        && !raw.cluster.store.is_empty()
        && raw.engine.redis.address.0.is_empty()
        && raw.engine.redis.sentinel_address.0.is_empty()
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

fn listed(raw: &Raw, report: &mut Report) -> Vec<RedisShard> {
    // Completed, so that a list in a file that many may read needs no password in it.
    let defaults = Defaults {
        tls: false,
        ..defaults(&raw.engine.redis)
    };
    let mut names = HashSet::new();
    let mut shards = Vec::new();
    for (index, shard) in raw.shards.iter().enumerate() {
        let section = format!("shards[{index}]");
        if shard.name.is_empty() {
            report.error(format!(
                "{section}.name: not set; write a name that the shard keeps for its life"
            ));
        } else if !names.insert(&shard.name) {
            let text = format!("{section}.name: {:?} is taken; write another one", shard.name);
            report.mistake(Mistake::NameTaken, text);
        }
        if shard.weight == 0 {
            report.error(format!("{section}.weight: 0 gives it nothing; write 1 or more"));
        }
        let url = RedisUrl::parse(&shard.url);
        match url.and_then(|url| RedisUrl::complete(url.expose(), defaults)) {
            Ok(url) if shard.durable && url.has_sentinels() => {
                report.error(format!("{section}.durable: {NOT_DURABLE}"));
            }
            Ok(url) => shards.push(RedisShard {
                id: ShardId::new(&shard.name),
                ca_file: ca_file(&format!("{section}.ca_file"), &shard.ca_file, &url, report),
                url,
                weight: shard.weight,
                durable: shard.durable,
            }),
            Err(error) => report.error(format!("{section}.url: {error}")),
        }
    }
    shards
}

/// What addresses may leave out.
fn defaults(raw: &raw::EngineRedis) -> Defaults<'_> {
    Defaults {
        user: &raw.user,
        password: &raw.password,
        db: raw.db,
        tls: raw.tls.enabled,
    }
}

/// Centrifugo's list of addresses as shards `redis-1`, `redis-2`, …, or what its Sentinels watch as `redis-1`.
fn centrifugo_engine(raw: &raw::EngineRedis, report: &mut Report) -> Vec<RedisShard> {
    let defaults = defaults(raw);
    let urls = match raw.sentinel_address.0.is_empty() {
        true => addresses(raw, defaults, report),
        false => sentinels(raw, defaults, report).into_iter().collect(),
    };
    let shard = |(index, url): (usize, RedisUrl)| RedisShard {
        id: ShardId::new(&format!("redis-{}", index + 1)),
        url,
        ca_file: None,
        weight: 1,
        durable: false,
    };
    urls.into_iter().enumerate().map(shard).collect()
}

fn addresses(raw: &raw::EngineRedis, defaults: Defaults<'_>, report: &mut Report) -> Vec<RedisUrl> {
    let mut addresses = raw.address.0.clone();
    if addresses.is_empty() {
        report.warning("engine.redis.address: not set; redis://127.0.0.1:6379 is used");
        addresses.push("redis://127.0.0.1:6379".to_owned());
    }
    let mut urls = Vec::new();
    for (index, address) in addresses.iter().enumerate() {
        match RedisUrl::complete(address, defaults) {
            Ok(url) => urls.push(url),
            Err(error) => report.error(format!("engine.redis.address[{index}]: {error}")),
        }
    }
    urls
}

fn sentinels(raw: &raw::EngineRedis, defaults: Defaults<'_>, report: &mut Report) -> Option<RedisUrl> {
    if !raw.address.0.is_empty() {
        report.warning("engine.redis.address: does nothing beside engine.redis.sentinel_address");
    }
    let names = SentinelNames {
        addresses: &raw.sentinel_address.0,
        service: &raw.sentinel_master_name,
        user: &raw.sentinel_user,
        password: &raw.sentinel_password,
    };
    let url = RedisUrl::of_sentinels(names, defaults);
    if url.is_err() {
        report.error(
            "engine.redis.sentinel_address: write hosts and ports of Sentinels, such as 10.0.0.1:26379, and in \
             engine.redis.sentinel_master_name what they call the server",
        );
    }
    url.ok()
}
