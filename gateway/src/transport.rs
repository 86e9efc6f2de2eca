//! Transports: bytes of a network into frames, and back.
//!
//! A transport knows how frames lie in its bytes, how fast it may write, and how its connections end. It knows
//! nothing of commands: what is in a frame is the codec's business, what it means the session's.
//!
//! * [`websocket`]: WebSocket over HTTP/1.1.
//! * [`quic`]: native QUIC, on a connection that the [UDP port](crate::udp) has accepted.
//! * [`stream`]: messages on a stream of bytes: native QUIC's control stream, WebTransport's one stream.
//! * [`webtransport`]: WebTransport over HTTP/3.
//! * [`origin`]: which web pages may connect; [`query`]: what the URL says.
//! * `scratch`: the one buffer of a thread that all connections read into and small writes are put together in.

pub mod origin;
pub mod query;
pub mod quic;
mod scratch;
pub mod stream;
pub mod websocket;
pub mod webtransport;

use std::future::Future;
use std::io;
use std::task::{Context, Poll};

use bytes::Bytes;
use campanile_common::Disconnect;

use crate::connection::outbound::Outbound;

/// Bytes that go out in one write at most, if there is more than one piece: large enough that the cost of a system
/// call no longer shows, small enough that a client on a slow line gets whole messages now and then.
pub const MAX_BATCH_BYTES: usize = 64 * 1024;

/// Pieces that go out in one write at most; each costs 16 bytes of stack while it is written.
pub const MAX_BATCH_PIECES: usize = 128;

/// One client's connection, as its driver sees it. Nothing here blocks, and an idle connection holds no buffers.
pub trait Transport: Send + Unpin + 'static {
    /// The next frame of commands. After an [`End`] there are no more.
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, End>>;

    /// Begins to send `batch`, which is drained: pieces that the codec allows to be joined to a frame, not more than
    /// [`MAX_BATCH_PIECES`]. Only after [`poll_flush`](Self::poll_flush) has said that there is room.
    fn start_send(&mut self, cx: &mut Context<'_>, batch: &mut Vec<Bytes>) -> Result<(), End>;

    /// Goes on sending; ready once everything is sent.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), End>>;

    /// On which ways it can send beside the one that all transports have; the same from the beginning to the end.
    fn takes(&self) -> Takes {
        Takes::default()
    }

    /// Sends what goes on other ways than behind the replies, as fast as each of them takes it. Ready only if the
    /// connection carries nothing any more. Transports of a single stream have nothing to do here.
    fn poll_lanes(&mut self, _cx: &mut Context<'_>, _outbound: &Outbound) -> Poll<End> {
        Poll::Pending
    }

    /// Ends the connection and, as far as the client still listens, tells it why. Takes a bounded time.
    fn close(self, farewell: Farewell) -> impl Future<Output = ()> + Send;
}

/// On which ways a client takes what is sent to it, beside the one stream that every transport has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Takes {
    /// Streams for single subscriptions.
    pub lanes: bool,
    /// Datagrams.
    pub datagrams: bool,
}

/// A kind of transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TransportKind {
    /// WebSocket.
    WebSocket,
    /// Native QUIC.
    Quic,
    /// WebTransport over HTTP/3.
    WebTransport,
}

impl TransportKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::WebSocket, Self::Quic, Self::WebTransport];

    /// The name that proxies and logs are told; the value of a metric's label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::Quic => "quic",
            Self::WebTransport => "webtransport",
        }
    }

    /// The position of this kind in [`TransportKind::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// Why a transport carries no more frames.
#[derive(Debug, thiserror::Error)]
pub enum End {
    /// The client said goodbye.
    #[error("the client closed the connection")]
    Closed,
    /// The connection broke, or the client left without a word.
    #[error("the connection is gone")]
    Gone(#[source] Option<io::Error>),
    /// The client takes nothing of what is sent to it.
    #[error("the client did not take what was written in time")]
    WriteTimeout,
    /// The client broke the rules of the transport.
    #[error("the client broke the rules of the transport")]
    Violation(#[source] Violation),
}

impl End {
    /// The end that an error of the socket means.
    #[must_use]
    pub fn of_error(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut => Self::WriteTimeout,
            _ => Self::Gone(Some(error)),
        }
    }
}

/// How a client broke the rules of its transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Violation {
    /// Those of WebSocket.
    #[error(transparent)]
    WebSocket(#[from] websocket::Violation),
    /// Those of a stream of messages.
    #[error(transparent)]
    Stream(#[from] stream::Violation),
}

/// What a client is told at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Farewell {
    /// Nothing: the connection is of no use any more.
    Nothing,
    /// Its own goodbye is returned.
    Echo,
    /// The protocol's code and reason.
    Disconnect(Disconnect),
    /// The transport's own code, or that of a bad request.
    Violation(Violation),
}
