//! The task of one client.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::{Duration, Instant};

use campanile_client::transport::Dial;
use campanile_client::{Closed, RequestError};
use campanile_common::message::{Push, Reply, SubscribeRequest};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::connection::{ConnectError, Connection, Event};
use super::live::{Asked, Live};
use super::status::Status;
use super::{Ended, Listener, Next, Order};
use crate::Failure;
use crate::pace::until;
use crate::run::Run;

/// How long the server may take to open a connection.
const PATIENCE: Duration = Duration::from_secs(30);

/// Between the attempts of a client that wants to connect, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// A client.
pub(super) struct Task<L> {
    pub(super) number: usize,
    pub(super) run: Run,
    pub(super) dialer: Arc<dyn Dial>,
    pub(super) listener: L,
    pub(super) orders: mpsc::Receiver<Order>,
    pub(super) status: Arc<Status>,
    /// Whether it has been ready once.
    pub(super) arrived: bool,
    pub(super) closed: Option<Closed>,
}

/// What a client does next.
enum Then {
    /// It connects; the attempt is meant for this time.
    Connect(Instant),
    /// It waits for an order.
    Wait,
    /// It is done.
    Leave,
}

impl<L: Listener> Task<L> {
    /// Lives until it is told to leave. The first attempt to connect is meant for `intended`.
    pub(super) async fn live(mut self, intended: Instant) -> Ended<L> {
        let mut then = Then::Connect(intended);
        let mut connected = false;
        loop {
            then = match then {
                Then::Connect(intended) => {
                    let live = self.connect(intended).await;
                    connected = live.is_some();
                    match live {
                        Some(live) => self.serve(live).await,
                        None => Then::Leave,
                    }
                }
                Then::Wait => {
                    connected = false;
                    self.wait().await
                }
                Then::Leave => break,
            }
        }
        Ended {
            number: self.number,
            listener: self.listener,
            connected,
            closed: self.closed,
        }
    }

    /// Tries until it is connected; `None` if it is told to leave before.
    async fn connect(&mut self, intended: Instant) -> Option<Live> {
        let mut retry = RETRY.0;
        loop {
            let attempt = Connection::open(
                &*self.dialer,
                self.run.target().codec.into(),
                self.run.target().token(self.number),
                tokio::time::Instant::now() + PATIENCE,
            );
            match attempt.await {
                Ok(connection) => {
                    self.run.latency("connect", intended.elapsed());
                    return Some(self.begin(connection, intended));
                }
                Err(error) => self.failed(error),
            }
            let wake = sleep(retry);
            tokio::pin!(wake);
            loop {
                tokio::select! {
                    () = &mut wake => break,
                    order = self.orders.recv() => match order {
                        None | Some(Order::Leave) => return None,
                        Some(other) => refuse(other),
                    }
                }
            }
            retry = (2 * retry).min(RETRY.1);
        }
    }

    fn failed(&mut self, error: ConnectError) {
        self.run.total("connect_failed", 1);
        self.status.failed(error);
    }

    /// Subscribes to whatever the listener wants.
    fn begin(&mut self, connection: Connection<Asked>, intended: Instant) -> Live {
        self.listener.connected(connection.pings());
        let mut live = Live::new(connection, intended, self.listener.subscriptions());
        self.check_ready(&mut live);
        live
    }

    fn check_ready(&mut self, live: &mut Live) {
        if live.is_complete() && !live.ready {
            live.ready = true;
            let took = live.intended.elapsed();
            self.run.latency("ready", took);
            self.listener.ready(took);
            self.status.ready(!std::mem::replace(&mut self.arrived, true));
        }
    }

