//! A Pub/Sub link: one connection, the subscriptions asked of it, and the inbox of what it brings.
//!
//! Two tasks: this one connects, subscribes in batches and watches the connection; the dispatcher hands what arrives
//! to the router in order. A message that finds the inbox full ends the link: better a known gap than an unknown one.

mod dispatcher;

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;

use campanile_common::ChannelName;
use tokio::sync::watch;
use tokio::time::Instant;

use self::dispatcher::{Arrival, Dispatcher, take_in};
use super::connection::{Broken, Connection};
use super::context::TaskContext;
use super::health::ConnectionState;
use super::queue::{self, Queue, Requests};
use super::upkeep::{self, Life};
use crate::partition::Partition;
use crate::shard::inbox::{Inbox, InboxReader, inbox};
use crate::shard::intent::Intent;
use crate::shard::{LinkId, ShardError, ShardEvents, next_serial};

/// Requests carried out together at most.
const BATCH: usize = 256;

/// The end into which subscriptions are submitted.
pub(super) struct Link {
    queue: Queue<Subscription, ()>,
    context: TaskContext,
}

/// What to do with channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Subscribe,
    Unsubscribe,
}

pub(super) struct Subscription {
    change: Change,
    topics: Vec<String>,
}

type Request = queue::Request<Subscription, ()>;

impl Link {
    /// Spawns the tasks of link `lane` that reports its state in `slot`.
    pub(super) fn open(context: &TaskContext, lane: u8, slot: usize, events: Arc<dyn ShardEvents>) -> Self {
        let (queue, requests) = queue::queue(context, slot);
        let task = LinkTask {
            context: context.clone(),
            lane,
            slot,
            events,
        };
        tokio::spawn(upkeep::keep_up(task, context.clone(), slot, requests));
        Self {
            queue,
            context: context.clone(),
        }
    }

    /// Queues a change now; resolves when the server has acknowledged it for each channel.
    pub(super) fn submit(
        &self,
        change: Change,
        channels: &[(Partition, ChannelName)],
    ) -> impl Future<Output = Result<(), ShardError>> + Send + use<> {
        let keys = &self.context.connector.keys;
        let topics: Vec<_> = channels
            .iter()
            .map(|(partition, channel)| keys.topic(*partition, channel))
            .collect();
        let bytes = topics.iter().map(|topic| topic.len() + size_of::<String>()).sum();
        self.queue.submit(Subscription { change, topics }, bytes)
    }
}

struct LinkTask {
    context: TaskContext,
    lane: u8,
    slot: usize,
    events: Arc<dyn ShardEvents>,
}

/// A connection on which nothing is subscribed but the control channel.
pub(super) struct Established {
    connection: Connection,
    inbox: Arc<Inbox<Arrival>>,
    reader: InboxReader<Arrival>,
}

impl Life for LinkTask {
    type Work = Subscription;
    type Answer = ();
    type Established = Established;

    fn connect(
        &self,
        intent: Intent,
    ) -> impl Future<Output = Result<Established, ConnectionState>> + Send + use<> {
        let (inbox, reader) = inbox(
            self.context.options.inbox_messages,
            self.context.options.inbox_bytes,
        );
        let connector = Arc::clone(&self.context.connector);
        async move {
            let arrivals = Arc::clone(&inbox);
            let push = move |info| take_in(&arrivals, info);
            let mut connection = connector.connect_trusted(&intent, push).await?;
            let control = [connector.keys.control()];
            let subscribed = connection.subscribe(&control, connector.deadline()).await;
            subscribed.map_err(|broken| ConnectionState::Down(broken.words()))?;
            Ok(Established {
                connection,
                inbox,
                reader,
            })
        }
    }

    async fn live(
        &mut self,
        established: Established,
        intent: &mut watch::Receiver<Intent>,
        requests: &mut Requests<Subscription, ()>,
    ) -> String {
        let Established {
            connection,
            inbox,
            reader,
        } = established;
        let serial = next_serial();
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

        let why = self.serve(connection, &inbox, intent, requests).await;
        inbox.close();
        self.context.report(self.slot, ConnectionState::Down(why.clone()));
        // What had arrived is handed out before the link is reported down.
        if requests.refuse_during(dispatched).await.is_err() {
            tracing::error!(shard = %self.context.shard, "the router failed on a message");
        }
        self.context.metrics.link_breaks.increment(1);
        if inbox.overflowed() {
            self.context.metrics.link_overflows.increment(1);
        }
        self.events.link_down(&id);
        why
    }
}

