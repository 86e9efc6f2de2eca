//! What waits to be sent to one client.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use campanile_common::{Disconnect, DisconnectCode};
use parking_lot::{Mutex, MutexGuard};

use crate::transport::{MAX_BATCH_BYTES, MAX_BATCH_PIECES};

/// The queue of one connection: encoded replies, in order, up to a budget of bytes.
///
/// A client that lets the budget be exceeded is disconnected as slow ([`DisconnectCode::Slow`]): the queue is dropped
/// at once, so that its memory is free, and the client recovers when it returns. While nothing waits, nothing is
/// allocated.
///
/// The first reply of a connection answers its connect command. What subscriptions of the server bring before that
/// waits behind it.
#[derive(Debug)]
pub struct Outbound {
    queue: Mutex<Queue>,
    budget: usize,
}

#[derive(Debug, Default)]
struct Queue {
    pieces: VecDeque<Bytes>,
    cost: usize,
    /// Whether the first reply is there. Before, nothing is sent.
    open: bool,
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

    /// Queues a reply. Dropped if the connection is about to close.
    pub fn push(&self, reply: Bytes) {
        let mut queue = self.queue.lock();
        if queue.open {
            queue.add(reply, self.budget);
        } else if queue.end.is_none() {
            queue.open = true;
            queue.cost += reply.len() + OVERHEAD;
            queue.pieces.push_front(reply);
        }
        Self::wake_writer(queue);
    }

    /// Queues a piece of a subscription, unless the subscription has ended.
    pub fn push_live(&self, liveness: &Liveness, piece: Bytes) {
        let mut queue = self.queue.lock();
        if !liveness.ended.load(Ordering::Relaxed) {
            queue.add(piece, self.budget);
            Self::wake_writer(queue);
        }
    }

    fn wake_writer(mut queue: MutexGuard<'_, Queue>) {
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
        Self::wake_writer(queue);
    }

    /// Drops what waits, and takes nothing any more.
    pub fn shut(&self) {
        let mut queue = self.queue.lock();
        queue.drop_all();
        queue
            .end
            .get_or_insert_with(|| Box::new(DisconnectCode::Closed.into()));
    }

    /// Waits for something to do; moves what goes out in one write to `batch`, which must be empty.
    pub fn poll_next(&self, cx: &mut Context<'_>, batch: &mut Vec<Bytes>) -> Poll<Next> {
        let mut queue = self.queue.lock();
        if queue.open && !queue.pieces.is_empty() {
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
    fn add(&mut self, piece: Bytes, budget: usize) {
        if self.end.is_some() {
            return;
        }
        let cost = self.cost + piece.len() + OVERHEAD;
        // A piece that is alone is let through whatever its length: it cannot become shorter by a reconnect.
        if cost > budget && self.cost > 0 {
            self.drop_all();
            self.end = Some(Box::new(DisconnectCode::Slow.into()));
        } else {
            self.pieces.push_back(piece);
            self.cost = cost;
        }
    }

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
