//! Shards, and how gateways work with them.

use campanile_common::HumanDuration;
use serde::{Deserialize, Serialize};

use super::super::bytes::ByteCount;
use super::super::list::TextList;

/// `engine`: what kind of shards there are.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Engine {
    /// `memory`: shards in this process; `redis`: `shards`, or else `engine.redis`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Redis servers in Centrifugo's words: become shards where `shards` is empty.
    pub redis: EngineRedis,
}

impl Default for Engine {
    fn default() -> Self {
        Self {
            kind: "memory".to_owned(),
            redis: EngineRedis::default(),
        }
    }
}

/// `engine.redis`: Redis servers in Centrifugo's words.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct EngineRedis {
    /// Where they are: URLs, or `host:port`.
    pub address: TextList,
    /// Begins every key and Pub/Sub channel; empty: `cluster.prefix`.
    pub prefix: String,
    /// The user, for addresses that name none.
    pub user: String,
    /// The password, for addresses that name none.
    pub password: String,
    /// The database, for addresses that name none.
    pub db: u32,
    /// How long a presence entry stays without being refreshed: so long a killed gateway's clients seem present.
    pub presence_ttl: HumanDuration,
}

impl Default for EngineRedis {
    fn default() -> Self {
        Self {
            address: TextList::default(),
            prefix: String::new(),
            user: String::new(),
            password: String::new(),
            db: 0,
            presence_ttl: HumanDuration::from_secs(60),
        }
    }
}

/// `embedded`: shards in this process.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Embedded {
    /// How many.
    pub shards: u8,
    /// How many bytes of streams and presence each may hold; beyond it publications are refused.
    pub max_bytes: u64,
}

impl Default for Embedded {
    fn default() -> Self {
        Self {
            shards: 4,
            max_bytes: 256 << 20,
        }
    }
}

/// `shards[]`: one Redis.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Shard {
    /// Unique, and kept for the shard's life, wherever it moves.
    pub name: String,
    /// `redis://user:password@host:port/db`, or `rediss://` with TLS.
    pub url: String,
    /// PEM file with the certificates that sign the server's; empty: those that browsers trust.
    pub ca_file: String,
    /// Its share of the channels relative to the others'.
    pub weight: u32,
    /// It never loses what it acknowledged (`appendfsync always`), so positions survive its restart.
    pub durable: bool,
}

impl Default for Shard {
    fn default() -> Self {
        Self {
            name: String::new(),
            url: String::new(),
            ca_file: String::new(),
            weight: 1,
            durable: false,
        }
    }
}

/// `cluster`: how gateways and shards work together. All gateways must agree on it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Cluster {
    /// URL of the Redis with the topology; must be durable. Empty: the first shard, with a warning.
    pub store: String,
    /// PEM file with the certificates that sign the store's; empty: those that browsers trust.
    pub store_ca_file: String,
    /// The same for shards that `shards` does not list.
    pub shards_ca_file: String,
    /// Begins every key and Pub/Sub channel.
    pub prefix: String,
    /// How long a shard's answer may take.
    pub command_timeout: HumanDuration,
    /// How long a publication may wait for its shard to be reachable.
    pub publish_wait: HumanDuration,
    /// Who decides which shards there are: `file`, `api` or `dns`. Empty: `file`; with shards in this process `api`.
    pub shards_managed_by: String,
    /// The headless service of `shards_managed_by = "dns"`.
    pub dns: Dns,
    /// How long a shard may be unreachable before its partitions go to others, without their history; 0: for ever.
    pub evict_after: HumanDuration,
    /// What happens to the streams of partitions that move: `keep` or `drop`.
    pub history_on_move: String,
    /// How many partitions move at once.
    pub max_moving: u32,
    /// Bytes that moves may copy in a second; 0: as many as go.
    pub move_rate: ByteCount,
    /// How long a move may wait for the gateways before it is abandoned.
    pub barrier_timeout: HumanDuration,
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            store: String::new(),
            store_ca_file: String::new(),
            shards_ca_file: String::new(),
            prefix: "campanile".to_owned(),
            command_timeout: HumanDuration::from_secs(2),
            publish_wait: HumanDuration::from_secs(1),
            shards_managed_by: String::new(),
            dns: Dns::default(),
            evict_after: HumanDuration::from_secs(30),
            history_on_move: "keep".to_owned(),
            max_moving: 64,
            move_rate: ByteCount(32 << 20),
            barrier_timeout: HumanDuration::from_secs(10),
        }
    }
}

/// `cluster.dns`: where the list of shards comes from with `shards_managed_by = "dns"`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Dns {
    /// The name to ask for.
    pub name: String,
    /// `srv` or `a`.
    pub kind: String,
    /// The shards' port, which A records do not tell.
    pub port: u16,
    /// How the URL of a shard is made; `{host}` and `{port}` are replaced.
    pub url: String,
    /// What `shards[].durable` says of each.
    pub durable: bool,
    /// How often the name is asked for.
    pub interval: HumanDuration,
    /// How long a shard may be missing from the answers before it is taken for gone.
    pub gone_after: HumanDuration,
    /// The name server, an IP address with or without a port; empty: those of the system.
    pub server: String,
}

impl Default for Dns {
    fn default() -> Self {
        Self {
            name: String::new(),
            kind: "srv".to_owned(),
            port: 6379,
            url: "redis://{host}:{port}".to_owned(),
            durable: false,
            interval: HumanDuration::from_secs(10),
            gone_after: HumanDuration::from_secs(60),
            server: String::new(),
        }
    }
}
