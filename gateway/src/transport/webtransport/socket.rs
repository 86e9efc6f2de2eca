//! A session and its stream as a [`Transport`].

use std::task::{Context, Poll};

use bytes::Bytes;
use campanile_common::message::{Push, Reply};
use campanile_common::{Codec, Disconnect, DisconnectCode};
use quinn::{RecvStream, SendStream};

use super::session::Session;
use crate::transport::stream::{Carrier, StreamTransport};
use crate::transport::{End, Farewell, Transport};

/// One client's connection over WebTransport.
#[derive(Debug)]
pub struct WebTransport {
    stream: StreamTransport<Session>,
    codec: Codec,
}

impl WebTransport {
    pub(super) fn new(
        session: Session,
        (send, recv): (SendStream, RecvStream),
        codec: Codec,
        message_size_limit: usize,
    ) -> Self {
        Self {
            stream: StreamTransport::new(session, recv, send, codec, message_size_limit),
            codec,
        }
    }

    /// Tells the client why, and ends the session.
    ///
    /// SDKs do not look at a session's code: they learn from a push why they are disconnected, and whether to come
    /// back. It gets the time to arrive, and the client the time to leave by itself, for the end of a session may
    /// overtake what was sent before it.
    async fn disconnect(self, disconnect: Disconnect) {
        if disconnect.well_known() == Some(DisconnectCode::Slow) {
            // It has yet to read what waits before the push.
            let (mut session, _) = self.stream.into_parts();
            return session.dismiss(disconnect).await;
        }
        let push = Push::disconnect(disconnect.clone());
        let last = self.codec.encode_reply(&Reply::push(push));
        let (mut session, mut recv) = self.stream.finish(last).await;
        session.await_leave(&mut recv).await;
        session.dismiss(disconnect).await;
    }
}

impl Transport for WebTransport {
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, End>> {
        self.stream.poll_recv(cx)
    }

    fn start_send(&mut self, cx: &mut Context<'_>, batch: &mut Vec<Bytes>) -> Result<(), End> {
        self.stream.start_send(cx, batch)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        self.stream.poll_flush(cx)
    }

    async fn close(self, farewell: Farewell) {
        match farewell {
            Farewell::Nothing | Farewell::Echo => {
                let (mut session, _) = self.stream.into_parts();
                session.close(DisconnectCode::Closed.code(), "");
            }
            Farewell::Disconnect(disconnect) => self.disconnect(disconnect).await,
            Farewell::Violation(violation) => {
                let code = DisconnectCode::BadRequest.code();
                self.disconnect(Disconnect::new(code, violation.to_string()))
                    .await;
            }
        }
    }
}
