//! The gateway: client connections at the edge, and the server API, on top of the router.
//!
//! A gateway keeps nothing but its connections. What must outlive it is on the shards and in the topology store, which it
//! reaches through [`campanile_shard_router`] alone: nothing here knows a Redis command.
//!
//! # Parts
//!
//! - what clients touch: [`transport`] (bytes ↔ frames), [`session`] (the protocol, without I/O), [`connection`] (drives
//!   both, and carries out what sessions want), [`auth`] (tokens and keys);
//! - what they share: [`hub`] (fan-out to the subscribers of a channel), [`registry`] (connections by client and by user,
//!   and how many may come), [`timers`] (one wheel for all timeouts), [`turnstile`] (a steady pace where many come at once), [`clock`], [`tls`] (certificates, and handshakes on TCP);
//! - what applications touch: [`api`] (the server API), [`cluster`] (commands that every gateway carries out);
//! - what operators touch: [`config`] (files, variables and flags → validated options), [`reload`] (the file while the gateway
//!   runs), [`live`] (what that replaces), [`shard_list`] (where the list of shards comes from), [`cli`], [`shards`] (which
//!   there are, and changing that), [`http`] (listening, readiness, the demonstration page), [`admin`] (the administration
//!   page), [`udp`] (the same for QUIC), [`exporter`] (metrics), [`logging`], [`host_name`], [`lookout`] (looking again and again)
//!   at [`watched_file`]s;
//! - [`app`]: makes all of these in their order, and ends them in the reverse one. Begin to read there.
//!
//! # The way of data
//!
//! ```text
//! client ─▶ transport ─ frame ─▶ codec ─ command ─▶ session ─ effect ─▶ connection ─▶ router ─▶ shard
//!    ▲                                                 │ reply                          │
//!    └── transport ◀─ batch ── outbound queue ◀────────┴───── hub ◀──── publication ────┘
//!
//! application ─ HTTP ─▶ api ─┬─ about channels ────▶ router
//!                            └─ about connections ─▶ cluster ─▶ every gateway's sessions
//! ```
//!
//! A publication is decoded once, encoded once for each codec in use among the subscribers, and the same bytes go into
//! every subscriber's queue.

pub mod admin;
pub mod api;
pub mod app;
pub mod auth;
pub mod cli;
pub mod clock;
pub mod cluster;
pub mod config;
pub mod connection;
pub mod exporter;
pub mod host_name;
pub mod http;
pub mod hub;
pub mod live;
pub mod logging;
pub mod lookout;
pub mod registry;
pub mod reload;
pub mod session;
pub mod shard_list;
pub mod shards;
pub mod timers;
pub mod tls;
pub mod transport;
pub mod turnstile;
pub mod udp;
pub mod watched_file;
