//! What waits to be sent to one client.

mod apart;
mod datagrams;
mod lanes;
mod liveness;
mod pieces;

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use campanile_common::{Disconnect, DisconnectCode};
use parking_lot::{Mutex, MutexGuard};

use crate::transport::{MAX_BATCH_BYTES, MAX_BATCH_PIECES};
use apart::Apart;
pub use apart::Kind;
pub use datagrams::Datagram;
pub use lanes::{Sent, Turn};
pub use liveness::{LaneId, Liveness, Route, Tag};
use pieces::Pieces;

/// The queue of one connection: encoded replies, in order, up to a budget of bytes.
///
/// A client that lets the budget be exceeded is disconnected as slow ([`DisconnectCode::Slow`]): the queue is dropped
/// at once, so that its memory is free, and the client recovers when it returns. While nothing waits, nothing is
/// allocated.
///
/// The first reply of a connection answers its connect command. What subscriptions of the server bring before that
/// waits behind it.
///
/// For a client that takes more than one stream, the pushes of its subscriptions wait in lanes of their own, and some
/// publications to go out as datagrams. The budget is one for all of them, but for datagrams, which are dropped
/// before they cost much.
#[derive(Debug)]
pub struct Outbound {
    queue: Mutex<Queue>,
    budget: u32,
}

#[derive(Debug, Default)]
struct Queue {
    pieces: Pieces,
    /// Of these pieces. 32 bits, so that the queue is not larger for what few connections have.
    cost: u32,
    /// Whether the first reply is there. Before, nothing is sent.
    open: bool,
    gathering: Gathering,
    /// The connection is to be closed once the queue is empty; nothing is added any more.
    end: Option<Box<Disconnect>>,
    /// The writer, while it waits.
    writer: Option<Waker>,
    /// What does not go behind the replies, where the client takes it.
    apart: Option<Box<Apart>>,
}

/// Whether the writer lets other tasks go first, which may have more for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Gathering {
    /// There is no reason to.
    #[default]
    Needless,
    /// It has yet to.
    Wanted,
    /// It has done so since it last took something.
    Done,
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

/// The largest budget: costs are counted in 32 bits, and one piece above the budget may be on top.
const MAX_BUDGET: usize = 1 << 31;

impl Outbound {
    /// An empty queue. `budget` is in bytes; more than 2 GiB is 2 GiB.
    #[must_use]
    pub fn new(budget: usize) -> Self {
        Self {
            queue: Mutex::default(),
            budget: u32::try_from(budget.min(MAX_BUDGET)).unwrap_or(u32::MAX),
        }
    }

    /// What waits, in bytes of the budget: each piece costs its place as well. Datagrams aside.
    #[must_use]
    pub fn waiting_bytes(&self) -> u32 {
        self.queue.lock().waiting()
    }

    /// Queues a reply. Dropped if the connection is about to close.
    pub fn push(&self, reply: Bytes) {
        self.push_to(self.queue.lock(), reply);
    }

    fn push_to(&self, mut queue: MutexGuard<'_, Queue>, reply: Bytes) {
        if queue.open {
            queue.add(reply, self.budget);
        } else if queue.end.is_none() {
            queue.open = true;
            queue.cost += cost(&reply);
            queue.pieces.push_front(reply);
        }
        Self::wake_writer(queue);
    }

    /// Queues a reply that others will soon follow, because more requests are under way. The writer does not run ahead of
    /// the tasks that bring them: answers of a shard come many at a time, and a client that publishes in batches of 32
    /// then costs one write instead of 32, which were half of the gateway's CPU time for each publication.
    pub fn push_one_of_many(&self, reply: Bytes) {
        let mut queue = self.queue.lock();
        if queue.gathering == Gathering::Needless {
            queue.gathering = Gathering::Wanted;
        }
        self.push_to(queue, reply);
    }

