//! The Redis shard: one standalone server, or a primary.
//!
//! Every partition's keys are changed by scripts alone, each of which checks the owner fence first. A gateway reaches
//! the server over a few command lanes, a few Pub/Sub links, and short-lived connections for a coordinator's acts;
//! each connection asks for the server's `run_id` before anything else, and is made anew explicitly, never behind the
//! caller's back. Redis 6 or later (RESP3).
//!
//! # Parts
//!
//! * [`config`]: address, credentials, TLS, key prefix; validated when the gateway starts.
//! * [`keys`]: the names of keys and Pub/Sub channels.
//! * [`scripts`]: the Lua scripts and the commands that call them.
//! * [`reply`]: what the server's answers mean.
//! * [`connection`]: connecting, and which run answered.
//! * [`context`], [`health`]: what the tasks of a shard share, and what they know of their connections.
//! * [`queue`], [`upkeep`]: the bounded queue before a connection, and keeping the connection up.
//! * [`lane`]: a command connection: batches, deadlines.
//! * [`link`]: a Pub/Sub connection with its subscriptions in flight and its inbox.
//! * [`admin`]: what only coordinators do; [`part`]: what they carry from server to server.
//! * [`shard`]: the [`Shard`] of all this.

mod admin;
mod config;
mod connection;
mod context;
mod health;
mod identity;
mod keys;
mod lane;
mod link;
mod part;
mod queue;
mod reply;
mod scripts;
mod shard;
mod upkeep;

use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) use self::config::open_client;
pub use self::config::{RedisConfigError, RedisShardConfig};
use self::connection::Connector;
pub use self::shard::RedisShard;
use crate::shard::{Shard, ShardEvents, ShardFactory, ShardOptions};
use crate::topology::{ShardId, ShardUrl};

/// Makes [`RedisShard`]s for the servers it was told of.
pub struct RedisFactory {
    connectors: BTreeMap<ShardId, Arc<Connector>>,
    /// Begins the keys of servers that are not configured here.
    prefix: String,
    options: ShardOptions,
}

impl RedisFactory {
    /// Checks every shard's configuration; connects to none. Shards that only the topology knows are reached with its
    /// URL, the same `prefix`, and the certificates that browsers trust.
    pub fn new(
        shards: impl IntoIterator<Item = (ShardId, RedisShardConfig)>,
        prefix: &str,
        options: ShardOptions,
    ) -> Result<Self, RedisConfigError> {
        let connectors = shards
            .into_iter()
            .map(|(id, config)| Ok((id, Arc::new(Connector::new(&config, options.command_timeout)?))))
            .collect::<Result<_, RedisConfigError>>()?;
        Ok(Self {
            connectors,
            prefix: prefix.to_owned(),
            options,
        })
    }

    /// How to connect to a shard that is not configured here.
    fn connector(&self, url: &ShardUrl) -> Result<Connector, String> {
        if url.is_empty() {
            return Err("this gateway is not configured to reach it, and the topology has no URL".to_owned());
        }
        let config = RedisShardConfig {
            prefix: self.prefix.clone(),
            ..RedisShardConfig::new(url.expose())
        };
        Connector::new(&config, self.options.command_timeout).map_err(|error| error.to_string())
    }
}

impl ShardFactory for RedisFactory {
    fn open(
        &self,
        shard: &ShardId,
        url: &ShardUrl,
        events: Arc<dyn ShardEvents>,
    ) -> Result<Arc<dyn Shard>, String> {
        let connector = match self.connectors.get(shard) {
            Some(configured) => Arc::clone(configured),
            None => Arc::new(self.connector(url)?),
        };
        Ok(Arc::new(RedisShard::open(
            shard.clone(),
            connector,
            &events,
            self.options.clone(),
        )))
    }
}
