//! A Pub/Sub link: one connection, the subscriptions asked of it, and the inbox of what it brings.
//!
//! Two tasks: this one connects, subscribes in batches and watches the connection; the dispatcher hands what arrives
//! to the router in order. A message that finds the inbox full ends the link: better a known gap than an unknown one.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use ::redis::{PushInfo, PushKind, Value};
use campanile_common::ChannelName;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::connection::{Backoff, Broken, Connection, Connector};
use super::context::TaskContext;
use super::envelope;
use super::health::{ConnectionState, Health};
use super::lane::Reserved;
use crate::partition::Partition;
use crate::shard::inbox::{Inbox, InboxReader, inbox};
use crate::shard::intent::Intent;
use crate::shard::{LinkId, ShardError, ShardEvents};
use crate::topology::Generation;

/// Requests carried out together at most.
const BATCH: usize = 256;
/// What a message costs in the inbox beside its bytes.
const MESSAGE_COST: usize = 128;

static SERIAL: AtomicU64 = AtomicU64::new(1);

/// The end into which subscriptions are submitted.
pub(super) struct Link {
    queue: mpsc::Sender<Request>,
    health: Arc<Health>,
    slot: usize,
    waiting: Arc<AtomicUsize>,
    limit: usize,
    connector: Arc<Connector>,
}

/// What to do with channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Subscribe,
    Unsubscribe,
}

struct Request {
    change: Change,
    topics: Vec<String>,
    deadline: Instant,
    answer: oneshot::Sender<Result<(), ShardError>>,
    reserved: Reserved,
}

impl Request {
    /// Gives the budget back, then the answer: whoever has it finds room for the next request.
    fn answer(self, answer: Result<(), ShardError>) {
        drop(self.reserved);
        // Nobody may wait for it any more.
        let _ = self.answer.send(answer);
    }
}

/// What a link brings: a Pub/Sub channel and what was published there.
struct Arrival {
    topic: Vec<u8>,
    payload: Vec<u8>,
}

impl Link {
    /// Spawns the tasks of link `lane` that reports its state in `slot`.
    pub(super) fn open(context: &TaskContext, lane: u8, slot: usize, events: Arc<dyn ShardEvents>) -> Self {
        let (queue, requests) = mpsc::channel(context.options.queue_requests.max(1));
        let task = LinkTask {
            context: context.clone(),
            lane,
            slot,
            events,
            requests,
            backoff: Backoff::default(),
        };
        tokio::spawn(task.run());
        Self {
            queue,
            health: Arc::clone(&context.health),
            slot,
            waiting: Arc::default(),
            limit: context.options.queue_bytes,
            connector: Arc::clone(&context.connector),
        }
    }

    /// Queues a change now; resolves when the server has acknowledged it for each channel.
    pub(super) fn submit(
        &self,
        change: Change,
        channels: &[(Partition, ChannelName)],
    ) -> impl Future<Output = Result<(), ShardError>> + Send + use<> {
        let queued = self.queue(change, channels);
        async move {
            queued?
                .await
                .unwrap_or_else(|_| Err(ShardError::Unavailable("the shard is closed".to_owned())))
        }
    }

    fn queue(
        &self,
        change: Change,
        channels: &[(Partition, ChannelName)],
    ) -> Result<oneshot::Receiver<Result<(), ShardError>>, ShardError> {
        self.health.check(self.slot)?;
        let keys = &self.connector.keys;
        let topics: Vec<_> = channels
            .iter()
            .map(|(partition, channel)| keys.topic(*partition, channel))
            .collect();
        let bytes = topics.iter().map(|topic| topic.len() + size_of::<String>()).sum();
        let reserved = Reserved::take(&self.waiting, bytes, self.limit)?;
        let (answer, receiver) = oneshot::channel();
        let request = Request {
            change,
            topics,
            deadline: self.connector.deadline(),
            answer,
            reserved,
        };
        match self.queue.try_send(request) {
            Ok(()) => Ok(receiver),
            Err(mpsc::error::TrySendError::Full(_)) => Err(ShardError::Overloaded),
            Err(mpsc::error::TrySendError::Closed(_)) => {
                Err(ShardError::Unavailable("the shard is closed".to_owned()))
            }
        }
    }
}

