//! Frames on their way out: what waits goes out in one write, and what the socket does not take is kept
//! until it does, or until it has taken nothing for too long.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;
use tokio::time::{Instant, Sleep};

use super::frame::{Header, Opcode};
use crate::transport::scratch;

/// What the socket has not taken yet, or holds back. Nothing is allocated while there is nothing.
#[derive(Debug)]
pub(super) struct Writer {
    stuck: Option<Box<Stuck>>,
    /// How long the socket may take nothing.
    timeout: Duration,
}

/// The rest of an attempt, in the order of the wire.
#[derive(Debug)]
struct Stuck {
    pieces: Vec<Bytes>,
    /// How many of the pieces are written.
    done: usize,
    deadline: Pin<Box<Sleep>>,
}

/// Slices in one vectored write: the header, and as many pieces as a batch has at most.
const MAX_SLICES: usize = 1 + crate::transport::MAX_BATCH_PIECES;

/// Up to so many bytes are copied behind one another before they are written.
const GATHERED_BYTES: usize = 16 * 1024;

// What is gathered must fit.
const _: () = assert!(GATHERED_BYTES <= scratch::SIZE);

impl Writer {
    pub(super) const fn new(timeout: Duration) -> Self {
        Self { stuck: None, timeout }
    }

    /// Whether everything is written.
    pub(super) const fn is_idle(&self) -> bool {
        self.stuck.is_none()
    }

    /// Begins a message of `payload`, which is drained. Everything before it must be written.
    pub(super) fn message<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
        opcode: Opcode,
        payload: &mut Vec<Bytes>,
    ) -> io::Result<()> {
        debug_assert!(self.is_idle(), "messages must not run into each other");
        let header = Header::new(opcode, payload.iter().map(Bytes::len).sum());
        let header = header.as_slice();
        let written = match write_once(stream, cx, header, payload) {
            Poll::Ready(written) => written?,
            Poll::Pending => 0,
        };
        let total = header.len() + payload.iter().map(Bytes::len).sum::<usize>();
        if written == total {
            payload.clear();
            // A stream that encrypts may have taken more than its socket; a bare socket has nothing to flush.
            return match Pin::new(stream).poll_flush(cx) {
                Poll::Ready(flushed) => flushed,
                Poll::Pending => {
                    self.keep(Vec::new(), 0);
                    Ok(())
                }
            };
        }
        let pieces = std::iter::once(Bytes::copy_from_slice(header)).chain(payload.drain(..));
        self.keep(pieces.collect(), written);
        Ok(())
    }

    /// Begins a control frame. Everything before it must be written.
    pub(super) fn control(&mut self, frame: Bytes) {
        debug_assert!(self.is_idle(), "frames must not run into each other");
        self.keep(vec![frame], 0);
    }

    fn keep(&mut self, pieces: Vec<Bytes>, written: usize) {
        let mut stuck = Stuck {
            pieces,
            done: 0,
            deadline: Box::pin(tokio::time::sleep(self.timeout)),
        };
        stuck.advance(written);
        self.stuck = Some(Box::new(stuck));
    }

    /// Goes on until everything is written. An error, a timeout included, is final.
    pub(super) fn poll_flush<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while let Some(stuck) = &mut self.stuck {
            match stuck.poll_step(stream, cx) {
                Poll::Ready(Ok(Step::Flushed)) => self.stuck = None,
                Poll::Ready(Ok(Step::Written)) => {
                    stuck.deadline.as_mut().reset(Instant::now() + self.timeout);
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    ready!(stuck.deadline.as_mut().poll(cx));
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// How far an attempt has come.
enum Step {
    /// Some of it was written.
    Written,
    /// All of it was written, and the stream holds nothing back.
    Flushed,
}

impl Stuck {
    /// Writes once what is left; then flushes.
    fn poll_step<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Step>> {
        if self.done == self.pieces.len() {
            return Pin::new(stream).poll_flush(cx).map_ok(|()| Step::Flushed);
        }
        let written = ready!(write_once(stream, cx, &[], &self.pieces[self.done..]))?;
        self.advance(written);
        Poll::Ready(Ok(Step::Written))
    }

    /// Notes that the socket took `count` bytes, and lets go of what is written.
    fn advance(&mut self, mut count: usize) {
        while let Some(piece) = self.pieces.get_mut(self.done) {
            let step = count.min(piece.len());
            piece.advance(step);
            count -= step;
            if !piece.is_empty() {
                return;
            }
            *piece = Bytes::new();
            self.done += 1;
        }
    }
}

/// One write of as much as fits into one.
fn write_once<S: AsyncWrite + Unpin>(
    stream: &mut S,
    cx: &mut Context<'_>,
    header: &[u8],
    payload: &[Bytes],
) -> Poll<io::Result<usize>> {
    let length = header.len() + payload.iter().map(Bytes::len).sum::<usize>();
    let written = if length <= GATHERED_BYTES {
        scratch::with(|scratch| Pin::new(stream).poll_write(cx, gather(scratch, header, payload)))
    } else {
        write_vectored(stream, cx, header, payload)
    };
    match ready!(written) {
        Ok(0) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
        result => Poll::Ready(result),
    }
}

/// Header and payload, one behind the other in `scratch`, which is large enough.
fn gather<'a>(scratch: &'a mut [u8], header: &[u8], payload: &[Bytes]) -> &'a [u8] {
    let mut end = 0;
    for part in std::iter::once(header).chain(payload.iter().map(|piece| &piece[..])) {
        scratch[end..end + part.len()].copy_from_slice(part);
        end += part.len();
    }
    &scratch[..end]
}

fn write_vectored<S: AsyncWrite + Unpin>(
    stream: &mut S,
    cx: &mut Context<'_>,
    header: &[u8],
    payload: &[Bytes],
) -> Poll<io::Result<usize>> {
    let mut slices = [IoSlice::new(&[]); MAX_SLICES];
    slices[0] = IoSlice::new(header);
    let mut count = 1;
    for (slice, piece) in slices[1..].iter_mut().zip(payload) {
        *slice = IoSlice::new(piece);
        count += 1;
    }
    Pin::new(stream).poll_write_vectored(cx, &slices[..count])
}

#[cfg(test)]
mod tests;
