//! The streams of subscriptions.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use campanile_common::native::{LANE, MAX_VARINT, take_varint};
use campanile_common::{Codec, ReplyFrames};
use futures_util::Stream;
use futures_util::stream::{SelectAll, unfold};
use quinn::{Connection, ConnectionError, RecvStream};

use super::frames::{FrameReader, Hoard, StreamEnd};
use super::stats::{Counters, count};

/// Streams that are taken in one turn.
const TURN: usize = 64;

/// Streams that the server opens.
type Arriving = Pin<Box<dyn Stream<Item = Result<RecvStream, ConnectionError>> + Send>>;

/// All streams of subscriptions. Each is read by itself, and only as far as what it brought is taken; how many there are
/// at once is limited in the handshake.
pub(super) struct Lanes {
    /// Until the connection is over.
    arriving: Option<Arriving>,
    open: SelectAll<Lane>,
    codec: Codec,
    hoard: Hoard,
    counters: Arc<Counters>,
}

impl Lanes {
    pub(super) fn new(connection: Connection, codec: Codec, hoard: Hoard, counters: Arc<Counters>) -> Self {
        let accept = |connection: Connection| async {
            let stream = connection.accept_uni().await;
            Some((stream, connection))
        };
        Self {
            arriving: Some(Box::pin(unfold(connection, accept))),
            open: SelectAll::new(),
            codec,
            hoard,
            counters,
        }
    }

    /// What came on one of them: the subscription's number and messages.
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<(u64, ReplyFrames), StreamEnd>> {
        for _ in 0..TURN {
            if let Poll::Ready(Some(item)) = Pin::new(&mut self.open).poll_next(cx) {
                return Poll::Ready(item);
            }
            let Some(arriving) = &mut self.arriving else {
                return Poll::Pending;
            };
            match ready!(arriving.as_mut().poll_next(cx)) {
                // It may have brought something already: another look at all of them.
                Some(Ok(stream)) => self.open.push(self.lane(stream)),
                Some(Err(error)) => {
                    self.arriving = None;
                    return Poll::Ready(Err(StreamEnd::Lost(error.into())));
                }
                None => self.arriving = None,
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Whether nothing more can come on any of them.
    pub(super) fn is_over(&self) -> bool {
        self.arriving.is_none() && self.open.is_empty()
    }

    fn lane(&self, stream: RecvStream) -> Lane {
        Lane {
            reader: FrameReader::new(stream, self.codec, self.hoard.share()),
            header: Header::Missing(Vec::new()),
            counters: self.counters.clone(),
        }
    }
}

/// What stands in front of the messages.
enum Header {
    /// It has not come yet, but for this.
    Missing(Vec<u8>),
    /// The subscription's number.
    Known(u64),
    /// It is not one, or the stream is over.
    Over,
}

/// The stream of one subscription.
struct Lane {
    reader: FrameReader,
    header: Header,
    counters: Arc<Counters>,
}

impl Lane {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<(u64, ReplyFrames), StreamEnd>> {
        loop {
            match &mut self.header {
                Header::Known(id) => {
                    let frame = ready!(self.reader.poll_frame(cx))?;
                    return Poll::Ready(Ok((*id, frame)));
                }
                Header::Missing(begun) => {
                    begun.extend(ready!(self.reader.poll_bytes(cx))?);
                    let begun = std::mem::take(begun);
                    self.header = self.read_header(begun);
                }
                Header::Over => return Poll::Ready(Err(StreamEnd::Finished)),
            }
        }
    }

    fn read_header(&mut self, bytes: Vec<u8>) -> Header {
        let known = match bytes.split_first() {
            Some((&LANE, mut rest)) => take_varint(&mut rest).map(|id| id.map(|id| (id, rest.len()))),
            _ => return self.refuse(),
        };
        match known {
            Ok(Some((id, rest))) => {
                let header = bytes.len() - rest;
                self.reader.unread(Bytes::from(bytes).slice(header..));
                Header::Known(id)
            }
            Ok(None) if bytes.len() <= MAX_VARINT => Header::Missing(bytes),
            Ok(None) | Err(_) => self.refuse(),
        }
    }

    /// A later version of the protocol may have streams of other kinds: they are of no use here, and no breach.
    fn refuse(&mut self) -> Header {
        count(&self.counters.foreign_streams);
        self.reader.stop();
        Header::Over
    }
}

impl Stream for Lane {
    type Item = Result<(u64, ReplyFrames), StreamEnd>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(match ready!(self.poll_frame(cx)) {
            Ok(frame) => Some(Ok(frame)),
            Err(StreamEnd::Finished) => None,
            Err(end) => {
                self.header = Header::Over;
                Some(Err(end))
            }
        })
    }
}
