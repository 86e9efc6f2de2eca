//! What carries a stream of messages.

use std::io;
use std::pin::pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::AsyncRead;

use super::super::{End, Takes};
use crate::connection::outbound::Outbound;

/// The connection below a stream, with what only it knows.
pub trait Carrier: Send + Unpin + 'static {
    /// The half of the stream that is read from.
    type Recv: AsyncRead + Send + Unpin + 'static;
    /// The half of the stream that is written to.
    type Send: SendHalf;

    /// Ready once it is certain that what came was sent for this connection alone. Until then it may be a copy of
    /// what a client sent to an earlier one (0-RTT), and no more than the first message is handed on.
    fn poll_confirmed(&mut self, _cx: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    /// Ready when something beside the stream ends the connection.
    fn poll_trouble(&mut self, _cx: &mut Context<'_>) -> Poll<End> {
        Poll::Pending
    }

    /// On which ways it can send beside the stream.
    fn takes(&self) -> Takes {
        Takes::default()
    }

    /// Sends on these ways what goes there; see [`Transport::poll_lanes`](crate::transport::Transport::poll_lanes).
    fn poll_lanes(&mut self, _cx: &mut Context<'_>, _outbound: &Outbound) -> Poll<End> {
        Poll::Pending
    }

    /// Done once the client has acknowledged what was sent beside the stream, or cannot any more.
    fn finish(&mut self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// The end that an error of one of the halves means.
    fn end(&self, error: io::Error) -> End;

    /// Ends the connection at once, and tells the client why. What was not acknowledged yet is lost.
    fn close(&mut self, code: u32, reason: &str);
}

/// The half of a stream that is written to.
pub trait SendHalf: Send + Unpin + 'static {
    /// Takes pieces from the front, whole ones and perhaps the beginning of another, which is shortened. How many
    /// whole ones.
    fn poll_write(&mut self, cx: &mut Context<'_>, pieces: &mut [Bytes]) -> Poll<io::Result<usize>>;

    /// Ends the stream; done once the client has acknowledged all of it, or cannot any more.
    fn finish(&mut self) -> impl Future<Output = ()> + Send;
}

impl SendHalf for quinn::SendStream {
    fn poll_write(&mut self, cx: &mut Context<'_>, pieces: &mut [Bytes]) -> Poll<io::Result<usize>> {
        // Nothing is kept in the future between two polls.
        let written = ready!(pin!(self.write_chunks(pieces)).poll(cx))?;
        Poll::Ready(Ok(written.chunks))
    }

    async fn finish(&mut self) {
        // A stream that cannot be finished is at its end already.
        if Self::finish(self).is_ok() {
            let _ = self.stopped().await;
        }
    }
}
