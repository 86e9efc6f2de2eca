//! Events on their way to those who read them.
//!
//! A reader has a queue of its own, with a limit in bytes. When it is full the *oldest* events make room, and the reader is
//! told how many it has missed, and since when. It was considered to let the client wait for its slowest reader instead; but
//! then one forgotten stream would silence all subscriptions and in the end cost the connection, and the server would have
//! the longer queue. A channel with a stream can be read up with its history; one without has no use for old news.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use campanile_common::Position;
use futures_util::Stream;
use parking_lot::Mutex;

use crate::{Client, ClientEvent, Lagged, Subscription, SubscriptionEvent};

/// What a queue must know of events.
pub(crate) trait Event: Clone {
    /// Bytes of payload.
    fn payload(&self) -> usize;
    /// Moves the position to where it is after this event.
    fn advance(&self, position: &mut Option<Position>);
    /// The event in place of those that are missing.
    fn lagged(missed: u64, since: Option<Position>) -> Self;
}

impl Event for SubscriptionEvent {
    fn payload(&self) -> usize {
        match self {
            Self::Publication(publication) => publication.data.len(),
            Self::Subscribed(subscribed) => subscribed.data.len(),
            Self::Join(info) | Self::Leave(info) => info.conn_info.len() + info.chan_info.len(),
            _ => 0,
        }
    }

    fn advance(&self, position: &mut Option<Position>) {
        match self {
            Self::Subscribed(subscribed) => position.clone_from(&subscribed.position),
            Self::Publication(publication) => {
                if let (Some(position), Some(offset)) = (position, publication.offset) {
                    position.offset = offset.into();
                }
            }
            _ => {}
        }
    }

    fn lagged(missed: u64, since: Option<Position>) -> Self {
        Self::Lagged(Lagged { missed, since })
    }
}

impl Event for ClientEvent {
    fn payload(&self) -> usize {
        match self {
            Self::Message(data) => data.len(),
            Self::Connected(connected) => connected.data.len(),
            Self::ServerSide { channel, event } => channel.len() + event.payload(),
            _ => 0,
        }
    }

    fn advance(&self, _: &mut Option<Position>) {}

    fn lagged(missed: u64, _: Option<Position>) -> Self {
        Self::Lagged(missed)
    }
}

/// One reader's queue.
pub(crate) struct Queue<E>(Mutex<Inner<E>>);

struct Inner<E> {
    events: VecDeque<E>,
    bytes: usize,
    limit: usize,
    /// Events that were dropped and that the reader does not know of.
    missed: u64,
    /// Where the reader is.
    position: Option<Position>,
    waker: Option<Waker>,
    ended: bool,
}

/// What an event costs besides its payload: itself and its place in the queue.
fn weight<E: Event>(event: &E) -> usize {
    size_of::<E>() + event.payload()
}

impl<E: Event> Queue<E> {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Inner {
            events: VecDeque::new(),
            bytes: 0,
            limit,
            missed: 0,
            position: None,
            waker: None,
            ended: false,
        })))
    }

    /// Adds an event. It always finds room.
    pub(crate) fn push(&self, event: E) {
        let mut inner = self.0.lock();
        inner.bytes += weight(&event);
        inner.events.push_back(event);
        while inner.bytes > inner.limit && inner.events.len() > 1 {
            if let Some(oldest) = inner.events.pop_front() {
                inner.bytes -= weight(&oldest);
                inner.missed += 1;
            }
        }
        inner.wake();
    }

    /// Nothing follows.
    pub(crate) fn end(&self) {
        let mut inner = self.0.lock();
        inner.ended = true;
        inner.wake();
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<Option<E>> {
        let mut inner = self.0.lock();
        if inner.missed > 0 {
            let missed = std::mem::take(&mut inner.missed);
            return Poll::Ready(Some(E::lagged(missed, inner.position.clone())));
        }
        if let Some(event) = inner.events.pop_front() {
            inner.bytes -= weight(&event);
            event.advance(&mut inner.position);
            return Poll::Ready(Some(event));
        }
        if inner.ended {
            return Poll::Ready(None);
        }
        inner.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl<E> Inner<E> {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

macro_rules! event_stream {
    ($(#[$meta:meta])* $name:ident of $owner:ident: $event:ident) => {
        $(#[$meta])*
        #[must_use = "a stream that is not read only takes memory"]
        pub struct $name {
            queue: Arc<Queue<$event>>,
            /// Keeps alive what it tells of.
            _owner: $owner,
        }

        impl $name {
            pub(crate) fn new(queue: Arc<Queue<$event>>, owner: $owner) -> Self {
                Self { queue, _owner: owner }
            }

            /// The next event; `None` after the runtime of the client has been shut down. The same as
            /// `StreamExt::next`, for those who do not need the other methods of streams.
            ///
            /// Cancel safe: no event is lost when the future is dropped.
            pub async fn recv(&mut self) -> Option<$event> {
                std::future::poll_fn(|cx| self.queue.poll(cx)).await
            }
        }

        impl Stream for $name {
            type Item = $event;

            fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
                self.queue.poll(cx)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    };
}

event_stream! {
    /// What happens to a client, from when [`Client::events`] was called on. A stream.
    ///
    /// A reader that is too slow misses the oldest events and is told so: [`ClientEvent::Lagged`].
    ClientEvents of Client: ClientEvent
}

event_stream! {
    /// What happens to a subscription, from when [`Subscription::events`] was called on. A stream.
    ///
    /// A reader that is too slow misses the oldest events and is told so: [`SubscriptionEvent::Lagged`].
    SubscriptionEvents of Subscription: SubscriptionEvent
}
