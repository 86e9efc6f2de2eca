//! The connection below a native client's stream.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use campanile_common::Codec;
use quinn::{Connection, ConnectionError, RecvStream, SendStream, VarInt, ZeroRttAccepted};

use super::LaneStreams;
use crate::connection::counters::LaneCounters;
use crate::connection::outbound::Outbound;
use crate::transport::stream::{Carrier, Violation};
use crate::transport::{End, Takes};

/// A QUIC connection that carries one stream of messages.
pub struct NativeCarrier {
    connection: Connection,
    /// Until the handshake is done.
    handshake: Option<ZeroRttAccepted>,
    /// Done when the client opens another stream.
    second_stream: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// What it carries beside the stream, for clients that take it.
    lanes: Option<Box<LaneStreams>>,
}

impl NativeCarrier {
    /// `connection`, whose first stream was accepted already, and what tells when its handshake is done.
    #[must_use]
    pub fn new(connection: Connection, handshake: ZeroRttAccepted) -> Self {
        Self {
            second_stream: Box::pin(second_stream(connection.clone())),
            handshake: Some(handshake),
            lanes: None,
            connection,
        }
    }

    /// The same for a client that takes `takes`, in `codec`.
    #[must_use]
    pub fn with_lanes(self, takes: Takes, codec: Codec, counters: Arc<LaneCounters>) -> Self {
        let lanes = || Box::new(LaneStreams::new(self.connection.clone(), codec, takes, counters));
        let lanes = (takes != Takes::default()).then(lanes);
        Self { lanes, ..self }
    }
}

/// Waits until the client opens a stream. There is no way to take back that it may open a few, because when they are
/// granted it is not known yet whether it speaks HTTP/3, which needs them.
async fn second_stream(connection: Connection) {
    let opened = tokio::select! {
        opened = connection.accept_bi() => opened.is_ok(),
        opened = connection.accept_uni() => opened.is_ok(),
    };
    if !opened {
        // The connection is over, which the first stream says better.
        std::future::pending::<()>().await;
    }
}

impl Carrier for NativeCarrier {
    type Recv = RecvStream;
    type Send = SendStream;

    fn poll_confirmed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(handshake) = &mut self.handshake {
            // A handshake that fails ends the connection, and with it the stream.
            let _ = ready!(Pin::new(handshake).poll(cx));
            self.handshake = None;
        }
        Poll::Ready(())
    }

    fn poll_trouble(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        ready!(self.second_stream.as_mut().poll(cx));
        Poll::Ready(End::Violation(Violation::SecondStream.into()))
    }

    fn takes(&self) -> Takes {
        self.lanes
            .as_ref()
            .map_or_else(Takes::default, |lanes| lanes.takes())
    }

    fn poll_lanes(&mut self, cx: &mut Context<'_>, outbound: &Outbound) -> Poll<End> {
        let Some(lanes) = &mut self.lanes else {
            return Poll::Pending;
        };
        match ready!(lanes.poll(cx, outbound)) {
            Err(error) => Poll::Ready(self.end(error)),
            Ok(never) => match never {},
        }
    }

    async fn finish(&mut self) {
        if let Some(lanes) = &mut self.lanes {
            lanes.finish().await;
        }
    }

    fn end(&self, error: io::Error) -> End {
        match self.connection.close_reason() {
            // The client has closed the connection, or its half of the stream.
            None | Some(ConnectionError::ApplicationClosed(_) | ConnectionError::LocallyClosed) => {
                End::Closed
            }
            Some(_) => End::Gone(Some(error)),
        }
    }

    fn close(&mut self, code: u32, reason: &str) {
        self.connection.close(VarInt::from_u32(code), reason.as_bytes());
    }
}

impl fmt::Debug for NativeCarrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NativeCarrier")
            .field("peer", &self.connection.remote_address())
            .finish_non_exhaustive()
    }
}
