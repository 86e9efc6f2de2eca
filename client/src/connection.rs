//! One connection to a gateway.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use campanile_common::Codec;
use campanile_common::message::{Command, Push, Reply};
use tokio::time::Instant;
use tracing::{trace, warn};

use crate::inbox::{INBOX_LIMIT, Inbox};
use crate::transport::{Dial, DialContext, Incoming, Transport, TransportKind, WebSocketDialer};
use crate::{Closed, OpenError, RequestError};

/// How long a server may take to open a connection: beyond the patience of anyone who waits for it.
const OPEN_TIMEOUT: Duration = Duration::from_secs(60);

/// One connection to a gateway, over any transport, in one codec.
///
/// What comes in a subscription's own lane is taken for an ordinary push: whoever wants to tell them apart reads the
/// transport.
///
/// Nothing happens in the background: pings are answered while something is being received, so a connection
/// that is never read is closed by the server.
///
/// ```no_run
/// use campanile_client::{Codec, Connection};
/// use campanile_common::message::{ConnectRequest, SubscribeRequest};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let mut connection = Connection::open("ws://localhost:8000/connection/websocket", Codec::Protobuf).await?;
/// connection.connect(ConnectRequest::default()).await?;
/// connection.subscribe(SubscribeRequest { channel: "news".into(), ..Default::default() }).await?;
/// connection.publish("news", r#"{"text":"hello"}"#).await?;
/// let push = connection.next_push().await?;
/// assert_eq!(push.channel, "news");
/// # Ok(())
/// # }
/// ```
pub struct Connection {
    transport: Box<dyn Transport>,
    inbox: Inbox,
    /// The number of the last command.
    last_id: u32,
    answers_pings: bool,
    /// Pings that came and were not answered yet.
    pongs_due: u32,
    /// Once this is there, nothing more is sent or received.
    closed: Option<Closed>,
}

impl Connection {
    /// Opens a WebSocket at `url`, in `codec`. Sends no command yet.
    pub async fn open(url: &str, codec: Codec) -> Result<Self, OpenError> {
        Self::dial(&WebSocketDialer::new(url)?, codec).await
    }

    /// Opens a connection with `dialer`, in `codec`. Sends no command yet.
    pub async fn dial(dialer: &dyn Dial, codec: Codec) -> Result<Self, OpenError> {
        let context = DialContext::new(codec, Instant::now() + OPEN_TIMEOUT);
        Ok(Self::over(dialer.dial(context).await?))
    }

    /// Takes an open connection over.
    #[must_use]
    pub fn over(transport: Box<dyn Transport>) -> Self {
        Self {
            transport,
            inbox: Inbox::default(),
            last_id: 0,
            answers_pings: true,
            pongs_due: 0,
            closed: None,
        }
    }

    /// The codec that was chosen when the connection was opened.
    #[must_use]
    pub fn codec(&self) -> Codec {
        self.transport.codec()
    }

    /// What the connection runs over.
    #[must_use]
    pub fn kind(&self) -> TransportKind {
        self.transport.kind()
    }

    /// Whether the server's pings are answered; they are unless told otherwise.
    pub fn answer_pings(&mut self, answer: bool) {
        self.answers_pings = answer;
    }

    /// Sends a command as it is, with the number that it has, and does not wait for an answer.
    pub async fn send(&mut self, command: &Command) -> Result<(), Closed> {
        let frame = self.codec().encode_command(command);
        self.send_frame(frame).await
    }

    /// Sends a frame of encoded commands, well-formed or not. In the JSON codec it must be UTF-8.
    pub async fn send_frame(&mut self, frame: Bytes) -> Result<(), Closed> {
        poll_fn(|cx| self.poll_room(cx)).await?;
        let sent = self.transport.start_send(frame);
        sent.map_err(|closed| self.end(closed))?;
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// Sends a command with the next number, and waits for its reply, which may be an error reply. What comes
    /// in meanwhile waits in the inbox.
    ///
    /// If the future is dropped, the command may have been sent; its reply will then come into the inbox.
    pub async fn request(&mut self, mut command: Command) -> Result<Reply, Closed> {
        self.last_id += 1;
        let id = self.last_id;
        command.id = id;
        self.send(&command).await?;
        loop {
            let reply = self.read().await?;
            if reply.id == id {
                return Ok(reply);
            }
            self.put(reply)?;
        }
    }

    /// The oldest reply or push that was not taken yet. Cancel safe.
    pub async fn recv(&mut self) -> Result<Reply, Closed> {
        match self.inbox.take() {
            Some(reply) => Ok(reply),
            None => self.read().await,
        }
    }

    /// The oldest push that was not taken yet. Cancel safe.
    pub async fn next_push(&mut self) -> Result<Push, Closed> {
        loop {
            if let Some(push) = self.inbox.take_push() {
                return Ok(push);
            }
            let reply = self.read().await?;
            self.put(reply)?;
        }
    }

    /// Waits until the server closes the connection; what it sends before that is dropped.
    pub async fn closed(&mut self) -> Closed {
        loop {
            if let Err(closed) = self.read().await {
                return closed;
            }
        }
    }

    /// Closes the connection from this side, as a client does that is done.
    pub async fn close(mut self) {
        poll_fn(|cx| self.transport.poll_close(cx, Closed::LEAVING, "")).await;
    }

    /// The next reply off the wire. State that must outlive a dropped future is in `self` before each await.
    async fn read(&mut self) -> Result<Reply, Closed> {
        loop {
            self.answer_due_pings().await?;
            let reply = poll_fn(|cx| self.poll_read(cx)).await?;
            if !reply.is_ping() {
                return Ok(reply);
            }
            trace!("ping");
            self.pongs_due += u32::from(self.answers_pings);
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Reply, Closed>> {
        if let Some(closed) = &self.closed {
            return Poll::Ready(Err(closed.clone()));
        }
        let received = ready!(self.transport.poll_recv(cx));
        Poll::Ready(match received {
            Ok(Incoming::Reply(reply)) => Ok(reply),
            Ok(Incoming::Lane { push, .. }) => Ok(Reply::push(push)),
            Err(closed) => Err(self.end(closed)),
        })
    }

    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        if let Some(closed) = &self.closed {
            return Poll::Ready(Err(closed.clone()));
        }
        let room = ready!(self.transport.poll_ready(cx));
        Poll::Ready(room.map_err(|closed| self.end(closed)))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        let flushed = ready!(self.transport.poll_flush(cx));
        Poll::Ready(flushed.map_err(|closed| self.end(closed)))
    }

    async fn answer_due_pings(&mut self) -> Result<(), Closed> {
        while self.pongs_due > 0 {
            self.send_frame(self.codec().encode_ping()).await?;
            self.pongs_due -= 1;
        }
        Ok(())
    }

    fn put(&mut self, reply: Reply) -> Result<(), Closed> {
        self.inbox.put(reply).map_err(|_| {
            warn!(limit = INBOX_LIMIT, "inbox full: connection given up");
            self.end(Closed::new(Closed::INBOX_FULL, "inbox full"))
        })
    }

    /// Notes the end. The first reason stands: what fails after a close frame fails because of it.
    fn end(&mut self, closed: Closed) -> Closed {
        self.closed.get_or_insert(closed).clone()
    }
}

/// The answer in a reply: `field` takes it out.
pub(crate) fn answer<T>(reply: Reply, field: impl FnOnce(Reply) -> Option<T>) -> Result<T, RequestError> {
    match reply.error {
        Some(error) => Err(RequestError::Refused(*error)),
        None => field(reply).ok_or(RequestError::Unexpected),
    }
}

#[cfg(test)]
mod tests;
