//! What has happened on the connections of a dialer.

use std::sync::atomic::{AtomicU64, Ordering};

/// Numbers since the dialer was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct QuicStats {
    /// Connections whose first command went out as early data and was taken.
    pub early_data_accepted: u64,
    /// Connections whose first command was sent again because the server did not take early data.
    pub early_data_refused: u64,
    /// Datagrams that were dropped because they, or newer ones, had come before.
    pub late_datagrams: u64,
    /// Datagrams that were dropped because they were not what they should be.
    pub malformed_datagrams: u64,
    /// Streams that were refused because they were not what they should be.
    pub foreign_streams: u64,
}

/// Where they are counted.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) early_data_accepted: AtomicU64,
    pub(super) early_data_refused: AtomicU64,
    pub(super) late_datagrams: AtomicU64,
    pub(super) malformed_datagrams: AtomicU64,
    pub(super) foreign_streams: AtomicU64,
}

impl Counters {
    pub(super) fn read(&self) -> QuicStats {
        QuicStats {
            early_data_accepted: self.early_data_accepted.load(Ordering::Relaxed),
            early_data_refused: self.early_data_refused.load(Ordering::Relaxed),
            late_datagrams: self.late_datagrams.load(Ordering::Relaxed),
            malformed_datagrams: self.malformed_datagrams.load(Ordering::Relaxed),
            foreign_streams: self.foreign_streams.load(Ordering::Relaxed),
        }
    }
}

/// Counts one.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
