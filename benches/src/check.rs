//! Whether what was promised holds: nothing lost, nothing doubled, everything in order and where it belongs.
//!
//! Each publisher (a worker) numbers what it publishes in a channel from 1 and keeps a [`Ledger`] of what became of it; each
//! subscriber follows the numbers with a [`Checker`] and compares them with all workers' ledgers in the end.

mod findings;
mod ledger;
mod track;
mod tracker;

pub use findings::Findings;
pub use ledger::{Entry, Fate, Ledger};
pub use tracker::{Checker, Start};
