//! What carries commands to a server and replies back, whatever it is.
//!
//! A [`Transport`] is one open connection. It knows how messages lie in its bytes and how it ends, and nothing of what
//! they mean. [`Dial`] opens one. Both are made to be implemented outside this crate, too.
//!
//! - [`WebSocketDialer`]: WebSocket over HTTP/1.1, over TLS or without.
//! - [`QuicDialer`]: the native protocol over QUIC.
//! - [`Race`]: whichever of several opens first.
//! - [`dialer`]: from addresses as people write them to one of these.

mod addresses;
mod quic;
mod race;
mod url;
mod websocket;

pub use quic::{QuicDialer, QuicStats};
pub use race::Race;
pub use url::{DialOptions, dialer};
pub use websocket::WebSocketDialer;
#[cfg(test)]
pub(crate) use websocket::testing;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use campanile_common::Codec;
use campanile_common::message::{Push, Reply};
use tokio::time::Instant;

use crate::{Closed, OpenError};

/// One open connection to a server.
///
/// Nothing here blocks. After an error of any method the connection is of no use any more: it is dropped, and the first
/// error says why it ended.
pub trait Transport: Send + 'static {
    /// What came next. Messages of one origin (the connection itself, or one subscription's lane) are in the order in
    /// which the server sent them.
    ///
    /// Not polling it makes the server wait, as far as the network allows that; it is also what moves the transport's own
    /// work on (answers to what the network asks), so a connection in use is polled.
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Incoming, Closed>>;

    /// Ready when there is room for another command.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Closed>>;

    /// Takes one encoded command, or several joined as the codec allows it. Only after
    /// [`poll_ready`](Self::poll_ready) has said that there is room. It need not be sent before
    /// [`poll_flush`](Self::poll_flush) is called.
    fn start_send(&mut self, commands: Bytes) -> Result<(), Closed>;

    /// Goes on sending; ready once everything was handed to the network.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Closed>>;

    /// Ends the connection and tells the server why, as far as that is possible; ready when nothing more can be done for
    /// that. The first call decides about `code` and `reason`. [`Closed::LEAVING`] says that this side is done, for no
    /// reason of the protocol.
    ///
    /// It may take as long as the network does: the caller bounds the wait. Dropping the transport ends it, too, without
    /// a word where there was no close before.
    fn poll_close(&mut self, cx: &mut Context<'_>, code: u32, reason: &str) -> Poll<()>;

    /// The codec that was chosen when the connection was opened.
    fn codec(&self) -> Codec;

    /// What it is.
    fn kind(&self) -> TransportKind;
}

/// What a transport received.
#[derive(Clone, Debug, PartialEq)]
pub enum Incoming {
    /// A reply, or a push that belongs in the order of replies.
    Reply(Reply),
    /// A push of one subscription, from a stream or a datagram of its own. It may overtake the answer to the
    /// subscription's request, and be overtaken by its end.
    Lane {
        /// The subscription's number: [`SubscribeResult::id`](campanile_common::message::SubscribeResult::id).
        id: u64,
        /// What happened.
        push: Push,
    },
}

/// A kind of transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TransportKind {
    /// WebSocket.
    WebSocket,
    /// The native protocol over QUIC.
    Quic,
    /// Another one, from outside this crate, by its name.
    Other(&'static str),
}

impl TransportKind {
    /// The name, as the server's logs and metrics have it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::Quic => "quic",
            Self::Other(name) => name,
        }
    }
}

/// Opens connections to one server, or to one of several.
///
/// A dialer is kept as long as connections may be needed: it may remember what makes the next one faster.
pub trait Dial: Send + Sync + 'static {
    /// Opens a connection. Dropping the future gives the attempt up.
    fn dial(&self, context: DialContext) -> Dialing<'_>;
}

impl<D: Dial + ?Sized> Dial for Arc<D> {
    fn dial(&self, context: DialContext) -> Dialing<'_> {
        D::dial(self, context)
    }
}

/// A connection that is being opened.
pub type Dialing<'a> = Pin<Box<dyn Future<Output = Result<Box<dyn Transport>, OpenError>> + Send + 'a>>;

/// What a dialer must know.
#[derive(Clone, Debug)]
pub struct DialContext {
    /// The codec of the connection.
    pub codec: Codec,
    /// When to give up, with [`OpenError::Timeout`].
    pub deadline: Instant,
    /// The first command (`connect`), encoded. The transport that comes back has taken it already: it goes out with the
    /// next flush, or has been sent as early data. Its sender may not rely on its being carried out once only.
    pub first: Option<Bytes>,
}

impl DialContext {
    /// To connect with `codec` until `deadline`, without a first command.
    #[must_use]
    pub const fn new(codec: Codec, deadline: Instant) -> Self {
        Self {
            codec,
            deadline,
            first: None,
        }
    }

    /// With the first command.
    #[must_use]
    pub fn with_first(mut self, command: Bytes) -> Self {
        self.first = Some(command);
        self
    }
}

/// What `open` comes to, unless the deadline comes first.
pub(crate) async fn until<T>(
    deadline: Instant,
    open: impl Future<Output = Result<T, OpenError>>,
) -> Result<T, OpenError> {
    match tokio::time::timeout_at(deadline, open).await {
        Ok(outcome) => outcome,
        Err(_) => Err(OpenError::Timeout),
    }
}
