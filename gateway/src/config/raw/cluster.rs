//! Shards, and how gateways work with them.

use campanile_common::HumanDuration;
use serde::{Deserialize, Serialize};

use super::super::bytes::ByteCount;
use super::super::describe::section;
use super::super::list::TextList;

section! {
    /// `engine`: what kind of shards there are.
    #[derive(Clone, Debug, Serialize, Deserialize)]
    #[serde(default)]
    pub struct Engine {
        /// `memory`: shards in this process, one gateway; `redis`: `shards`, or else `engine.redis`. With `shards` it need not
        /// be set.
        #[serde(rename = "type")]
        pub kind: String,
        /// Centrifugo's way of naming Redis servers.
        pub redis: EngineRedis,
    }
}

impl Default for Engine {
    fn default() -> Self {
        Self {
            kind: "memory".to_owned(),
            redis: EngineRedis::default(),
        }
    }
}

section! {
    /// `engine.redis`: Redis servers in Centrifugo's words.
    #[derive(Clone, Debug, Serialize, Deserialize)]
    #[serde(default)]
    pub struct EngineRedis {
        /// Redis servers, as URLs or `host:port`: they become shards `redis-1`, `redis-2`, … where `shards` is empty. Empty with
        /// `engine.type: redis`: `redis://127.0.0.1:6379`.
        pub address: TextList,
        /// Begins every key and Pub/Sub channel; empty: `cluster.prefix`.
        pub prefix: String,
        /// The user, for addresses and `shards` that do not say.
        pub user: String,
        /// The password, for addresses and `shards` that do not say.
        pub password: String,
        /// The database, for addresses and `shards` that do not say.
        pub db: u32,
        /// Sentinels, as `host:port`, in the place of `address`: what they watch becomes the shard `redis-1`.
        pub sentinel_address: TextList,
        /// What they call it.
        pub sentinel_master_name: String,
        /// The user on the Sentinels.
        pub sentinel_user: String,
        /// The password on the Sentinels.
        pub sentinel_password: String,
        /// How these connections are encrypted.
        pub tls: EngineTls,
        /// How long a presence entry stays without being refreshed: so long the clients of a killed gateway seem present.
        pub presence_ttl: HumanDuration,
    }
}

impl Default for EngineRedis {
    fn default() -> Self {
        Self {
            address: TextList::default(),
            prefix: String::new(),
            user: String::new(),
            password: String::new(),
            db: 0,
            sentinel_address: TextList::default(),
            sentinel_master_name: String::new(),
            sentinel_user: String::new(),
            sentinel_password: String::new(),
            tls: EngineTls::default(),
            presence_ttl: HumanDuration::from_secs(60),
        }
    }
}

section! {
    /// `engine.redis.tls`: Centrifugo's words for what `redis.tls` says.
    #[derive(Clone, Debug, Default, Serialize, Deserialize)]
    #[serde(default)]
    pub struct EngineTls {
        /// Encrypts the connections to `engine.redis.address` and `engine.redis.sentinel_address`.
        pub enabled: bool,
        /// For an empty `redis.tls.server_ca_pem`.
        pub server_ca_pem: String,
        /// For an empty `redis.tls.cert_pem`.
        pub cert_pem: String,
        /// For an empty `redis.tls.key_pem`.
        pub key_pem: String,
        /// For an empty `redis.tls.server_name`.
        pub server_name: String,
    }
}

section! {
    /// `redis`: what all connections to Redis have in common.
    #[derive(Clone, Debug, Default, Serialize, Deserialize)]
    #[serde(default)]
    pub struct Redis {
        /// How connections are encrypted whose URLs begin with `rediss`.
        pub tls: RedisTls,
    }
}

section! {
    /// `redis.tls`: how connections to Redis are encrypted.
    #[derive(Clone, Debug, Default, Serialize, Deserialize)]
    #[serde(default)]
    pub struct RedisTls {
        /// The certificates that sign those of servers and Sentinels: the path of a PEM file, or the PEM itself, or its base64;
        /// empty: those that browsers trust.
        pub server_ca_pem: String,
        /// The certificate that is shown to servers which want one of their clients, in the same forms.
        pub cert_pem: String,
        /// Its private key, without a password, in the same forms.
        pub key_pem: String,
        /// The name that the servers' certificates are for; empty: the host that is connected to.
        pub server_name: String,
    }
}

section! {
    /// `embedded`: shards in this process.
    #[derive(Clone, Debug, Serialize, Deserialize)]
    #[serde(default)]
    pub struct Embedded {
        /// How many shards in this process.
        pub shards: u8 as "shards",
        /// What each of them may hold; beyond it publications are refused.
        pub max_bytes: u64 as "bytes",
    }
}

