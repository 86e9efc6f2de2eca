//! Streams of single subscriptions, and datagrams.
//!
//! A stream is opened with the first push of its subscription, and each is written to as far as it goes: one that the
//! client does not read holds up no other. What a stream does not take stays in the connection's queue, where it
//! counts.

mod unblocked;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use campanile_common::{Codec, native};
use quinn::{Connection, SendDatagramError, SendStream, WriteError};

use crate::connection::counters::LaneCounters;
use crate::connection::outbound::{Datagram, LaneId, Outbound, Sent, Turn};
use crate::transport::Takes;
use unblocked::Unblocked;

/// Turns of lanes before others get theirs. Most are short: one publication each.
const TURNS: usize = 64;

/// Datagrams that are sent before others get their turn.
const DATAGRAMS: usize = 64;

/// Streams that one client has open at a time, however many it would take: each costs memory beyond the queue's budget.
const MAX_STREAMS: usize = 1024;

thread_local! {
    /// The batch that is about to be written; no connection keeps one.
    static BATCH: RefCell<Vec<Bytes>> = const { RefCell::new(Vec::new()) };
}

/// What one client gets beside the first stream.
pub struct LaneStreams {
    connection: Connection,
    codec: Codec,
    takes: Takes,
    counters: Arc<LaneCounters>,
    /// Those that were opened and have not ended.
    streams: BTreeMap<LaneId, Stream>,
    unblocked: Arc<Unblocked>,
    /// A datagram that waits for those before it.
    datagram: Option<Pin<Box<dyn Future<Output = SentDatagram> + Send>>>,
}

/// Its length.
type SentDatagram = Result<usize, SendDatagramError>;

enum Stream {
    Open {
        send: SendStream,
        /// What is left of the bytes that it begins with.
        header: Bytes,
    },
    /// The client has stopped it. Nothing is sent on it, and the subscription gets no other.
    Unwanted,
}

impl LaneStreams {
    /// On `connection`, to a client that takes `takes`.
    #[must_use]
    pub fn new(connection: Connection, codec: Codec, takes: Takes, counters: Arc<LaneCounters>) -> Self {
        Self {
            connection,
            codec,
            takes,
            counters,
            streams: BTreeMap::new(),
            unblocked: Arc::default(),
            datagram: None,
        }
    }

    /// What the client takes.
    #[must_use]
    pub const fn takes(&self) -> Takes {
        self.takes
    }

    /// Sends what waits, as far as it goes. Ready only if the connection is over.
    pub fn poll(&mut self, cx: &mut Context<'_>, outbound: &Outbound) -> Poll<io::Result<Infallible>> {
        for lane in self.unblocked.take(cx.waker()) {
            outbound.lane_unblocked(lane);
        }
        if self.takes.datagrams
            && let Poll::Ready(over) = self.poll_datagrams(cx, outbound)
        {
            return Poll::Ready(over);
        }
        self.poll_streams(cx, outbound)
    }

    /// Ends all streams; done once the client has acknowledged what was written to them, or cannot any more.
    pub async fn finish(&mut self) {
        let mut ended = Vec::with_capacity(self.streams.len());
        for stream in std::mem::take(&mut self.streams).into_values() {
            if let Stream::Open { mut send, .. } = stream
                && send.finish().is_ok()
            {
                ended.push(send);
            }
        }
        // All are on their way: the last one takes no longer than the first.
        for send in &mut ended {
            let _ = send.stopped().await;
        }
    }

