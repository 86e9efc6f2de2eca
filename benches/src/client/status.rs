//! What a swarm knows of its clients while they live.

use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::connection::ConnectError;
use crate::Failure;

/// Shared by a swarm and its clients.
#[derive(Debug, Default)]
pub(super) struct Status {
    /// Clients that have been ready at least once.
    arrived: AtomicUsize,
    /// Clients that are ready now.
    ready: AtomicUsize,
    /// Whether waiting has become of no use.
    refused: Mutex<Option<Failure>>,
    /// What went wrong last, for people.
    trouble: Mutex<Option<String>>,
    changed: Notify,
}

impl Status {
    /// A client is ready, for the first time or again.
    pub(super) fn ready(&self, first: bool) {
        self.ready.fetch_add(1, Ordering::Relaxed);
        if first {
            self.arrived.fetch_add(1, Ordering::Relaxed);
            self.changed.notify_one();
        }
    }

    /// A client that was ready is not any more.
    pub(super) fn left(&self) {
        self.ready.fetch_sub(1, Ordering::Relaxed);
    }

    /// An attempt to connect has failed.
    pub(super) fn failed(&self, error: ConnectError) {
        let text = error.to_string();
        if matches!(error, ConnectError::Refused(_)) {
            self.refuse(error.into());
        }
        self.trouble_is(text);
    }

    /// Something else has gone wrong, and may go well the next time.
    pub(super) fn trouble_is(&self, text: String) {
        *self.trouble.lock() = Some(text);
    }

    /// It is of no use to wait for all clients.
    pub(super) fn refuse(&self, failure: Failure) {
        self.refused.lock().get_or_insert(failure);
        self.changed.notify_one();
    }

    pub(super) fn arrived(&self) -> usize {
        self.arrived.load(Ordering::Relaxed)
    }

    pub(super) fn now(&self) -> usize {
        self.ready.load(Ordering::Relaxed)
    }

    pub(super) fn refused(&self) -> Option<Failure> {
        self.refused.lock().clone()
    }

    pub(super) fn trouble(&self) -> String {
        self.trouble
            .lock()
            .clone()
            .unwrap_or_else(|| "no answer".to_owned())
    }

    /// Waits until something of this may have changed.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }
}
