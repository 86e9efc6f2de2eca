//! One open connection of a load client: what it has asked for, what it has to say, and what it reads.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use campanile_client::Closed;
use campanile_client::transport::{Dial, DialContext, Incoming, Transport};
use campanile_common::Codec;
use campanile_common::message::{Command, ConnectRequest, ConnectResult, Push, Reply, Request};
use tokio::time::Instant;

use crate::Failure;

/// Messages that are read before others get their turn on the thread.
const AT_ONCE: usize = 64;

/// What came.
#[derive(Debug)]
pub(crate) enum Event<A> {
    /// The answer to what was asked.
    Answer(A, Reply),
    /// Something happened; in a subscription's own lane if it has a number.
    Push(Push, Option<u64>),
}

/// An open connection. `A` says what a command was for.
pub(crate) struct Connection<A> {
    transport: Box<dyn Transport>,
    last_id: u32,
    /// What has no answer yet, the oldest first.
    asked: VecDeque<(u32, A)>,
    /// Commands that wait to be sent, as one frame.
    out: Vec<u8>,
    unflushed: bool,
    /// Whether pings are answered.
    pongs: bool,
    /// How often the server pings, if it wants answers.
    pings: Option<Duration>,
    /// Messages read since this task last let others have their turn.
    read: usize,
}

impl<A> Connection<A> {
    /// Opens a connection and connects with `token`, or gives up at the deadline.
    pub(crate) async fn open(
        dialer: &dyn Dial,
        codec: Codec,
        token: String,
        deadline: Instant,
    ) -> Result<Self, ConnectError> {
        let request = ConnectRequest {
            token,
            name: "campanile-bench".to_owned(),
            ..ConnectRequest::default()
        };
        let first = codec.encode_command(&Command::new(1, request));
        let context = DialContext::new(codec, deadline).with_first(first);
        let transport = dialer
            .dial(context)
            .await
            .map_err(|error| ConnectError::Open(chain(&error)))?;
        let mut this = Self::over(transport);
        match tokio::time::timeout_at(deadline, this.connected()).await {
            Ok(Ok(result)) => {
                this.pongs = result.pong;
                this.pings = result.pong.then(|| Duration::from_secs(result.ping.into()));
            }
            Ok(Err(error)) => return Err(error),
            Err(_) => return Err(ConnectError::Open("no answer to connect in time".to_owned())),
        }
        Ok(this)
    }

    /// Over a transport that has the first command.
    fn over(transport: Box<dyn Transport>) -> Self {
        Self {
            transport,
            last_id: 1,
            asked: VecDeque::new(),
            out: Vec::new(),
            unflushed: true,
            pongs: false,
            pings: None,
            read: 0,
        }
    }

    /// Sends a command with the next number, as soon as there is room.
    pub(crate) fn ask(&mut self, request: impl Into<Request>, asked: A) {
        self.last_id += 1;
        let command = Command::new(self.last_id, request);
        self.asked.push_back((self.last_id, asked));
        let encoded = self.transport.codec().encode_command(&command);
        self.out.extend_from_slice(&encoded);
    }

    /// How often the server pings and wants an answer; `None`: it wants none.
    pub(crate) const fn pings(&self) -> Option<Duration> {
        self.pings
    }

    /// Answers no pings from now on.
    pub(crate) const fn mute(&mut self) {
        self.pongs = false;
    }

    /// How many commands have no answer yet.
    pub(crate) fn waiting(&self) -> usize {
        self.asked.len()
    }

    /// Bytes that wait until the network takes them.
    pub(crate) fn unsent(&self) -> usize {
        self.out.len()
    }

    /// Gives up: what has no answer, and will have none.
    pub(crate) fn into_unanswered(self) -> impl Iterator<Item = A> {
        self.asked.into_iter().map(|(_, asked)| asked)
    }

    /// Says goodbye, as far as the network takes it.
    pub(crate) async fn goodbye(&mut self) {
        poll_fn(|cx| self.transport.poll_close(cx, Closed::LEAVING, "")).await;
    }

    /// Sends what waits, and takes what comes next unless `paused`. Cancel safe.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, paused: bool) -> Poll<Result<Event<A>, Closed>> {
        loop {
            if let Err(closed) = self.poll_write(cx) {
                return Poll::Ready(Err(closed));
            }
            if paused {
                return Poll::Pending;
            }
            if self.read >= AT_ONCE {
                self.read = 0;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let Poll::Ready(incoming) = self.transport.poll_recv(cx) else {
                self.read = 0;
                return Poll::Pending;
            };
            self.read += 1;
            match incoming {
                Err(closed) => return Poll::Ready(Err(closed)),
                Ok(Incoming::Lane { id, push }) => return Poll::Ready(Ok(Event::Push(push, Some(id)))),
                Ok(Incoming::Reply(reply)) => {
                    if let Some(event) = self.event(reply) {
                        return Poll::Ready(Ok(event));
                    }
                }
            }
        }
    }

    /// What a reply is; pings are answered here.
    fn event(&mut self, mut reply: Reply) -> Option<Event<A>> {
        if let Some(push) = reply.push.take() {
            return Some(Event::Push(*push, None));
        }
        // Answers come in the order of the commands, mostly: the first look finds it.
        if let Some(at) = self.asked.iter().position(|(id, _)| *id == reply.id) {
            let (_, asked) = self.asked.remove(at)?;
            return Some(Event::Answer(asked, reply));
        }
        if self.pongs && reply.is_ping() {
            self.out.extend_from_slice(&self.transport.codec().encode_ping());
        }
        None
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Result<(), Closed> {
        if !self.out.is_empty()
            && let Poll::Ready(room) = self.transport.poll_ready(cx)
        {
            room?;
            self.transport
                .start_send(Bytes::from(std::mem::take(&mut self.out)))?;
            self.unflushed = true;
        }
        if self.unflushed
            && let Poll::Ready(flushed) = self.transport.poll_flush(cx)
        {
            flushed?;
            self.unflushed = false;
        }
        Ok(())
    }

    /// Waits for the answer to the first command.
    async fn connected(&mut self) -> Result<ConnectResult, ConnectError> {
        loop {
            let incoming = poll_fn(|cx| {
                if let Err(closed) = self.poll_write(cx) {
                    return Poll::Ready(Err(closed));
                }
                self.transport.poll_recv(cx)
            });
            match incoming.await {
                Err(closed) if closed.reconnects() => return Err(ConnectError::Open(closed.to_string())),
                Err(closed) => return Err(ConnectError::Refused(closed.to_string())),
                Ok(Incoming::Reply(reply)) if reply.id == 1 => {
                    return match (reply.connect, reply.error) {
                        (Some(result), _) => Ok(*result),
                        (None, Some(error)) if error.temporary => Err(ConnectError::Open(error.message)),
                        (None, error) => Err(ConnectError::Refused(error.unwrap_or_default().message)),
                    };
                }
                Ok(_) => {}
            }
        }
    }
}

impl<A> fmt::Debug for Connection<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("asked", &self.asked.len())
            .finish_non_exhaustive()
    }
}

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ConnectError {
    /// Another attempt may succeed.
    #[error("{0}")]
    Open(String),
    /// The server does not want this client.
    #[error("the server refuses to connect a client: {0}")]
    Refused(String),
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        Self::run(error.to_string())
    }
}

/// An error with its reasons.
fn chain(error: &dyn std::error::Error) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