    fn poll_streams(&mut self, cx: &mut Context<'_>, outbound: &Outbound) -> Poll<io::Result<Infallible>> {
        BATCH.with_borrow_mut(|batch| {
            for _ in 0..TURNS {
                let turn = ready!(outbound.poll_lane(cx, batch));
                let sent = self.send(turn, batch, outbound);
                batch.clear();
                sent?;
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
    }

    /// Sends a batch of one lane, or says why not.
    fn send(&mut self, turn: Turn, batch: &mut Vec<Bytes>, outbound: &Outbound) -> io::Result<()> {
        if !batch.is_empty() && !self.streams.contains_key(&turn.lane) && !self.open(turn.lane)? {
            outbound.lane_refused(turn, batch);
            return Ok(());
        }
        let before = Waiting::of(batch);
        let sent = self.write(turn.lane, batch)?;
        let after = Waiting::of(batch);
        if after.bytes < before.bytes {
            self.counters.sent(
                self.codec,
                before.messages - after.messages,
                before.bytes - after.bytes,
            );
        }
        let all_sent = sent == Sent::Some && batch.iter().all(Bytes::is_empty);
        if turn.last && (all_sent || sent == Sent::Unwanted) {
            self.end(turn.lane);
        }
        outbound.lane_sent(turn, batch, sent);
        Ok(())
    }

    /// Opens the stream of a lane, if the client lets it at once.
    fn open(&mut self, lane: LaneId) -> io::Result<bool> {
        if self.streams.len() >= MAX_STREAMS {
            return Ok(false);
        }
        let opened = pin!(self.connection.open_uni()).poll(&mut Context::from_waker(Waker::noop()));
        let Poll::Ready(send) = opened else {
            return Ok(false);
        };
        let header = native::lane_header(lane.get().into()).into();
        self.streams.insert(lane, Stream::Open { send: send?, header });
        Ok(true)
    }

    /// Writes once what is in `batch`, if there is a stream.
    fn write(&mut self, lane: LaneId, batch: &mut [Bytes]) -> io::Result<Sent> {
        let Some(stream) = self.streams.get_mut(&lane) else {
            return Ok(Sent::Some);
        };
        let written = match stream.poll_write(&mut Context::from_waker(Waker::noop()), batch) {
            // Most streams are not blocked, and need no waker.
            Poll::Pending => {
                let waker = Unblocked::waker(&self.unblocked, lane);
                stream.poll_write(&mut Context::from_waker(&waker), batch)
            }
            ready => ready,
        };
        match written {
            Poll::Pending => Ok(Sent::Blocked),
            Poll::Ready(Ok(())) => Ok(Sent::Some),
            Poll::Ready(Err(WriteError::Stopped(_))) => {
                *stream = Stream::Unwanted;
                Ok(Sent::Unwanted)
            }
            Poll::Ready(Err(error)) => Err(error.into()),
        }
    }

    /// Ends the stream of a lane, if it has one, behind what was written.
    fn end(&mut self, lane: LaneId) {
        if let Some(Stream::Open { mut send, .. }) = self.streams.remove(&lane) {
            // It fails only where the client has stopped the stream, and so knows that it is at its end.
            let _ = send.finish();
        }
    }

    fn poll_datagrams(&mut self, cx: &mut Context<'_>, outbound: &Outbound) -> Poll<io::Result<Infallible>> {
        for _ in 0..DATAGRAMS {
            if let Some(sending) = &mut self.datagram {
                let sent = ready!(sending.as_mut().poll(cx));
                self.datagram = None;
                self.count(sent)?;
            }
            let limit = self.connection.max_datagram_size().unwrap_or(0);
            let codec = self.codec;
            let datagram = ready!(outbound.poll_datagram(cx, |lane, number, piece| {
                header(lane, number).len() + message(codec, piece).len() <= limit
            }));
            let datagram = encode(codec, &datagram);
            let length = datagram.len();
            if self.connection.datagram_send_buffer_space() >= datagram.len() {
                let sent = self.connection.send_datagram(datagram);
                self.count(sent.map(|()| length))?;
            } else {
                let connection = self.connection.clone();
                self.datagram = Some(Box::pin(async move {
                    connection.send_datagram_wait(datagram).await.map(|()| length)
                }));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn count(&self, sent: SentDatagram) -> io::Result<()> {
        match sent {
            Ok(length) => {
                self.counters.datagram_sent();
                self.counters.sent(self.codec, 1, length);
            }
            Err(SendDatagramError::ConnectionLost(error)) => return Err(error.into()),
            // The path has become narrower while it waited.
            Err(_) => self.counters.dropped(1),
        }
        Ok(())
    }
}

impl Stream {
    /// Writes as much as goes; nothing only if there is nothing, or nothing is taken now.
    fn poll_write(&mut self, cx: &mut Context<'_>, batch: &mut [Bytes]) -> Poll<Result<(), WriteError>> {
        let Self::Open { send, header } = self else {
            return Poll::Ready(Err(WriteError::Stopped(0u32.into())));
        };
        while !header.is_empty() {
            ready!(poll_write(send, cx, std::slice::from_mut(header)))?;
        }
        if batch.is_empty() {
            return Poll::Ready(Ok(()));
        }
        poll_write(send, cx, batch)
    }
}

/// What of a batch waits.
struct Waiting {
    messages: usize,
    bytes: usize,
}

impl Waiting {
    fn of(batch: &[Bytes]) -> Self {
        Self {
            messages: batch.iter().filter(|piece| !piece.is_empty()).count(),
            bytes: batch.iter().map(Bytes::len).sum(),
        }
    }
}

/// Takes pieces from the front, which are empty then, or shorter.
fn poll_write(
    send: &mut SendStream,
    cx: &mut Context<'_>,
    pieces: &mut [Bytes],
) -> Poll<Result<(), WriteError>> {
    // Nothing is kept in the future between two polls.
    pin!(send.write_chunks(pieces)).poll(cx).map_ok(drop)
}

fn header(lane: LaneId, number: u64) -> Vec<u8> {
    native::datagram_header(lane.get().into(), number)
}

/// A push without what separates it from the next on a stream.
fn message(codec: Codec, piece: &Bytes) -> &[u8] {
    if codec.is_binary() {
        let mut rest = &piece[..];
        let length = native::take_varint(&mut rest);
        debug_assert_eq!(
            length,
            Ok(Some(rest.len() as u64)),
            "one message, preceded by its length"
        );
        rest
    } else {
        piece.strip_suffix(b"\n").unwrap_or(piece)
    }
}

fn encode(codec: Codec, datagram: &Datagram) -> Bytes {
    let mut bytes = header(datagram.lane, datagram.number);
    bytes.extend_from_slice(message(codec, &datagram.piece));
    bytes.into()
}
