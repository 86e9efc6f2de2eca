//! A memory shard's Pub/Sub links: a task each that attaches to the server, hands what arrives to the router, and
//! attaches anew after every break.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::server::Condition;
use super::shared::{LinkUp, Shared};
use super::state::{LinkEvent, LinkKey};
use crate::shard::inbox::{Inbox, InboxReader, inbox};
use crate::shard::intent::Intent;
use crate::shard::{LinkId, ShardEvents, next_serial};
use crate::topology::Incarnation;

/// How long a link that broke stays down.
const RETRY: Duration = Duration::from_millis(20);

/// Keeps link `lane` up until the shard is closed.
pub(super) async fn keep_up(shared: Arc<Shared>, lane: u8, events: Arc<dyn ShardEvents>) {
    let mut signals = Signals {
        condition: shared.server.condition(),
        intent: shared.intent.subscribe(),
    };
    loop {
        let (intent, run) = signals.look();
        if intent.closed {
            return;
        }
        let attached = intent
            .trusted
            .filter(|trusted| *trusted == run)
            .and_then(|run| attach(&shared, lane, &run));
        let Some(link) = attached else {
            signals.wait().await;
            continue;
        };
        live(&shared, link, &*events, &mut signals).await;
        tokio::time::sleep(RETRY).await;
    }
}

/// One life of a link.
struct Link {
    id: LinkId,
    key: LinkKey,
    run: Incarnation,
    inbox: Arc<Inbox<LinkEvent>>,
    reader: InboxReader<LinkEvent>,
}

fn attach(shared: &Shared, lane: u8, run: &Incarnation) -> Option<Link> {
    let (inbox, reader) = inbox(shared.options.inbox_messages, shared.options.inbox_bytes);
    let key = shared.server.attach(run, Arc::clone(&inbox))?;
    let serial = next_serial();
    let id = LinkId {
        shard: shared.id.clone(),
        lane,
        serial,
    };
    shared.set_link(
        lane,
        Some(LinkUp {
            key,
            inbox: Arc::clone(&inbox),
        }),
    );
    Some(Link {
        id,
        key,
        run: run.clone(),
        inbox,
        reader,
    })
}

async fn live(shared: &Shared, mut link: Link, events: &dyn ShardEvents, signals: &mut Signals) {
    tracing::info!(shard = %link.id.shard, lane = link.id.lane, "link up");
    events.link_up(&link.id);
    let unanswered = tokio::select! {
        () = hand_over(&link.id, &mut link.reader, events, shared.server.condition()) => false,
        unanswered = signals.until_unusable(&link.run, shared.options.command_timeout) => unanswered,
    };
    shared.link_ended(link.id.lane, unanswered);
    shared.server.detach(link.key);
    if link.inbox.overflowed() {
        shared.metrics.link_overflows.increment(1);
    }
    shared.metrics.link_breaks.increment(1);
    tracing::info!(shard = %link.id.shard, lane = link.id.lane, unanswered, overflow = link.inbox.overflowed(), "link down");
    events.link_down(&link.id);
}

async fn hand_over(
    id: &LinkId,
    reader: &mut InboxReader<LinkEvent>,
    events: &dyn ShardEvents,
    mut condition: watch::Receiver<Condition>,
) {
    while let Some(event) = reader.next().await {
        // Fails only when the server is gone, and then nothing holds it up.
        let _ = condition.wait_for(|condition| !condition.stalled).await;
        match event {
            LinkEvent::Message { channel, message } => events.message(id, &channel, message),
            LinkEvent::Marker {
                partition,
                generation,
            } => events.marker(id, partition, generation),
        }
    }
}

struct Signals {
    condition: watch::Receiver<Condition>,
    intent: watch::Receiver<Intent>,
}

impl Signals {
    fn look(&mut self) -> (Intent, Incarnation) {
        (
            self.intent.borrow_and_update().clone(),
            self.condition.borrow_and_update().run.clone(),
        )
    }

    /// Until something is otherwise than at the last look.
    async fn wait(&mut self) {
        // The shard that the task shares keeps both senders alive, so neither receiver can fail.
        tokio::select! {
            _ = self.condition.changed() => {}
            _ = self.intent.changed() => {}
        }
    }

    /// Until a link to `run` may not be used any more; true if the reason is that the server does not answer.
    async fn until_unusable(&mut self, run: &Incarnation, timeout: Duration) -> bool {
        loop {
            let paused = {
                let condition = self.condition.borrow_and_update();
                if !condition.up || condition.run != *run {
                    return false;
                }
                condition.paused
            };
            tokio::select! {
                _ = self.condition.changed() => {}
                _ = self.intent.changed() => return false,
                () = tokio::time::sleep(timeout), if paused => return true,
            }
        }
    }
}
