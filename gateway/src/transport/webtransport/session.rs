//! A session: its stream, and its end.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use campanile_common::Disconnect;
use quinn::{Connection, ConnectionError, RecvStream, SendStream};
use tokio::io::{AsyncRead as _, ReadBuf};
use tokio::time::timeout;
use web_transport_proto::{Capsule, Frame, VarInt};

use super::request::Critical;
use super::{ErrorCode, close};
use crate::transport::End;
use crate::transport::stream::{Carrier, Violation};

/// Bytes that may come on the stream of the request before it ends: capsules of extensions that this side does not
/// have (RFC 9297 §3.3), a few dozen bytes each. They are passed over.
const CAPSULE_BYTES: usize = 16 * 1024;

/// How long a client that was told goodbye may take for its own.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

/// Longest reason that a session may end with, in bytes (draft-ietf-webtrans-http3 §6).
const MAX_REASON: usize = 1024;

/// A session that was granted.
#[derive(Debug)]
pub(super) struct Session {
    connection: Connection,
    /// The two halves of the request's stream, which lasts as long as the session.
    answer: SendStream,
    capsules: RecvStream,
    /// How much has come on it.
    passed_over: usize,
    _critical: Critical,
}

impl Session {
    pub(super) const fn new(
        connection: Connection,
        answer: SendStream,
        capsules: RecvStream,
        critical: Critical,
    ) -> Self {
        Self {
            connection,
            answer,
            capsules,
            passed_over: 0,
            _critical: critical,
        }
    }

    /// Waits for the one stream that the client opens. `None`: it has opened something else.
    pub(super) async fn stream(&self) -> Result<Option<(SendStream, RecvStream)>, ConnectionError> {
        let (send, mut recv) = self.connection.accept_bi().await?;
        let id = quinn::VarInt::from(self.capsules.id()).into_inner();
        let kind = VarInt::read(&mut recv).await;
        let session = VarInt::read(&mut recv).await;
        let is_ours = kind.is_ok_and(|kind| Frame(kind) == Frame::WEBTRANSPORT)
            && session.is_ok_and(|session| session.into_inner() == id);
        Ok(is_ours.then_some((send, recv)))
    }

    /// The connection below.
    pub(super) const fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Waits until the client ends its stream, its session or its connection, for a bounded time. What it still sends
    /// is dropped; `recv` is its half of the stream.
    pub(super) async fn await_leave(&mut self, recv: &mut RecvStream) {
        let left = async {
            tokio::select! {
                () = drain(recv) => {}
                () = drain(&mut self.capsules) => {}
                _ = self.connection.closed() => {}
            }
        };
        if timeout(CLOSE_WAIT, left).await.is_err() {
            tracing::trace!("a client that was told goodbye does not leave by itself");
        }
    }

    /// Ends the session with a code and a reason, and the connection once the client knows, or after a bounded time.
    pub(super) async fn dismiss(&mut self, disconnect: Disconnect) {
        let farewell = end_of_session(disconnect.code, &disconnect.reason);
        let told = async {
            if self.answer.write_chunk(farewell).await.is_ok() && self.answer.finish().is_ok() {
                self.connection.closed().await;
            }
        };
        if timeout(CLOSE_WAIT, told).await.is_err() {
            tracing::trace!("a client did not answer the end of its session");
        }
        close(&self.connection, ErrorCode::None, "");
    }
}

impl Carrier for Session {
    type Recv = RecvStream;
    type Send = SendStream;

    fn poll_trouble(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let mut scratch = [0; 256];
        while self.passed_over <= CAPSULE_BYTES {
            let mut buffer = ReadBuf::new(&mut scratch);
            let read = ready!(Pin::new(&mut self.capsules).poll_read(cx, &mut buffer));
            match buffer.filled().len() {
                length @ 1.. if read.is_ok() => self.passed_over += length,
                _ => return Poll::Ready(End::Closed),
            }
        }
        Poll::Ready(End::Violation(Violation::Flood.into()))
    }

    fn end(&self, error: io::Error) -> End {
        match self.connection.close_reason() {
            // A client that breaks off its stream, or closes the connection, leaves.
            None | Some(ConnectionError::ApplicationClosed(_)) => End::Closed,
            Some(_) => End::Gone(Some(error)),
        }
    }

    fn close(&mut self, _code: u32, reason: &str) {
        close(&self.connection, ErrorCode::None, reason);
    }
}

/// Reads without looking until the client ends the stream.
async fn drain(stream: &mut RecvStream) {
    while let Ok(Some(_)) = stream.read_chunk(usize::MAX, true).await {}
}

/// The capsule that ends a session, in a DATA frame.
fn end_of_session(code: u32, reason: &str) -> Bytes {
    let mut capsule = BytesMut::new();
    let reason = reason[..reason.floor_char_boundary(MAX_REASON)].to_owned();
    Capsule::CloseWebTransportSession { code, reason }.encode(&mut capsule);
    let length = u32::try_from(capsule.len()).expect("a capsule of a bounded reason is short");
    let mut frame = BytesMut::with_capacity(capsule.len() + 8);
    Frame::DATA.encode(&mut frame);
    VarInt::from_u32(length).encode(&mut frame);
    frame.put(capsule);
    frame.freeze()
}
