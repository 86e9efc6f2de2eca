//! Frames of replies off one stream.

use std::mem::MaybeUninit;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use campanile_common::{Codec, ReplyFrames, StreamDecoder};
use quinn::{ReadError, RecvStream};
use tokio::io::ReadBuf;

use crate::Closed;

/// Bytes that are read at once.
const READ_SIZE: usize = 8 * 1024;

/// How a stream ends.
#[derive(Debug)]
pub(super) enum StreamEnd {
    /// The server has said all that it had to say on this stream, or will not.
    Finished,
    /// The connection is over.
    Lost(Closed),
    /// The server broke the rules of the protocol.
    Breach(Closed),
}

/// Reads the messages of one stream.
pub(super) struct FrameReader {
    stream: RecvStream,
    codec: Codec,
    decoder: StreamDecoder,
    /// What was read and not decoded yet.
    unread: Bytes,
    hoard: Hoard,
}

impl FrameReader {
    pub(super) fn new(stream: RecvStream, codec: Codec, hoard: Hoard) -> Self {
        Self {
            stream,
            codec,
            decoder: StreamDecoder::new(codec, hoard.limit),
            unread: Bytes::new(),
            hoard,
        }
    }

    /// The next messages: those that lie whole in what came.
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<ReplyFrames, StreamEnd>> {
        loop {
            let mut input = &self.unread[..];
            let frame = self.decoder.next(&mut input).map_err(|error| breach(&error))?;
            let taken = self.unread.len() - input.len();
            self.unread.advance(taken);
            self.hoard.hold(self.decoder.held())?;
            if let Some(frame) = frame {
                return Poll::Ready(Ok(self.codec.decode_replies(&frame)));
            }
            self.unread = ready!(self.poll_bytes(cx))?;
        }
    }

    /// Some bytes, as they are: what stands in front of the messages.
    pub(super) fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, StreamEnd>> {
        let mut space = [MaybeUninit::uninit(); READ_SIZE];
        let mut buffer = ReadBuf::uninit(&mut space);
        match ready!(self.stream.poll_read_buf(cx, &mut buffer)) {
            Ok(()) if buffer.filled().is_empty() => Poll::Ready(Err(StreamEnd::Finished)),
            Ok(()) => Poll::Ready(Ok(Bytes::copy_from_slice(buffer.filled()))),
            Err(ReadError::ConnectionLost(error)) => Poll::Ready(Err(StreamEnd::Lost(error.into()))),
            Err(_) => Poll::Ready(Err(StreamEnd::Finished)),
        }
    }

    /// Puts bytes in front of those that come.
    pub(super) fn unread(&mut self, bytes: Bytes) {
        debug_assert!(self.unread.is_empty(), "nothing was decoded yet");
        self.unread = bytes;
    }

    /// Tells the server to send nothing more.
    pub(super) fn stop(&mut self) {
        // One that is over needs no telling.
        let _ = self.stream.stop(0_u32.into());
    }
}

fn breach(what: &impl ToString) -> StreamEnd {
    StreamEnd::Breach(Closed::new(Closed::MALFORMED, what.to_string()))
}

/// What the messages that have only come in part take up in memory, on all streams of a connection together.
pub(super) struct Hoard {
    total: Arc<AtomicUsize>,
    limit: usize,
    /// What this stream has of it.
    mine: usize,
}

impl Hoard {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            total: Arc::default(),
            limit,
            mine: 0,
        }
    }

    /// The same for another stream.
    pub(super) fn share(&self) -> Self {
        Self {
            total: self.total.clone(),
            limit: self.limit,
            mine: 0,
        }
    }

    fn hold(&mut self, bytes: usize) -> Result<(), StreamEnd> {
        let others = self.total.fetch_sub(self.mine, Ordering::Relaxed) - self.mine;
        self.mine = bytes;
        self.total.fetch_add(bytes, Ordering::Relaxed);
        // One message may always be as long as the limit, with its length.
        let slack = campanile_common::native::MAX_VARINT;
        if others + bytes > self.limit.saturating_add(slack) {
            return Err(breach(&"too many messages that do not end"));
        }
        Ok(())
    }
}

impl Drop for Hoard {
    fn drop(&mut self) {
        self.total.fetch_sub(self.mine, Ordering::Relaxed);
    }
}
