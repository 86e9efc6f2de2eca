//! What the owner of a shard value wants of it, as its tasks see it.

use tokio::sync::watch;

use crate::topology::{Generation, Incarnation};

/// What the owner of a shard value wants of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Intent {
    /// The run of the server that may be used.
    pub(crate) trusted: Option<Incarnation>,
    /// The generation at which it was admitted.
    pub(crate) admitted: Generation,
    /// How often another server has taken over, as far as is known: connections are made anew.
    pub(crate) takeovers: u64,
    /// All tasks are to end.
    pub(crate) closed: bool,
}

impl Intent {
    /// Notes whom to trust; what is already so wakes nobody.
    pub(crate) fn trust(intent: &watch::Sender<Self>, trusted: Option<Incarnation>, admitted: Generation) {
        intent.send_if_modified(|intent| {
            let next = Self {
                trusted,
                admitted,
                ..intent.clone()
            };
            let changed = *intent != next;
            *intent = next;
            changed
        });
    }

    /// Notes that another server has taken over.
    pub(crate) fn take_over(intent: &watch::Sender<Self>) {
        intent.send_modify(|intent| intent.takeovers += 1);
    }

    /// Notes the end.
    pub(crate) fn close(intent: &watch::Sender<Self>) {
        intent.send_modify(|intent| intent.closed = true);
    }
}