struct LinkTask {
    context: TaskContext,
    lane: u8,
    slot: usize,
    events: Arc<dyn ShardEvents>,
    requests: mpsc::Receiver<Request>,
    backoff: Backoff,
}

/// A connection on which nothing is subscribed but the control channel.
struct Established {
    connection: Connection,
    inbox: Arc<Inbox<Arrival>>,
    reader: InboxReader<Arrival>,
}

impl LinkTask {
    async fn run(mut self) {
        loop {
            let intent = self.context.intent.borrow_and_update().clone();
            if intent.closed {
                break;
            }
            let state = match self.connect(intent).await {
                Ok(established) => {
                    self.backoff.succeeded();
                    ConnectionState::Down(self.live(established).await)
                }
                Err(state) => state,
            };
            self.context.report(self.slot, state);
            let wait = self.backoff.failed();
            let mut changed = self.context.intent.clone();
            self.refusing(async move {
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    _ = changed.changed() => {}
                }
            })
            .await;
        }
        self.context
            .report(self.slot, ConnectionState::Down("the shard is closed".to_owned()));
        self.requests.close();
        while let Some(request) = self.requests.recv().await {
            request.answer(Err(ShardError::Unavailable("the shard is closed".to_owned())));
        }
    }

    /// Connects and subscribes the control channel, unless the intent changes meanwhile.
    async fn connect(&mut self, intent: Intent) -> Result<Established, ConnectionState> {
        let (inbox, reader) = inbox(
            self.context.options.inbox_messages,
            self.context.options.inbox_bytes,
        );
        let connector = Arc::clone(&self.context.connector);
        let mut changed = self.context.intent.clone();
        let connecting = async move {
            let attempt = async {
                let arrivals = Arc::clone(&inbox);
                let mut connection = connector
                    .connect_trusted(&intent, move |info| take_in(&arrivals, info))
                    .await?;
                let control = [connector.keys.control()];
                let subscribed = connection.subscribe(&control, connector.deadline()).await;
                subscribed.map_err(|broken| ConnectionState::Down(broken.words()))?;
                Ok(Established {
                    connection,
                    inbox,
                    reader,
                })
            };
            tokio::select! {
                connected = attempt => connected,
                _ = changed.changed() => Err(ConnectionState::Down("not connected yet".to_owned())),
            }
        };
        self.refusing(connecting).await
    }

    /// Awaits `future`; requests that come meanwhile are refused.
    async fn refusing<T>(&mut self, future: impl Future<Output = T>) -> T {
        tokio::pin!(future);
        loop {
            tokio::select! {
                biased;
                output = &mut future => return output,
                Some(request) = self.requests.recv() => {
                    let error = self.context.health.check(self.slot).err();
                    let error = error.unwrap_or_else(|| ShardError::Unavailable("connecting".to_owned()));
                    request.answer(Err(error));
                }
            }
        }
    }

    /// One life of the link, from up to down; says why it ended.
    async fn live(&mut self, established: Established) -> String {
        let Established {
            connection,
            inbox,
            reader,
        } = established;
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let id = LinkId {
            shard: self.context.shard.clone(),
            lane: self.lane,
            serial,
        };
        self.context.report(self.slot, ConnectionState::Up);
        self.events.link_up(&id);
        let dispatcher = Dispatcher {
            id: id.clone(),
            context: self.context.clone(),
            events: Arc::clone(&self.events),
        };
        let dispatched = tokio::spawn(dispatcher.run(reader));

        let why = self.serve(connection, &inbox).await;
        inbox.close();
        self.context.report(self.slot, ConnectionState::Down(why.clone()));
        // What had arrived is handed out before the link is reported down.
        if dispatched.await.is_err() {
            tracing::error!(shard = %self.context.shard, "the router failed on a message");
        }
        self.context.metrics.link_breaks.increment(1);
        if inbox.overflowed() {
            self.context.metrics.link_overflows.increment(1);
        }
        self.events.link_down(&id);
        why
    }

    /// Carries subscriptions out until the connection may or can no longer be used; says why.
    async fn serve(&mut self, mut connection: Connection, inbox: &Inbox<Arrival>) -> String {
        let mut batch = Vec::with_capacity(BATCH);
        let ping_every = self.context.connector.ping_every();
        let mut next_ping = Instant::now() + ping_every;
        loop {
            let worked = tokio::select! {
                biased;
                _ = self.context.intent.changed() => return "the trusted run changed".to_owned(),
                () = inbox.closed() => return ended(inbox),
                // A busy link is tried too: that messages come says nothing of what else waits on the server.
                () = tokio::time::sleep_until(next_ping) => {
                    next_ping = Instant::now() + ping_every;
                    connection.ping(next_ping).await
                }
                count = self.requests.recv_many(&mut batch, BATCH) => {
                    if count == 0 {
                        return "the shard is closed".to_owned();
                    }
                    tokio::select! {
                        done = carry_out(&mut connection, &mut batch) => done,
                        () = inbox.closed() => return ended(inbox),
                    }
                }
            };
            if let Err(broken) = worked {
                return broken.words();
            }
        }
    }
}

