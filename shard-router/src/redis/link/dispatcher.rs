//! From the connection's reader to the router: what arrives is taken in without waiting, then decoded and handed out
//! in order.

use std::sync::Arc;

use ::redis::{PushInfo, PushKind, Value};

use crate::partition::Partition;
use crate::redis::context::TaskContext;
use crate::shard::envelope;
use crate::shard::inbox::{Inbox, InboxReader};
use crate::shard::{LinkId, ShardEvents};
use crate::topology::Generation;

/// What a message costs in the inbox beside its bytes.
const MESSAGE_COST: usize = 128;

/// What a link brings: a Pub/Sub channel and what was published there.
pub(super) struct Arrival {
    topic: Vec<u8>,
    payload: Vec<u8>,
}

/// Takes in what the connection pushes. Called from its reader; does not block.
pub(super) fn take_in(inbox: &Inbox<Arrival>, info: PushInfo) {
    match info.kind {
        PushKind::Disconnection => inbox.close(),
        PushKind::Message => {
            let mut parts = info.data.into_iter();
            if let (Some(Value::BulkString(topic)), Some(Value::BulkString(payload))) =
                (parts.next(), parts.next())
            {
                let size = MESSAGE_COST + topic.len() + payload.len();
                inbox.push(Arrival { topic, payload }, size);
            }
        }
        _ => {}
    }
}

/// Hands what arrived to the router.
pub(super) struct Dispatcher {
    pub(super) id: LinkId,
    pub(super) context: TaskContext,
    pub(super) events: Arc<dyn ShardEvents>,
}

impl Dispatcher {
    /// Runs until the inbox is closed and empty.
    pub(super) async fn run(self, mut reader: InboxReader<Arrival>) {
        let control = self.context.connector.keys.control();
        while let Some(arrival) = reader.next().await {
            let understood = if arrival.topic == control.as_bytes() {
                self.control(&arrival.payload)
            } else {
                self.message(&arrival)
            };
            if understood.is_none() {
                self.context.metrics.undecodable.increment(1);
                tracing::debug!(shard = %self.id.shard, "message skipped");
            }
        }
    }

    fn message(&self, arrival: &Arrival) -> Option<()> {
        let topic = std::str::from_utf8(&arrival.topic).ok()?;
        let channel = self.context.connector.keys.channel_of_topic(topic)?;
        let message = envelope::decode_message(&arrival.payload).ok()?;
        self.events.message(&self.id, channel, message);
        Some(())
    }

    /// `sealed <partition> <generation>`; other words are of a newer release.
    fn control(&self, payload: &[u8]) -> Option<()> {
        let mut words = std::str::from_utf8(payload).ok()?.split(' ');
        if words.next()? != "sealed" {
            return None;
        }
        let partition = Partition::from_index(words.next()?.parse().ok()?)?;
        let generation = Generation(words.next()?.parse().ok()?);
        self.events.marker(&self.id, partition, generation);
        Some(())
    }
}