impl Default for Embedded {
    fn default() -> Self {
        Self {
            shards: 4,
            max_bytes: 256 << 20,
        }
    }
}

section! {
    /// `shards[]`: one Redis.
    #[derive(Clone, Debug, Serialize, Deserialize)]
    #[serde(default)]
    pub struct Shard {
        /// Unique, and kept for the shard's life, wherever it moves.
        pub name: String,
        /// `redis://user:password@host:port/db`, or with Sentinels `redis+sentinel://user:password@host:port,host:port/service/db`;
        /// with `rediss` for `redis` in either: TLS.
        pub url: String,
        /// PEM file with the certificates that sign the server's; empty: `redis.tls.server_ca_pem`.
        pub ca_file: String,
        /// Its share of the channels relative to the others'.
        pub weight: u32,
        /// It never loses what it acknowledged (`appendfsync always`): positions survive its restart. Not with
        /// Sentinels.
        pub durable: bool,
    }
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

section! {
    /// `cluster`: how gateways and shards work together. All gateways must agree on it.
    #[derive(Clone, Debug, Serialize, Deserialize)]
    #[serde(default)]
    pub struct Cluster {
        /// URL of the Redis with the topology, which must be durable; empty: the first shard, with a warning.
        pub store: String,
        /// PEM file with the certificates that sign the store's; empty: `redis.tls.server_ca_pem`.
        pub store_ca_file: String,
        /// The same for shards that `shards` does not list: those that were added by a command or found in the DNS.
        pub shards_ca_file: String,
        /// Begins every key and Pub/Sub channel.
        pub prefix: String,
        /// How long a shard, or another gateway, may take to answer.
        pub command_timeout: HumanDuration,
        /// How long a publication or a read may wait for its shard to be reachable.
        pub publish_wait: HumanDuration,
        /// Who decides which shards there are. `file`: `shards`, which is watched; `api`: calls of the API and `campanile
        /// shards`; `dns`: a name in the DNS. Empty: `file`; with shards in this process `api`.
        pub shards_managed_by: String,
        /// The name in the DNS of `cluster.shards_managed_by: dns`.
        pub dns: Dns,
        /// How long a shard may be unreachable before its partitions are opened at others, without their history; `0s`: for
        /// ever. With Sentinels, their `down-after-milliseconds` is added.
        pub evict_after: HumanDuration,
        /// `keep`; or `drop`: streams do not move with their partitions; live subscribers lose nothing, who returns later is told
        /// `recovered: false`.
        pub history_on_move: String,
        /// How many partitions move at once.
        pub max_moving: u32 as "partitions",
        /// What moves may copy, as a number or with a unit (`KiB`, `MiB`, `GiB`, `kB`, `MB`, `GB`); 0: as much as goes.
        pub move_rate: ByteCount as "bytes a second",
        /// How long a move waits until every gateway is ready for it; then it is abandoned and tried again.
        pub barrier_timeout: HumanDuration,
    }
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

section! {
    /// `cluster.dns`: where the list of shards comes from with `shards_managed_by = "dns"`.
    #[derive(Clone, Debug, Serialize, Deserialize)]
    #[serde(default)]
    pub struct Dns {
        /// The name of a headless service, such as `_redis._tcp.shards.default.svc.cluster.local`.
        pub name: String,
        /// `srv`: SRV records, each a host and a port; `a`: addresses, A records or, where there are none, AAAA records.
        pub kind: String,
        /// The shards' port with `a`.
        pub port: u16,
        /// What becomes a shard's URL; `{host}`, `{port}` and `{name}` (the shard's) are replaced. The place for credentials, Sentinels,
        /// `rediss://` and a database.
        pub url: String,
        /// What is in the names of replicas' hosts and not in that of their shard: with `-replica` the hosts `shard-0` and `shard-replica-0` are
        /// the shard `shard-0`, as long as one of them is named. For a `cluster.dns.url` with Sentinels and `{name}`, which know which of them
        /// is the primary.
        pub replica_mark: String,
        /// What `shards[].durable` says of each.
        pub durable: bool,
        /// How often the name is asked for, whatever the records' TTL; `1s` at least.
        pub interval: HumanDuration,
        /// How long a shard may be missing from the answers before it is taken for gone and drained.
        pub gone_after: HumanDuration,
        /// IP address of the name server, with a port if it is not 53; empty: those of the system.
        pub server: String,
    }
}

impl Default for Dns {
    fn default() -> Self {
        Self {
            name: String::new(),
            kind: "srv".to_owned(),
            port: 6379,
            url: "redis://{host}:{port}".to_owned(),
            replica_mark: String::new(),
            durable: false,
            interval: HumanDuration::from_secs(10),
            gone_after: HumanDuration::from_secs(60),
            server: String::new(),
        }
    }
}