fn ended(inbox: &Inbox<Arrival>) -> String {
    let words = if inbox.overflowed() {
        "messages came faster than they were handled"
    } else {
        "the server closed the connection"
    };
    words.to_owned()
}

/// Carries requests out in order, neighbours of one kind in one command.
async fn carry_out(connection: &mut Connection, batch: &mut Vec<Request>) -> Result<(), Broken> {
    let now = Instant::now();
    let mut waiting = batch.drain(..).collect::<std::collections::VecDeque<_>>();
    while let Some(first) = waiting.pop_front() {
        let mut group = vec![first];
        while waiting.front().is_some_and(|next| next.change == group[0].change) {
            group.extend(waiting.pop_front());
        }
        let (late, group): (Vec<_>, Vec<_>) = group.into_iter().partition(|request| request.deadline <= now);
        for request in late {
            let words = "the request did not get its turn in time".to_owned();
            request.answer(Err(ShardError::Unavailable(words)));
        }
        if let Err(broken) = carry_out_group(connection, group).await {
            for request in waiting {
                request.answer(Err(ShardError::Unavailable(broken.words())));
            }
            return Err(broken);
        }
    }
    Ok(())
}

async fn carry_out_group(connection: &mut Connection, group: Vec<Request>) -> Result<(), Broken> {
    let Some(deadline) = group.iter().map(|request| request.deadline).min() else {
        return Ok(());
    };
    let change = group[0].change;
    let topics: Vec<String> = group
        .iter()
        .flat_map(|request| request.topics.iter().cloned())
        .collect();
    let result = match change {
        _ if topics.is_empty() => Ok(()),
        Change::Subscribe => connection.subscribe(&topics, deadline).await,
        Change::Unsubscribe => connection.unsubscribe(&topics, deadline).await,
    };
    for request in group {
        // The link ends with the error, and with it whatever was subscribed: nothing has been done.
        request.answer(
            result
                .as_ref()
                .map_err(|broken| ShardError::Unavailable(broken.words()))
                .copied(),
        );
    }
    result
}

/// Takes in what the connection pushes. Called from its reader; must not block.
fn take_in(inbox: &Inbox<Arrival>, info: PushInfo) {
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
struct Dispatcher {
    id: LinkId,
    context: TaskContext,
    events: Arc<dyn ShardEvents>,
}

impl Dispatcher {
    async fn run(self, mut reader: InboxReader<Arrival>) {
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
