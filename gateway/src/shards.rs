//! Shards, for operators: which there are, what a change would move, asking for it, and how far it has come.
//!
//! The API, the command line and the page are faces of what is here.
//!
//! * `admin`: answers, from what this gateway knows and what the coordinating one does.
//! * `change`: what may be asked for.
//! * `report`: what is told, as JSON.
//! * `refusal`: why a change is not made.

mod admin;
mod change;
mod refusal;
pub mod report;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub(crate) use admin::state;
pub use admin::{ShardAdmin, ShardChanges, ShardView, StatusQuery};
pub use change::{Add, Change, Drain, Remove, Weight, parse};
pub use refusal::{Refusal, RefusalCode};
