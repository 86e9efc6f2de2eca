//! What a memory shard and its tasks share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::server::MemoryServer;
use super::state::{LinkEvent, LinkKey};
use crate::shard::inbox::Inbox;
use crate::shard::intent::Intent;
use crate::shard::metrics::ShardMetrics;
use crate::shard::{ShardError, ShardOptions};
use crate::topology::{Incarnation, ShardId};

/// How often a share of the server's partitions is freed of what expired; all have had their turn after 4 s.
const COLLECT_EVERY: Duration = Duration::from_millis(250);

/// What the shard and its links' tasks share.
pub(super) struct Shared {
    pub(super) id: ShardId,
    pub(super) server: Arc<MemoryServer>,
    pub(super) options: ShardOptions,
    pub(super) metrics: ShardMetrics,
    pub(super) intent: watch::Sender<Intent>,
    pub(super) links: Mutex<Vec<Option<LinkUp>>>,
    /// A link found the server not answering and none has come up since.
    pub(super) unanswered: AtomicBool,
}

/// A link that is attached to the server.
#[derive(Clone)]
pub(super) struct LinkUp {
    pub(super) key: LinkKey,
    pub(super) inbox: Arc<Inbox<LinkEvent>>,
}

impl Shared {
    pub(super) fn set_link(&self, lane: u8, link: Option<LinkUp>) {
        if link.is_some() {
            self.unanswered.store(false, Ordering::Relaxed);
        }
        self.links.lock()[usize::from(lane)] = link;
    }

    pub(super) fn link_ended(&self, lane: u8, unanswered: bool) {
        self.set_link(lane, None);
        if unanswered {
            self.unanswered.store(true, Ordering::Relaxed);
        }
    }

    /// The inboxes of those of `links` that are up.
    pub(super) fn inboxes_of(&self, links: &[LinkKey]) -> Vec<Arc<Inbox<LinkEvent>>> {
        let all = self.links.lock();
        let concerned = all.iter().flatten().filter(|up| links.contains(&up.key));
        concerned.map(|up| Arc::clone(&up.inbox)).collect()
    }

    pub(super) fn links_are_up(&self) -> bool {
        let links = self.links.lock();
        links
            .iter()
            .all(|link| link.as_ref().is_some_and(|up| !up.inbox.is_closed()))
    }

    pub(super) fn trusted_run(&self) -> Result<Incarnation, ShardError> {
        let unavailable = |words: &str| Err(ShardError::Unavailable(words.to_owned()));
        let intent = self.intent.borrow();
        if intent.closed {
            return unavailable("the shard is closed");
        }
        if self.unanswered.load(Ordering::Relaxed) {
            return unavailable("the memory server does not answer");
        }
        match &intent.trusted {
            Some(run) => Ok(run.clone()),
            None => unavailable("no run of the server is trusted yet"),
        }
    }
}

pub(super) fn link_is_down() -> ShardError {
    ShardError::Unavailable("the Pub/Sub link is down".to_owned())
}

/// Frees expired data until the shard is closed.
pub(super) async fn collect(shared: Arc<Shared>) {
    let mut intent = shared.intent.subscribe();
    let mut ticks = tokio::time::interval(COLLECT_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while !intent.borrow_and_update().closed {
        tokio::select! {
            _ = ticks.tick() => shared.server.collect(),
            _ = intent.changed() => {}
        }
    }
}
