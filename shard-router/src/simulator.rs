//! The simulator: gateways, shards, coordinators, operators, publishers and subscribers in one world, over the very state
//! machines that run in production, driven by one seed. After each event the promises of the design are looked after by
//! name; at the end, when nothing fails any more, everything must come to rest.
//!
//! Real are: the topology's transitions and requests, the fence within [`MemoryState`](crate::memory::state::MemoryState),
//! the copying of partitions, [`Attempt`](crate::mover::Attempt), the coordinator's `decision`,
//! [`Handover`](crate::handover::Handover) and [`Subscriptions`](crate::handover::Subscriptions), and
//! [`Feed`](crate::feed::Feed). Mirrored, because the originals need a runtime: what joins them to connections, links and
//! the store.
//!
//! # Parts
//!
//! * `kernel`, `task`, `rng`, `trace`: virtual time, processes that stop and die, waiting, chance, what happened.
//! * `world`, `run`, `profile`: what there is, one run of it, and what runs are made of.
//! * `server`, `connection`, `link`, `store`: shards, the ways to them, the topology store; each message takes its time.
//! * `gateway`, `coordinator`: the processes. `cast`, `clients`, `operator`, `faults`: who and what befalls them.
//! * `truth`, `ears`, `judge`, `rest`: what really happened, and the promises. The excuses are written where they are used.
//!
//! A failure prints its seed; `SIMULATOR_PROFILE=… SIMULATOR_SEED=… cargo test -p campanile-shard-router simulator`
//! shows all that happens in it. The same seed gives the same trace.

mod cast;
mod clients;
mod connection;
mod coordinator;
mod ears;
mod faults;
mod gateway;
mod judge;
mod kernel;
mod link;
mod operator;
mod profile;
mod rest;
mod rng;
mod run;
mod server;
mod store;
mod task;
mod trace;
mod truth;
mod world;

mod tests;
