//! Which shard holds which channel, how a publication gets there, and how every subscriber hears of it exactly
//! once and in order.
//!
//! # Parts
//!
//! * [`partition`]: a channel's partition, the unit that is owned and moves.
//! * [`ring`]: proposes an owner for each partition (consistent hashing with bounded loads).
//! * [`topology`]: the versioned document that *decides* the owners, and the transitions it may take.
//! * [`store`]: where the topology lives: compare-and-set, the registry of gateways, the coordinator's lease.
//! * [`membership`]: one gateway's registration in the store, and the topologies it may serve by.
//! * [`coordinator`]: carries out what the topology decided: bootstrap, admitting restarted shards, reopening.
//! * [`mover`]: carries partitions from shard to shard, step by step, without I/O.
//! * [`fence`]: the owner record that a shard keeps for each partition, and the acts that change it.
//! * [`shard`]: the trait of a shard; [`memory`] and [`redis`] implement it and pass one conformance suite.
//! * [`handover`]: where channels are subscribed while their partition moves, and what is held back, without I/O.
//! * [`feed`]: the continuity of one channel, without I/O: next offset, gap, duplicate, recent window.
//! * [`router`]: joins the above: publish, history, presence, subscribe, recovery.
//! * [`audience`]: what the router needs to know of subscribers: nearly nothing.
//!
//! # The way of data
//!
//! Publication: [`router::Router::publish`] → partition → owner by the topology → [`shard::Shard::publish`] (one
//! atomic script behind the owner fence) → the shard's Pub/Sub → [`shard::ShardEvents::message`] → the channel's
//! [`feed`] decides (deliver, duplicate, gap) → [`audience::Audience::deliver`].
//!
//! The crate knows nothing of clients, transports or the client protocol's commands.

pub mod audience;
pub mod coordinator;
pub mod feed;
pub mod fence;
pub mod handover;
pub mod membership;
pub mod memory;
pub mod mover;
pub mod partition;
pub mod publication;
pub mod redis;
pub mod ring;
pub mod router;
mod safeguard;
pub mod shard;
pub mod store;
pub mod topology;

#[cfg(test)]
mod simulator;
#[cfg(test)]
mod testing;
