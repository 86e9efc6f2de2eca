//! The configuration as it is written: every key with its type and default.
//!
//! These structs are the one place where keys are listed. The names are Centrifugo v6's where the concept is the same.
//! What a default serializes to serves as the [schema](super::schema): from it the names of environment variables and
//! the check for unknown keys follow. So every field has a plain default; "not set" is an empty text, an empty list or 0.
//! What is said of a field here is what [`campanile configdoc`](super::reference) and docs/configuration.md say of its key.

mod admin;
mod api;
mod channel;
mod client;
mod cluster;
mod quic;
mod server;

pub use admin::Admin;
pub use api::{Health, HttpApi, Page, Prometheus, WebSocket, WebTransport};
pub use channel::{Channel, Namespace};
pub use client::{Client, PersonalChannel, RateLimit, SubscriptionToken, Token};
pub use cluster::{Cluster, Dns, Embedded, Engine, EngineRedis, EngineTls, Redis, RedisTls, Shard};
pub use quic::Quic;
pub use server::{HttpServer, Log, Node, Shutdown, Tls};

use serde::{Deserialize, Serialize};

use super::describe::section;

section! {
    /// The whole file.
    #[derive(Clone, Debug, Default, Serialize, Deserialize)]
    #[serde(default)]
    pub struct Raw {
        /// Where to listen.
        pub http_server: HttpServer,
        /// What to log, and how.
        pub log: Log,
        /// This gateway.
        pub node: Node,
        /// Kind of shards, and Centrifugo's way of naming Redis servers.
        pub engine: Engine,
        /// Shards in this process (`engine.type: memory`).
        pub embedded: Embedded,
        /// The shards on Redis.
        pub shards: Vec<Shard>,
        /// What all connections to Redis have in common.
        pub redis: Redis,
        /// How gateways and shards work together. All gateways must agree on it.
        pub cluster: Cluster,
        /// Client connections.
        pub client: Client,
        /// Channels and their namespaces.
        pub channel: Channel,
        /// The server API.
        pub http_api: HttpApi,
        /// The WebSocket endpoint.
        pub websocket: WebSocket,
        /// The WebTransport endpoint, on the UDP port of `quic`.
        pub webtransport: WebTransport,
        /// The UDP port of QUIC, for native clients and for WebTransport.
        pub quic: Quic,
        /// The metrics endpoint.
        pub prometheus: Prometheus,
        /// Another path of the liveness endpoint; `/live`, and `/ready`, the readiness, are always there.
        pub health: Health,
        /// The demonstration page at `/`.
        pub page: Page,
        /// The administration page.
        pub admin: Admin,
        /// How the gateway ends.
        pub shutdown: Shutdown,
    }
}

impl Raw {
    /// A configuration in which every list has one element, so that its serialized form shows every key there is.
    #[must_use]
    pub fn specimen() -> Self {
        Self {
            shards: vec![Shard::default()],
            channel: Channel {
                namespaces: vec![Namespace::default()],
                ..Channel::default()
            },
            ..Self::default()
        }
    }
}
