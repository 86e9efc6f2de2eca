//! Shards, and how gateways work with them.

use campanile_common::HumanDuration;
use serde::{Deserialize, Serialize};

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
    /// Begins every key and Pub/Sub channel.
    pub prefix: String,
    /// How long a shard's answer may take.
    pub command_timeout: HumanDuration,
    /// How long a publication may wait for its shard to be reachable.
    pub publish_wait: HumanDuration,
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            store: String::new(),
            prefix: "campanile".to_owned(),
            command_timeout: HumanDuration::from_secs(2),
            publish_wait: HumanDuration::from_secs(1),
        }
    }
}
