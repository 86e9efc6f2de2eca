//! What a wire needs of a transport: messages out, messages in, and how it ended.

use anyhow::Result;
use campanile_common::Bytes;

use super::streams::Streams;
use super::websocket::WebSocket;

/// A connection over one of the transports.
pub(super) enum Link {
    WebSocket(Box<WebSocket>),
    Streams(Box<Streams>),
}

/// What a connection brings.
pub(super) enum Received {
    /// One or more whole messages, and which way they came.
    Messages(Bytes, Way),
    /// The end; nothing comes after it.
    Closed(Closed),
}

/// Which way something came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// With everything else: in a WebSocket frame, or on the control stream.
    Control,
    /// On the stream of the subscription with this id.
    Stream(u64),
    /// As a datagram of the subscription with this id, with this number.
    Datagram(u64, u64),
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// The code of the close frame, or of the closed QUIC connection; 0 when the connection ended without one.
    pub code: u32,
    /// The reason that came with it.
    pub reason: String,
}

impl Link {
    /// Sends text: one or more messages in JSON, or what pretends to be that.
    pub(super) async fn send_text(&mut self, text: &[u8]) -> Result<()> {
        match self {
            Self::WebSocket(socket) => socket.send_text(text).await,
            Self::Streams(streams) => streams.send(&[text, b"\n"].concat()).await,
        }
    }

    /// Sends bytes: one or more messages with their lengths, or what pretends to be that.
    pub(super) async fn send_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        match self {
            Self::WebSocket(socket) => socket.send_bytes(bytes).await,
            Self::Streams(streams) => streams.send(bytes).await,
        }
    }

    /// Ends what this side has to say, where a transport lets one side do that alone.
    pub(super) async fn finish(&mut self) {
        if let Self::Streams(streams) = self {
            streams.finish().await;
        }
    }

    /// The next that comes. Nothing is lost when this is given up halfway.
    pub(super) async fn receive(&mut self) -> Result<Received> {
        match self {
            Self::WebSocket(socket) => Ok(socket.receive().await),
            Self::Streams(streams) => streams.receive().await,
        }
    }
}

impl Closed {
    /// An end without a code.
    pub(super) fn without_code(reason: &impl ToString) -> Self {
        Self {
            code: 0,
            reason: reason.to_string(),
        }
    }
}