    /// As long as the connection is there.
    async fn serve(&mut self, mut live: Live) -> Then {
        let then = loop {
            let again = live.again();
            tokio::select! {
                biased;
                order = self.orders.recv() => match order {
                    None | Some(Order::Leave) => break Then::Leave,
                    Some(Order::Break) => break Then::Wait,
                    Some(order) => live.obey(order),
                },
                () = until(again) => live.subscribe(),
                event = poll_fn(|cx| live.connection.poll(cx, live.paused)) => match event {
                    Ok(Event::Answer(asked, reply)) => self.answer(asked, reply, &mut live),
                    Ok(Event::Push(push, lane)) => self.push(&push, lane, &live),
                    Err(closed) => break self.closed(closed),
                },
            }
        };
        self.end(live, matches!(then, Then::Leave)).await;
        then
    }

    /// Ends what there is of a connection, with a goodbye if that is how the client `leaves`.
    async fn end(&mut self, mut live: Live, leaves: bool) {
        if live.ready {
            self.status.left();
        }
        if leaves {
            // Who cannot be told goodbye sees that nobody is there any more.
            let _ = timeout(GOODBYE, live.connection.goodbye()).await;
        }
        for asked in live.connection.into_unanswered() {
            if let Asked::Publish(answer) = asked {
                // The publisher may have given up.
                let _ = answer.send(Err(RequestError::Closed(
                    self.closed.clone().unwrap_or_else(left),
                )));
            }
        }
    }

    /// Without a connection, until an order changes that.
    async fn wait(&mut self) -> Then {
        loop {
            match self.orders.recv().await {
                None | Some(Order::Leave) => return Then::Leave,
                Some(Order::Return) => return Then::Connect(Instant::now()),
                Some(order) => refuse(order),
            }
        }
    }

    fn closed(&mut self, closed: Closed) -> Then {
        let next = self.listener.closed(&closed);
        self.closed = Some(closed);
        match next {
            Next::Return => Then::Connect(Instant::now()),
            Next::Stay => Then::Wait,
        }
    }

    fn answer(&mut self, asked: Asked, reply: Reply, live: &mut Live) {
        match asked {
            Asked::Publish(answer) => {
                let result = match (reply.publish, reply.error) {
                    (Some(result), _) => Ok(result),
                    (None, Some(error)) => Err(RequestError::Refused(*error)),
                    (None, None) => Err(RequestError::Unexpected),
                };
                // The publisher may have given up.
                let _ = answer.send(result);
            }
            Asked::Subscribe(request) => self.subscribed(*request, reply, live),
        }
    }

    /// A subscription was answered. What is refused for now is asked for again, as SDKs do; what is refused for good fails
    /// everything while clients arrive, and is the listener's business later.
    fn subscribed(&mut self, request: SubscribeRequest, reply: Reply, live: &mut Live) {
        let error = reply.error.unwrap_or_default();
        let result = reply.subscribe.as_deref().ok_or(&*error);
        self.listener.subscribed(&request.channel, result);
        if let Ok(result) = result {
            live.settled(request.channel, result.id);
        } else {
            let text = format!(
                "the server refuses a subscription to {:?}: {}",
                request.channel, error.message
            );
            if error.temporary {
                self.run.total("subscribe_again", 1);
                self.status.trouble_is(text);
                return live.refused_for_now(request);
            }
            if !self.arrived {
                self.status.refuse(Failure::run(text));
            }
            live.settled(request.channel, 0);
        }
        self.check_ready(live);
    }

    fn push(&mut self, push: &Push, lane: Option<u64>, live: &Live) {
        let mut channel = push.channel.as_str();
        if channel.is_empty()
            && let Some(id) = lane.or_else(|| u64::try_from(push.id).ok())
            && let Some(name) = live.channel_of(id)
        {
            channel = name;
        }
        if let Some(publication) = &push.publication {
            self.listener.delivered(channel, publication);
        } else if let Some(unsubscribe) = &push.unsubscribe {
            self.listener.unsubscribed(channel, unsubscribe.code);
        }
    }
}

/// What is ordered of a client without a connection does not happen.
fn refuse(order: Order) {
    if let Order::Publish { answer, .. } = order {
        // The publisher may have given up.
        let _ = answer.send(Err(RequestError::Disconnected));
    }
}

fn left() -> Closed {
    Closed::new(Closed::LEAVING, "")
}
