//! A stream of messages as a [`Transport`].

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use campanile_common::{Codec, DisconnectCode};
use tokio::io::{AsyncRead, ReadBuf};

use super::{Carrier, SendHalf, StreamDecoder, Violation as Breach};
use crate::connection::outbound::Outbound;
use crate::transport::{End, Farewell, Takes, Transport, Violation, scratch};

/// How long a client may take to acknowledge what was sent before its goodbye.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

/// The code that answers a client that has left.
const LEFT: u32 = 0;

/// One client's stream of messages.
#[derive(Debug)]
pub struct StreamTransport<C: Carrier> {
    carrier: C,
    recv: C::Recv,
    send: C::Send,
    decoder: StreamDecoder,
    /// What was read behind the frame that was last returned. Empty, and holding nothing, most of the time.
    unread: Bytes,
    trust: Trust,
    /// What the stream has not taken yet. Nothing is allocated while there is nothing.
    stuck: Vec<Bytes>,
    /// How many of those pieces it has taken.
    taken: usize,
}

/// How far what comes is believed to be meant for this connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    /// As far as one message.
    First,
    /// Not any further before the carrier is certain.
    Waiting,
    /// Entirely.
    Confirmed,
}

impl<C: Carrier> StreamTransport<C> {
    /// Takes over the two halves of a stream, at the beginning of its first message. `limit` is the longest message in
    /// bytes.
    #[must_use]
    pub const fn new(carrier: C, recv: C::Recv, send: C::Send, codec: Codec, limit: usize) -> Self {
        Self {
            carrier,
            recv,
            send,
            decoder: StreamDecoder::new(codec, limit),
            unread: Bytes::new(),
            trust: Trust::First,
            stuck: Vec::new(),
            taken: 0,
        }
    }

    /// Ready while frames may be handed on.
    fn poll_trust(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.trust != Trust::Confirmed {
            if self.carrier.poll_confirmed(cx).is_ready() {
                self.trust = Trust::Confirmed;
            } else if self.trust == Trust::Waiting {
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    }

    fn decode(&mut self, input: &mut &[u8]) -> Result<Option<Bytes>, End> {
        let frame = match self.trust {
            Trust::Confirmed => self.decoder.next(input),
            Trust::First | Trust::Waiting => self.decoder.next_message(input),
        };
        let frame = frame.map_err(|error| End::Violation(Breach::from(error).into()))?;
        if frame.is_some() && self.trust == Trust::First {
            self.trust = Trust::Waiting;
        }
        Ok(frame)
    }

    /// Goes through what was read earlier.
    fn decode_unread(&mut self) -> Result<Option<Bytes>, End> {
        if self.unread.is_empty() {
            return Ok(None);
        }
        let unread = std::mem::take(&mut self.unread);
        let mut input = &unread[..];
        let frame = self.decode(&mut input)?;
        let rest = input.len();
        if rest > 0 {
            self.unread = unread;
            self.unread.advance(self.unread.len() - rest);
        }
        Ok(frame)
    }

    /// Reads once and goes through it.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, End>> {
        scratch::with(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            let read = ready!(Pin::new(&mut self.recv).poll_read(cx, &mut buffer));
            read.map_err(|error| self.carrier.end(error))?;
            let mut input = buffer.filled();
            if input.is_empty() {
                return Poll::Ready(Err(End::Closed));
            }
            let frame = self.decode(&mut input)?;
            self.unread = Bytes::copy_from_slice(input);
            Poll::Ready(Ok(frame))
        })
    }

    /// Sends what is left and `last` behind it, and ends this side's half, as [`close`](Transport::close) does. What
    /// is left then is the carrier and the client's half.
    pub(in crate::transport) async fn finish(mut self, last: Bytes) -> (C, C::Recv) {
        self.stuck.push(last);
        self.send_rest().await;
        (self.carrier, self.recv)
    }

    /// The carrier and the client's half. What was not sent yet is lost.
    pub(in crate::transport) fn into_parts(self) -> (C, C::Recv) {
        (self.carrier, self.recv)
    }

    /// Sends what is left, and waits until the client has it; both for a bounded time.
    async fn send_rest(&mut self) {
        let rest = async {
            if poll_fn(|cx| self.poll_flush(cx)).await.is_ok() {
                self.send.finish().await;
                self.carrier.finish().await;
            }
        };
        if tokio::time::timeout(CLOSE_WAIT, rest).await.is_err() {
            tracing::trace!("a client did not take what came before its goodbye");
        }
    }
}

impl<C: Carrier> Transport for StreamTransport<C> {
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, End>> {
        if let Poll::Ready(end) = self.carrier.poll_trouble(cx) {
            return Poll::Ready(Err(end));
        }
        ready!(self.poll_trust(cx));
        if let Some(frame) = self.decode_unread()? {
            return Poll::Ready(Ok(frame));
        }
        loop {
            if let Some(frame) = ready!(self.poll_read(cx))? {
                return Poll::Ready(Ok(frame));
            }
        }
    }

    fn start_send(&mut self, cx: &mut Context<'_>, batch: &mut Vec<Bytes>) -> Result<(), End> {
        debug_assert!(self.stuck.is_empty(), "batches must not run into each other");
        let taken = match self.send.poll_write(cx, batch) {
            Poll::Ready(taken) => taken.map_err(|error| self.carrier.end(error))?,
            Poll::Pending => 0,
        };
        if taken < batch.len() {
            self.stuck = batch.drain(taken..).collect();
        }
        batch.clear();
        Ok(())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        while self.taken < self.stuck.len() {
            let written = ready!(self.send.poll_write(cx, &mut self.stuck[self.taken..]));
            self.taken += written.map_err(|error| self.carrier.end(error))?;
        }
        (self.stuck, self.taken) = (Vec::new(), 0);
        Poll::Ready(Ok(()))
    }

    fn takes(&self) -> Takes {
        self.carrier.takes()
    }

    fn poll_lanes(&mut self, cx: &mut Context<'_>, outbound: &Outbound) -> Poll<End> {
        self.carrier.poll_lanes(cx, outbound)
    }

    async fn close(mut self, farewell: Farewell) {
        let (code, reason) = match farewell {
            Farewell::Nothing => (DisconnectCode::Closed.code(), "".into()),
            Farewell::Echo => (LEFT, "".into()),
            Farewell::Disconnect(disconnect) => (disconnect.code, disconnect.reason),
            Farewell::Violation(violation) => (violation_code(violation), violation.to_string().into()),
        };
        // Who left hears nothing any more, and who reads too slowly has yet to read what is to be cut short here.
        if ![LEFT, DisconnectCode::Closed.code(), DisconnectCode::Slow.code()].contains(&code) {
            self.send_rest().await;
        }
        self.carrier.close(code, &reason);
    }
}

/// The code of a goodbye that answers a breach.
const fn violation_code(violation: Violation) -> u32 {
    match violation {
        Violation::Stream(_) | Violation::WebSocket(_) => DisconnectCode::BadRequest.code(),
    }
}
