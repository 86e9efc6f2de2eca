//! The Redis shard: one standalone server, or the primary that Sentinels name.
//!
//! Every partition's keys are changed by scripts alone, each of which checks the owner fence first. A gateway reaches
//! the server over a few command lanes, a few Pub/Sub links, and short-lived connections for a coordinator's acts;
//! each connection asks for the server's `run_id` before anything else, and is made anew explicitly, never behind the
//! caller's back. Redis 6.2 or later (RESP3).
//!
//! # Parts
//!
//! * [`config`]: address, credentials, TLS, key prefix; validated when the gateway starts.
//! * [`place`]: what a URL says; [`tls`]: certificates, and what errors about them mean.
//! * [`dialer`]: opening connections; [`sentinel`]: which server to open them to.
//! * [`watching`]: noticing that another server has taken over.
//! * [`grants`]: whether the server's user may do what is needed; [`memory`] and [`replication`]: what a server says of those.
//! * [`keys`]: the names of keys and Pub/Sub channels.
//! * [`scripts`]: the Lua scripts and the commands that call them.
//! * [`reply`]: what the server's answers mean.
//! * [`connection`]: connecting, and which run answered.
//! * [`context`], [`health`]: what the tasks of a shard share, and what they know of their connections.
//! * [`queue`], [`upkeep`]: the bounded queue before a connection, and keeping the connection up.
//! * [`lane`]: a command connection: batches, deadlines.
//! * [`link`]: a Pub/Sub connection with its subscriptions in flight and its inbox.
//! * [`factory`]: what makes shards, for those configured and those that only the topology knows.
//! * [`admin`]: what only coordinators do; [`part`]: what they carry from server to server.
//! * [`shard`]: the [`Shard`](crate::shard::Shard) of all this.
//! * [`mod@bench`]: what is measured by itself.

mod admin;
pub mod bench;
mod config;
mod connection;
mod context;
mod dialer;
mod factory;
mod grants;
mod health;
mod identity;
mod keys;
mod lane;
mod link;
mod memory;
mod part;
mod place;
mod queue;
mod replication;
mod reply;
mod scripts;
mod sentinel;
mod shard;
mod tls;
mod upkeep;
mod watching;

pub(crate) use self::config::open_dialer;
pub use self::config::{RedisConfigError, RedisShardConfig};
pub(crate) use self::dialer::{Dialed, Dialer};
pub use self::factory::RedisFactory;
pub(crate) use self::memory::MemoryLimits;
pub use self::place::{NotAPlace, RedisPlace};
pub(crate) use self::replication::Replication;
pub(crate) use self::sentinel::count_takeovers;
pub use self::shard::RedisShard;
pub use self::tls::{Pem, PemIdentity, RedisTls, RedisTlsError};