impl LinkTask {
    async fn serve(
        &mut self,
        mut connection: Connection,
        inbox: &Arc<Inbox<Arrival>>,
        intent: &mut watch::Receiver<Intent>,
        requests: &mut Requests<Subscription, ()>,
    ) -> String {
        let mut batch = Vec::with_capacity(BATCH);
        let check_every = self.context.connector.check_every();
        let mut next_check = Instant::now() + check_every;
        loop {
            let worked = tokio::select! {
                biased;
                _ = intent.changed() => return "the trusted run, or the primary, has become another one".to_owned(),
                () = inbox.closed() => return ended(inbox),
                // A busy link is tried too: that messages come says nothing of what waits for an answer.
                () = tokio::time::sleep_until(next_check) => {
                    next_check = Instant::now() + check_every;
                    connection.check(next_check).await
                }
                count = requests.take(&mut batch, BATCH) => {
                    if count == 0 {
                        return "the shard is closed".to_owned();
                    }
                    carry_out(&mut connection, std::mem::take(&mut batch), inbox).await
                }
            };
            if let Err(broken) = worked {
                return broken.words();
            }
        }
    }
}

fn ended(inbox: &Inbox<Arrival>) -> String {
    if inbox.overflowed() {
        return "messages came faster than they were handled".to_owned();
    }
    "the server closed the connection".to_owned()
}

/// Carries requests out in order, neighbours of one kind in one command.
async fn carry_out(
    connection: &mut Connection,
    batch: Vec<Request>,
    inbox: &Arc<Inbox<Arrival>>,
) -> Result<(), Broken> {
    let mut waiting = VecDeque::from(Request::refuse_late(batch, Instant::now()));
    while let Some(first) = waiting.pop_front() {
        let mut group = vec![first];
        while waiting
            .front()
            .is_some_and(|next| next.work.change == group[0].work.change)
        {
            group.extend(waiting.pop_front());
        }
        let result = tokio::select! {
            result = change(connection, &group) => result,
            () = inbox.closed() => Err(Broken::Ended(ended(inbox))),
        };
        if result.is_err() {
            group.extend(waiting.drain(..));
        }
        if result.is_ok() && group[0].work.change == Change::Unsubscribe {
            tokio::spawn(answer_when_passed(Arc::clone(inbox), group));
            continue;
        }
        for request in group {
            // The link ends with an error, and with it whatever was subscribed: nothing has been done.
            let answer = result
                .as_ref()
                .map_err(|broken| ShardError::Unavailable(broken.words()));
            request.answer(answer.copied());
        }
        result?;
    }
    Ok(())
}

/// Answers UNSUBSCRIBEs that the server has acknowledged once the router has been handed what came before.
async fn answer_when_passed(inbox: Arc<Inbox<Arrival>>, group: Vec<Request>) {
    let passed = inbox.passed().await;
    for request in group {
        let answer = if passed {
            Ok(())
        } else {
            Err(ShardError::Unavailable(ended(&inbox)))
        };
        request.answer(answer);
    }
}

async fn change(connection: &mut Connection, group: &[Request]) -> Result<(), Broken> {
    let topics: Vec<String> = group
        .iter()
        .flat_map(|request| request.work.topics.iter().cloned())
        .collect();
    let deadline = group.iter().map(|request| request.deadline).min();
    match deadline.map(|deadline| (group[0].work.change, deadline)) {
        Some((Change::Subscribe, deadline)) if !topics.is_empty() => {
            connection.subscribe(&topics, deadline).await
        }
        Some((Change::Unsubscribe, deadline)) if !topics.is_empty() => {
            connection.unsubscribe(&topics, deadline).await
        }
        _ => Ok(()),
    }
}
