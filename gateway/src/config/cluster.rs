//! How gateways and shards work together: validated.

use std::path::PathBuf;
use std::time::Duration;

use campanile_shard_router::redis::RedisTls;

use super::clients::some_text;
use super::dns::{self, DnsOptions};
use super::raw::{self, Raw};
use super::redis::{self, RedisUrl};
use super::report::Report;
use super::shards::ShardsOptions;

/// How gateways and shards work together.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// The Redis with the topology; `None`: in this process.
    pub store: Option<StoreOptions>,
    /// The certificates that sign those of shards that the configuration does not list; `None`: those that browsers
    /// trust.
    pub shards_ca_file: Option<PathBuf>,
    /// How connections to Redis are encrypted.
    pub redis_tls: RedisTls,
    /// Begins every key and Pub/Sub channel.
    pub prefix: String,
    /// How long a shard's answer may take.
    pub command_timeout: Duration,
    /// How long a publication may wait for its shard.
    pub publish_wait: Duration,
    /// How long a presence entry stays without being refreshed.
    pub presence_ttl: Duration,
    /// Who decides which shards there are.
    pub managed_by: ManagedBy,
    /// How partitions move, and when a shard is given up.
    pub moves: MoveOptions,
}

/// The Redis with the topology.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreOptions {
    /// Where it is.
    pub url: RedisUrl,
    /// The certificates that sign its own; `None`: those that browsers trust.
    pub ca_file: Option<PathBuf>,
}

/// Who decides which shards there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManagedBy {
    /// The list in the configuration.
    File,
    /// Calls of the API; the configured list only fills an empty store.
    Api,
    /// A name in the DNS; the configured list only fills an empty store.
    Dns(DnsOptions),
}

/// How partitions move, and when a shard is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MoveOptions {
    /// How long a shard may be unreachable before its partitions go to others; `None`: for ever.
    pub evict_after: Option<Duration>,
    /// Whether streams move with their partitions.
    pub keeps_history: bool,
    /// How many partitions move at once.
    pub max_moving: usize,
    /// Bytes a second; `None`: as many as go.
    pub rate: Option<u64>,
    /// How long a move waits for the gateways.
    pub barrier_timeout: Duration,
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
        store: store(&raw.cluster, shards, report),
        shards_ca_file: some_text(&raw.cluster.shards_ca_file).map(PathBuf::from),
        redis_tls: redis::tls(raw, report),
        prefix: prefix.to_owned(),
        command_timeout: raw.cluster.command_timeout.get(),
        publish_wait: raw.cluster.publish_wait.get(),
        presence_ttl: raw.engine.redis.presence_ttl.get(),
        managed_by: managed_by(&raw.cluster, shards, report),
        moves: moves(&raw.cluster, report),
    }
}

fn store(raw: &raw::Cluster, shards: &ShardsOptions, report: &mut Report) -> Option<StoreOptions> {
    let ShardsOptions::Redis(shards) = shards else {
        if !raw.store.is_empty() {
            report.warning("cluster.store: does nothing with shards in this process");
        }
        return None;
    };
    if raw.store.is_empty() {
        let first = shards.first()?;
        report.warning(format!(
            "cluster.store: not set; the topology is kept on shard {}, which must then be durable (appendfsync always) \
             and must not leave",
            first.id
        ));
        return Some(StoreOptions {
            url: first.url.clone(),
            ca_file: first.ca_file.clone(),
        });
    }
    let url = RedisUrl::parse(&raw.store)
        .inspect_err(|error| report.error(format!("cluster.store: {error}")))
        .ok()?;
    let ca_file = ca_file("cluster.store_ca_file", &raw.store_ca_file, &url, report);
    Some(StoreOptions { url, ca_file })
}

/// The file with certificates at `key`, which only connections with TLS use.
pub(super) fn ca_file(key: &str, file: &str, url: &RedisUrl, report: &mut Report) -> Option<PathBuf> {
    if !file.is_empty() && !url.has_tls() {
        report.error(format!(
            "{key}: {url} is no TLS connection; write rediss for redis in the URL, or leave the file out"
        ));
    }
    some_text(file).map(PathBuf::from)
}

fn managed_by(raw: &raw::Cluster, shards: &ShardsOptions, report: &mut Report) -> ManagedBy {
    let embedded = matches!(shards, ShardsOptions::Embedded(_));
    match raw.shards_managed_by.as_str() {
        "" | "api" if embedded => ManagedBy::Api,
        "file" if embedded => {
            report.warning("cluster.shards_managed_by: shards in this process are managed by api");
            ManagedBy::Api
        }
        "" | "file" => ManagedBy::File,
        "api" => ManagedBy::Api,
        "dns" if embedded => {
            report.error(
                "cluster.store: not set; shards that the DNS names need one, such as redis://10.0.0.9:6379",
            );
            ManagedBy::Api
        }
        "dns" => dns::options(&raw.dns, report).map_or(ManagedBy::Api, ManagedBy::Dns),
        other => {
            report.error(format!(
                "cluster.shards_managed_by: {other:?} is none; write file, api or dns"
            ));
            ManagedBy::File
        }
    }
}

fn moves(raw: &raw::Cluster, report: &mut Report) -> MoveOptions {
    if raw.max_moving == 0 {
        report.error("cluster.max_moving: 0 moves nothing; write how many partitions, such as 64");
    }
    if raw.barrier_timeout.is_zero() {
        report.error("cluster.barrier_timeout: 0s lets no move succeed; write a duration, such as \"10s\"");
    }
    if !matches!(raw.history_on_move.as_str(), "keep" | "drop") {
        report.error(format!(
            "cluster.history_on_move: {:?} is none; write keep or drop",
            raw.history_on_move
        ));
    }
    MoveOptions {
        evict_after: (!raw.evict_after.is_zero()).then(|| raw.evict_after.get()),
        keeps_history: raw.history_on_move == "keep",
        max_moving: raw.max_moving as usize,
        rate: (raw.move_rate.0 != 0).then_some(raw.move_rate.0),
        barrier_timeout: raw.barrier_timeout.get(),
    }
}
