//! What waits to be sent to one client.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use campanile_common::{Disconnect, DisconnectCode};
use parking_lot::Mutex;

use crate::transport::{MAX_BATCH_BYTES, MAX_BATCH_PIECES};

/// The queue of one connection: encoded replies, in order, up to a budget of bytes.
///
/// A client that lets the budget be exceeded is disconnected as slow ([`DisconnectCode::Slow`]): the queue is dropped
/// at once, so that its memory is free, and the client recovers when it returns. While nothing waits, nothing is
/// allocated.
#[derive(Debug)]
pub struct Outbound {
    queue: Mutex<Queue>,
    budget: usize,
}

#[derive(Debug, Default)]
struct Queue {
    pieces: VecDeque<Bytes>,
    cost: usize,
    /// The connection is to be closed once the queue is empty; nothing is added any more.
    end: Option<Box<Disconnect>>,
    /// The writer, while it waits.
    writer: Option<Waker>,
}

/// Whether a subscription still goes on. It changes under the lock of the connection's queue, so that nothing is
/// queued for a subscription after its end.
#[derive(Debug, Default)]
pub struct Liveness {
    ended: AtomicBool,
}

/// What the writer has to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Send the batch.
    Send,
    /// Close the connection.
    Close(Disconnect),
}

/// What a piece costs beside its bytes: its place in the queue.
const OVERHEAD: usize = size_of::<Bytes>();

impl Outbound {
    /// An empty queue. `budget` is in bytes.
    #[must_use]
    pub fn new(budget: usize) -> Self {
        Self {
            queue: Mutex::default(),
            budget,
        }
    }

    /// Queues a piece. Dropped if the connection is about to close.
    pub fn push(&self, piece: Bytes) {
        self.push_if(|| true, piece);
    }

    /// Queues a piece of a subscription, unless the subscription has ended.
    pub fn push_live(&self, liveness: &Liveness, piece: Bytes) {
        self.push_if(|| !liveness.ended.load(Ordering::Relaxed), piece);
    }

    fn push_if(&self, wanted: impl FnOnce() -> bool, piece: Bytes) {
        let mut queue = self.queue.lock();
        if queue.end.is_some() || !wanted() {
            return;
        }
        let cost = queue.cost + piece.len() + OVERHEAD;
        // A piece that is alone is let through whatever its length: it cannot become shorter by a reconnect.
        if cost > self.budget && queue.cost > 0 {
            queue.drop_all();
            queue.end = Some(Box::new(DisconnectCode::Slow.into()));
        } else {
            queue.pieces.push_back(piece);
            queue.cost = cost;
        }
        let writer = queue.writer.take();
        drop(queue);
        if let Some(writer) = writer {
            writer.wake();
        }
    }

    /// Ends a subscription: of what is queued from now on, nothing belongs to it. Whether it was live.
    pub fn end(&self, liveness: &Liveness) -> bool {
        let _queue = self.queue.lock();
        !liveness.ended.swap(true, Ordering::Relaxed)
    }

    /// Closes the connection once what waits is sent. The first wins.
    pub fn close(&self, disconnect: Disconnect) {
        let mut queue = self.queue.lock();
        queue.end.get_or_insert_with(|| Box::new(disconnect));
        let writer = queue.writer.take();
        drop(queue);
        if let Some(writer) = writer {
            writer.wake();
        }
    }

    /// Drops what waits, and takes nothing any more.
    pub fn shut(&self) {
        let mut queue = self.queue.lock();
        queue.drop_all();
        queue
            .end
            .get_or_insert_with(|| Box::new(DisconnectCode::Closed.into()));
    }

    /// Lets the writer look again at what it waits for.
    pub fn wake(&self) {
        let writer = self.queue.lock().writer.take();
        if let Some(writer) = writer {
            writer.wake();
        }
    }

    /// Waits for something to do; moves what goes out in one write to `batch`, which must be empty.
    pub fn poll_next(&self, cx: &mut Context<'_>, batch: &mut Vec<Bytes>) -> Poll<Next> {
        let mut queue = self.queue.lock();
        if !queue.pieces.is_empty() {
            queue.take(batch);
            return Poll::Ready(Next::Send);
        }
        if let Some(end) = &queue.end {
            return Poll::Ready(Next::Close((**end).clone()));
        }
        queue.wait(cx);
        Poll::Pending
    }

    /// Waits, while a write is under way, for what makes it pointless: the client is too slow.
    pub fn poll_overflow(&self, cx: &mut Context<'_>) -> Poll<Disconnect> {
        let mut queue = self.queue.lock();
        match &queue.end {
            Some(end) if queue.pieces.is_empty() && end.code == DisconnectCode::Slow.code() => {
                Poll::Ready((**end).clone())
            }
            _ => {
                queue.wait(cx);
                Poll::Pending
            }
        }
    }
}

impl Queue {
    /// Moves pieces to `batch` up to the limits of one write, at least one.
    fn take(&mut self, batch: &mut Vec<Bytes>) {
        let mut bytes = 0;
        while let Some(piece) = self.pieces.front() {
            bytes += piece.len();
            if !batch.is_empty() && (bytes > MAX_BATCH_BYTES || batch.len() == MAX_BATCH_PIECES) {
                return;
            }
            self.cost -= piece.len() + OVERHEAD;
            batch.extend(self.pieces.pop_front());
        }
        self.pieces = VecDeque::new();
    }

    fn drop_all(&mut self) {
        self.pieces = VecDeque::new();
        self.cost = 0;
    }

    fn wait(&mut self, cx: &Context<'_>) {
        match &mut self.writer {
            Some(writer) => writer.clone_from(cx.waker()),
            None => self.writer = Some(cx.waker().clone()),
        }
    }
}

#[cfg(test)]
mod tests;
