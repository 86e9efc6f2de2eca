//! Publications that the server may lose.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use campanile_common::Codec;
use campanile_common::message::Push;
use campanile_common::native::{Datagram, put_varint};
use futures_util::Stream;
use futures_util::stream::unfold;
use quinn::{Connection, ConnectionError};

use super::stats::{Counters, count};
use crate::Closed;
use crate::transport::Incoming;

/// Subscriptions whose newest datagram is remembered. One more, and the oldest is forgotten: of that one, a late datagram
/// can pass.
const REMEMBERED: usize = 4096;

/// Datagrams that are looked at in one turn.
const TURN: usize = 64;

/// The datagrams of a connection, without those that come late.
pub(super) struct Datagrams {
    arriving: Pin<Box<dyn Stream<Item = Result<Bytes, ConnectionError>> + Send>>,
    newest: Newest,
    codec: Codec,
    counters: Arc<Counters>,
}

impl Datagrams {
    pub(super) fn new(connection: Connection, codec: Codec, counters: Arc<Counters>) -> Self {
        let read = |connection: Connection| async {
            let datagram = connection.read_datagram().await;
            Some((datagram, connection))
        };
        Self {
            arriving: Box::pin(unfold(connection, read)),
            newest: Newest::default(),
            codec,
            counters,
        }
    }

    /// The next push that is not late.
    pub(super) fn poll_push(&mut self, cx: &mut Context<'_>) -> Poll<Result<Incoming, Closed>> {
        for _ in 0..TURN {
            let Some(datagram) = ready!(self.arriving.as_mut().poll_next(cx)) else {
                return Poll::Pending;
            };
            if let Some(incoming) = self.look_at(&datagram?) {
                return Poll::Ready(Ok(incoming));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn look_at(&mut self, datagram: &Bytes) -> Option<Incoming> {
        let parts = Datagram::decode(datagram);
        let push = parts.and_then(|parts| Some((decode(self.codec, &parts.message)?, parts)));
        let Some((push, Datagram { id, sequence, .. })) = push else {
            count(&self.counters.malformed_datagrams);
            return None;
        };
        if !self.newest.is_newer(id, sequence) {
            count(&self.counters.late_datagrams);
            return None;
        }
        Some(Incoming::Lane { id, push })
    }
}

/// One message that nothing is put around.
fn decode(codec: Codec, message: &Bytes) -> Option<Push> {
    let mut frame = Vec::with_capacity(message.len() + 2);
    if codec.is_binary() {
        put_varint(&mut frame, message.len() as u64);
    }
    frame.extend_from_slice(message);
    let mut replies = codec.decode_replies(&frame.into());
    let push = replies.next()?.ok()?.push?;
    replies.next().is_none().then_some(*push)
}

/// The newest datagram of each subscription.
#[derive(Debug, Default)]
struct Newest {
    by_id: BTreeMap<u64, u64>,
}

impl Newest {
    /// Whether none came that is as new; remembers it.
    fn is_newer(&mut self, id: u64, sequence: u64) -> bool {
        let newest = self.by_id.entry(id).or_default();
        if sequence <= *newest {
            return false;
        }
        *newest = sequence;
        if self.by_id.len() > REMEMBERED {
            self.by_id.pop_first();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_datagrams_and_copies_are_told_from_new_ones() {
        let mut newest = Newest::default();
        assert!(newest.is_newer(1, 1));
        assert!(newest.is_newer(2, 1), "each subscription counts for itself");
        assert!(newest.is_newer(1, 4), "what was lost in between stays lost");
        assert!(!newest.is_newer(1, 3));
        assert!(!newest.is_newer(1, 4));
        assert!(newest.is_newer(1, 5));
        assert!(!newest.is_newer(3, 0), "they count from 1");
    }

    #[test]
    fn only_so_many_subscriptions_are_remembered() {
        let mut newest = Newest::default();
        for id in 0..2 * REMEMBERED as u64 {
            assert!(newest.is_newer(id, 1));
            assert!(newest.by_id.len() <= REMEMBERED);
        }
        assert!(!newest.is_newer(2 * REMEMBERED as u64 - 1, 1));
    }

    #[test]
    fn a_datagram_is_one_push_in_each_codec() {
        use campanile_common::message::{Message, Reply};
        for codec in Codec::ALL {
            let push = Push {
                channel: "c".into(),
                message: Some(Box::new(Message { data: "{}".into() })),
                ..Push::default()
            };
            let framed = codec.encode_reply(&Reply::push(push.clone()));
            let bare = match codec {
                Codec::Json => framed.slice(..framed.len() - 1),
                // Shorter than 128 bytes: its length takes one.
                _ => framed.slice(1..),
            };
            assert_eq!(decode(codec, &bare), Some(push));
            assert_eq!(decode(codec, &Bytes::from([&bare[..], b"\n{}"].concat())), None);
            assert_eq!(decode(codec, &Bytes::new()), None);
        }
    }
}
