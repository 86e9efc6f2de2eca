//! When things are meant to happen: an open loop, which neither waits for replies nor skips what it is late for.

mod metronome;
mod schedule;

use tokio::time::Instant;

pub use metronome::{Beat, Metronome};
pub use schedule::Schedule;

/// Waits until then; `None`: for ever.
pub(crate) async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
