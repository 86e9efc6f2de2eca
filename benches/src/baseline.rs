//! The figures that are kept, and what new ones mean beside them.
//!
//! `benches/baseline.json` has the figures of one machine on one day. Each comes with a tolerance: how far a figure strays
//! by itself. Beyond that it is a regression, or an improvement that wants to be kept.

mod file;
mod verdict;

pub use file::{Baseline, BaselineError, Kept, Machine};
pub use verdict::{Comparison, Line, Verdict};