    /// Queues a piece of a subscription on its way, unless the subscription has ended.
    pub fn push_live(&self, liveness: &Liveness, kind: Kind, piece: Bytes) {
        let mut queue = self.queue.lock();
        if liveness.is_over() {
            return;
        }
        let wake = match liveness.route() {
            Route::Control => queue.add(piece, self.budget),
            route => queue.add_apart(route, kind, piece, self.budget),
        };
        if wake {
            Self::wake_writer(queue);
        }
    }

    /// Whether a piece of this subscription would be queued now. If so, none before was turned away: ends are for good.
    pub fn takes(&self, liveness: &Liveness) -> bool {
        let queue = self.queue.lock();
        queue.end.is_none() && !liveness.is_over()
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
        let mut queue = self.queue.lock();
        if !liveness.end() {
            return false;
        }
        if let Some(lane) = liveness.route().lane()
            && queue.end_apart(lane)
        {
            Self::wake_writer(queue);
        }
        true
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
            if queue.gathering == Gathering::Wanted {
                queue.gathering = Gathering::Done;
                // The scheduler puts a task that wakes itself behind all others.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            queue.gathering = Gathering::Needless;
            queue.take(batch);
            return Poll::Ready(Next::Send);
        }
        match &queue.end {
            // What can be sent at once on other streams goes first.
            Some(end) if !queue.has_turns() => return Poll::Ready(Next::Close((**end).clone())),
            _ => queue.wait(cx),
        }
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
    /// Lets a piece wait behind the replies. Whether the writer has something to do.
    fn add(&mut self, piece: Bytes, budget: u32) -> bool {
        if self.admit(cost(&piece), budget) {
            self.cost += cost(&piece);
            self.pieces.push_back(piece);
        }
        true
    }

    /// Whether something of this cost may wait. If it is too much, everything is dropped and the connection ends.
    fn admit(&mut self, cost: u32, budget: u32) -> bool {
        if self.end.is_some() {
            return false;
        }
        let waiting = self.waiting();
        // A piece that is alone is let through whatever its length: it cannot become shorter by a reconnect.
        let fits = waiting == 0 || waiting.saturating_add(cost) <= budget;
        if !fits {
            self.drop_all();
            self.end = Some(Box::new(DisconnectCode::Slow.into()));
        }
        fits
    }

    fn waiting(&self) -> u32 {
        self.cost + self.apart.as_ref().map_or(0, |apart| apart.cost())
    }

    /// Moves pieces to `batch` up to the limits of one write, at least one.
    fn take(&mut self, batch: &mut Vec<Bytes>) {
        self.pieces.take(batch);
        self.cost -= batch.iter().map(cost).sum::<u32>();
    }

    fn drop_all(&mut self) {
        self.pieces = Pieces::default();
        self.cost = 0;
        if let Some(apart) = &mut self.apart {
            apart.drop_all();
        }
    }

    fn wait(&mut self, cx: &Context<'_>) {
        match &mut self.writer {
            Some(writer) => writer.clone_from(cx.waker()),
            None => self.writer = Some(cx.waker().clone()),
        }
    }
}

/// What a piece costs while it waits. None is as long as 32 bits can tell: no transport and no API lets it in.
fn cost(piece: &Bytes) -> u32 {
    u32::try_from(piece.len() + OVERHEAD).unwrap_or(u32::MAX)
}

/// Moves pieces to `batch`, which must be empty, up to the limits of one write; at least one, if there is one.
fn take_batch(pieces: &mut VecDeque<Bytes>, batch: &mut Vec<Bytes>) {
    let mut bytes = 0;
    while let Some(piece) = pieces.front() {
        bytes += piece.len();
        if !batch.is_empty() && (bytes > MAX_BATCH_BYTES || batch.len() == MAX_BATCH_PIECES) {
            return;
        }
        batch.extend(pieces.pop_front());
    }
    *pieces = VecDeque::new();
}

#[cfg(test)]
mod tests;
