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
//! * [`envelope`]: the stored form of publications and members, versioned.
//! * [`scripts`]: the Lua scripts and the commands that call them.
//! * [`reply`]: what the server's answers mean.
//! * [`connection`]: connecting, and which run answered.
//! * [`context`], [`health`]: what the tasks of a shard share, and what they know of their connections.
//! * [`queue`], [`upkeep`]: the bounded queue before a connection, and keeping the connection up.
//! * [`lane`]: a command connection: batches, deadlines.
//! * [`link`]: a Pub/Sub connection with its subscriptions in flight and its inbox.
//! * [`admin`]: what only coordinators do.
//! * [`shard`]: the [`Shard`] of all this.

mod admin;
mod config;
mod connection;
mod context;
mod envelope;
mod health;
mod identity;
mod keys;
mod lane;
mod link;
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
use crate::topology::ShardId;

/// Makes [`RedisShard`]s for the servers it was told of.
pub struct RedisFactory {
    connectors: BTreeMap<ShardId, Arc<Connector>>,
    options: ShardOptions,
}

impl RedisFactory {
    /// Checks every shard's configuration; connects to none.
    pub fn new(
        shards: impl IntoIterator<Item = (ShardId, RedisShardConfig)>,
        options: ShardOptions,
    ) -> Result<Self, RedisConfigError> {
        let connectors = shards
            .into_iter()
            .map(|(id, config)| Ok((id, Arc::new(Connector::new(&config, options.command_timeout)?))))
            .collect::<Result<_, RedisConfigError>>()?;
        Ok(Self { connectors, options })
    }
}

impl ShardFactory for RedisFactory {
    fn open(&self, shard: &ShardId, events: Arc<dyn ShardEvents>) -> Option<Arc<dyn Shard>> {
        let connector = Arc::clone(self.connectors.get(shard)?);
        Some(Arc::new(RedisShard::open(
            shard.clone(),
            connector,
            &events,
            self.options.clone(),
        )))
    }
}
