//! The Pub/Sub connection: notifications of changes, and messages between gateways.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use metrics::Counter;
use redis::Msg;
use redis::aio::{PubSubSink, PubSubStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::debug;

use super::Way;
use super::backoff::Backoff;
use super::keys::Keys;
use crate::store::{GatewayId, messages_dropped};

/// How often a quiet connection is asked whether it is still there.
const PING_EVERY: Duration = Duration::from_secs(2);

/// Asks for the messages to one gateway.
#[derive(Debug)]
pub(super) struct Listen {
    pub(super) gateway: GatewayId,
    pub(super) sender: mpsc::Sender<Bytes>,
    /// Told when the server has acknowledged the subscription.
    pub(super) done: oneshot::Sender<()>,
}

/// Keeps the Pub/Sub connection and hands out what it brings.
#[derive(Debug)]
pub(super) struct Subscriber {
    way: Way,
    keys: Keys,
    changes: watch::Sender<u64>,
    listeners: Vec<Listener>,
    dropped: Counter,
}

#[derive(Debug)]
struct Listener {
    channel: Arc<str>,
    sender: mpsc::Sender<Bytes>,
}

/// The connection is of no more use, for this reason.
struct Broken(String);

impl Subscriber {
    pub(super) fn new(way: Way, keys: Keys, changes: watch::Sender<u64>) -> Self {
        let dropped = messages_dropped();
        Self {
            way,
            keys,
            changes,
            listeners: Vec::new(),
            dropped,
        }
    }

    /// Connects again and again until nobody can ask to listen any more.
    pub(super) async fn run(mut self, mut requests: mpsc::Receiver<Listen>) {
        let mut backoff = Backoff::new();
        loop {
            match self.connect().await {
                Ok((sink, stream)) => {
                    backoff.reset();
                    match self.serve(sink, stream, &mut requests).await {
                        Ok(()) => return,
                        Err(Broken(error)) => debug!(error, "lost the store's notifications"),
                    }
                }
                Err(Broken(error)) => debug!(error, "no notifications from the store"),
            }
            tokio::select! {
                () = backoff.wait() => {}
                () = self.way.taken_over() => {}
            }
        }
    }

    /// Connects and subscribes all that is wanted so far.
    async fn connect(&mut self) -> Result<(PubSubSink, PubSubStream), Broken> {
        self.listeners.retain(|listener| !listener.sender.is_closed());
        self.way.takeovers.mark_unchanged();
        let connecting = timeout(self.way.timeout, self.way.dialer.pubsub()).await;
        let connected = connecting.map_err(|_| late())?.map_err(Broken)?;
        let (mut sink, stream) = connected.split();
        let mut channels = vec![self.keys.changes.as_str(), self.keys.messages.as_str()];
        channels.extend(self.listeners.iter().map(|listener| &*listener.channel));
        self.in_time(sink.subscribe(channels)).await?;
        // Notifications may have been missed while there was no connection.
        self.wake();
        Ok((sink, stream))
    }

    /// Hands out what arrives until the connection breaks; `Ok` when the store is closed.
    async fn serve(
        &mut self,
        mut sink: PubSubSink,
        mut stream: PubSubStream,
        requests: &mut mpsc::Receiver<Listen>,
    ) -> Result<(), Broken> {
        let mut pings = interval(PING_EVERY);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                message = stream.next() => {
                    let message = message.ok_or_else(|| Broken("closed by the server".to_owned()))?;
                    self.dispatch(&message);
                }
                request = requests.recv() => {
                    let Some(request) = request else { return Ok(()) };
                    self.listen(&mut sink, request).await?;
                }
                () = self.way.taken_over() => return Err(Broken("another server has taken over".to_owned())),
                _ = pings.tick() => self.in_time(sink.ping::<redis::Value>()).await.map(drop)?,
            }
        }
    }

    async fn listen(&mut self, sink: &mut PubSubSink, request: Listen) -> Result<(), Broken> {
        let channel: Arc<str> = self.keys.messages_to(&request.gateway).into();
        self.listeners.retain(|listener| !listener.sender.is_closed());
        // Listed first: should the connection break now, the next one subscribes it.
        self.listeners.push(Listener {
            channel: Arc::clone(&channel),
            sender: request.sender,
        });
        self.in_time(sink.subscribe(&*channel)).await?;
        // Whoever has stopped waiting has dropped the receiver too; the next look takes it off the list.
        let _ = request.done.send(());
        Ok(())
    }

    fn dispatch(&self, message: &Msg) {
        let channel = message.get_channel_name();
        if channel == self.keys.changes {
            return self.wake();
        }
        let payload = Bytes::copy_from_slice(message.get_payload_bytes());
        let to_all = channel == self.keys.messages;
        let addressed = self
            .listeners
            .iter()
            .filter(|listener| to_all || *listener.channel == *channel);
        for listener in addressed {
            if listener.sender.try_send(payload.clone()).is_err() {
                self.dropped.increment(1);
            }
        }
    }

    fn wake(&self) {
        self.changes.send_modify(|wakes| *wakes += 1);
    }

    async fn in_time<T>(&self, answer: impl Future<Output = redis::RedisResult<T>>) -> Result<T, Broken> {
        match timeout(self.way.timeout, answer).await {
            Ok(answer) => answer.map_err(|error| Broken(error.to_string())),
            Err(_) => Err(late()),
        }
    }
}

fn late() -> Broken {
    Broken("no answer in time".to_owned())
}
