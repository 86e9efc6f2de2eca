//! `campanile-bench`: what a server of the client protocol does under load, and what that costs.
//!
//! It loads any server that speaks the protocol, Campanile and Centrifugo alike, or starts Redis servers and gateways of its
//! own. Load is an open loop: everything has an intended time, and latencies count from it, so that a server that stalls
//! cannot hide it. Each scenario checks what is promised while it measures, and a run in which a message was lost or doubled
//! fails.
//!
//! # Parts
//!
//! - [`scenario`]: what can be measured. A [`Scenario`](scenario::Scenario) carries out a worker's share of a load and derives
//!   figures from what all workers recorded.
//! - [`run`]: the [`Run`](run::Run) that a scenario is handed: its plan, clocks, phases, meters.
//! - [`plan`] and [`target`]: what to do, and whom to do it to.
//! - [`client`]: thousands of small clients; [`publisher`]: publications at a pace, and what became of them.
//! - [`admin`]: the server API, for what a scenario asks beside its load.
//! - [`pace`], [`payload`], [`check`]: when something is meant to happen, what a publication says of itself, and whether every
//!   one of them arrived.
//! - [`workers`]: the controller and its workers, in this process, in others, or on other machines.
//! - [`stack`]: the local Redis servers and gateways; [`bare`]: the least that fan-out can cost.
//! - [`measure`]: histograms, series, the server's processes; [`report`] shows them, [`compare`] sets two servers side by side.
//! - [`limits`]: how many files may be open; `secrets`: what no report may contain.
//! - [`cli`] and [`execute`]: from the command line to a report.
//!
//! The micro-benchmarks in `benches/micro` need, apart from all this:
//!
//! - [`sample`]: what they work on; [`mod@reference`], [`ratio`]: what times are compared with, and how they are taken;
//!   [`callgrind`]: counts of instructions and allocations;
//! - [`baseline`]: the figures that `make bench` compares with.
//!
//! # The way of a run
//!
//! ```text
//! cli ─▶ execute: stack? ─▶ controller ─ Assignment ─▶ worker ─▶ Scenario::run ─▶ Swarm, Publisher
//!                               ▲                         │            │
//!                               └── phases, ledgers ──────┤            └─ Run::{count, latency, series, violation}
//!                               └── Recording ◀───────────┘
//!                               ▼
//!                            Outcome ─▶ Scenario::figures ─▶ Report ─▶ table, JSON, HTML
//! ```

pub mod admin;
pub mod bare;
pub mod baseline;
pub mod callgrind;
pub mod check;
pub mod cli;
pub mod client;
pub mod compare;
pub mod execute;
mod failure;
pub mod limits;
pub mod measure;
pub mod pace;
pub mod payload;
pub mod plan;
pub mod publisher;
pub mod ratio;
pub mod reference;
pub mod report;
pub mod run;
pub mod sample;
pub mod scenario;
mod secrets;
pub mod stack;
pub mod target;
pub mod workers;

pub use failure::{Failure, Promise, Violation};
