//! When things are meant to happen: an open loop, which neither waits for replies nor skips what it is late for.

mod metronome;
mod schedule;

pub use metronome::{Beat, Metronome};
pub use schedule::Schedule;
