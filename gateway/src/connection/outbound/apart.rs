//! What goes to a client on other ways than behind the replies, and how its transport takes it.

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;

use super::datagrams::{Datagram, Datagrams};
use super::lanes::{Lanes, Sent, Turn};
use super::liveness::{LaneId, Route};
use super::{Outbound, Queue};
use crate::connection::counters::LaneCounters;
use crate::transport::Takes;

/// What a push is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A publication, which may be lost where the channel's rules say so.
    Publication,
    /// Something else, which may not.
    Notice,
}

/// The lanes and datagrams of one connection.
#[derive(Debug)]
pub(super) struct Apart {
    takes: Takes,
    /// The number of the subscription that began last.
    pub(super) last: u32,
    pub(super) lanes: Lanes,
    datagrams: Datagrams,
    counters: Arc<LaneCounters>,
}

impl Outbound {
    /// An empty queue for a client that takes more than one stream, or may.
    #[must_use]
    pub fn taking(takes: Takes, budget: usize, counters: &Arc<LaneCounters>) -> Self {
        let outbound = Self::new(budget);
        if takes != Takes::default() {
            outbound.queue.lock().apart = Some(Box::new(Apart {
                takes,
                last: 0,
                lanes: Lanes::default(),
                datagrams: Datagrams::default(),
                counters: Arc::clone(counters),
            }));
        }
        outbound
    }

    /// A way for a subscription that begins, whose publications may be sent as `datagrams`. Numbers ascend.
    pub fn new_route(&self, datagrams: bool) -> Route {
        let mut queue = self.queue.lock();
        let Some(apart) = &mut queue.apart else {
            return Route::Control;
        };
        let datagrams = datagrams && apart.takes.datagrams;
        if !datagrams && !apart.takes.lanes {
            return Route::Control;
        }
        let Some(lane) = LaneId::new(apart.last + 1) else {
            return Route::Control;
        };
        apart.last += 1;
        if datagrams {
            Route::Datagrams(lane)
        } else {
            Route::Stream(lane)
        }
    }

    /// Waits for a lane with something to send, and moves some of it to `batch`, which must be empty. What became of it
    /// must be said before the next call, by [`lane_sent`](Self::lane_sent) or [`lane_refused`](Self::lane_refused).
    pub fn poll_lane(&self, cx: &mut Context<'_>, batch: &mut Vec<Bytes>) -> Poll<Turn> {
        let mut queue = self.queue.lock();
        if queue.open
            && let Some(apart) = &mut queue.apart
            && let Some(turn) = apart.lanes.take(batch)
        {
            return Poll::Ready(turn);
        }
        queue.wait(cx);
        Poll::Pending
    }

    /// Takes back what was not sent of a batch; pieces that were are empty.
    pub fn lane_sent(&self, turn: Turn, batch: &mut Vec<Bytes>, sent: Sent) {
        let mut queue = self.queue.lock();
        if let Some(apart) = &mut queue.apart {
            apart.lanes.give_back(turn, batch, sent);
        }
        // It may have been all that the connection waited for before it closes.
        if queue.end.is_some() && !queue.has_turns() {
            Self::wake_writer(queue);
        }
    }

    /// The lane gets no stream: it goes behind the replies from now on.
    pub fn lane_refused(&self, turn: Turn, batch: &mut Vec<Bytes>) {
        let mut queue = self.queue.lock();
        if let Some(apart) = &mut queue.apart {
            apart.counters.refused();
            let pieces = apart.lanes.fall_back(turn, batch);
            queue.cost += pieces.iter().map(super::cost).sum::<u32>();
            pieces.into_iter().for_each(|piece| queue.pieces.push_back(piece));
        }
        Self::wake_writer(queue);
    }

    /// The lane's stream takes something again.
    pub fn lane_unblocked(&self, lane: LaneId) {
        if let Some(apart) = &mut self.queue.lock().apart {
            apart.lanes.unblock(lane);
        }
    }

    /// Waits for a publication to send as a datagram. What is longer than `fits` allows goes on its lane instead.
    pub fn poll_datagram(
        &self,
        cx: &mut Context<'_>,
        fits: impl Fn(LaneId, u64, &Bytes) -> bool,
    ) -> Poll<Datagram> {
        let mut queue = self.queue.lock();
        let mut moved = false;
        while queue.open
            && let Some(apart) = &mut queue.apart
            && let Some(taken) = apart.datagrams.take(&fits)
        {
            match taken {
                Ok(datagram) => {
                    if moved {
                        cx.waker().wake_by_ref();
                    }
                    return Poll::Ready(datagram);
                }
                Err((lane, piece)) => {
                    apart.counters.too_large();
                    moved |= queue.add_to_lane(lane, piece, self.budget);
                }
            }
        }
        queue.wait(cx);
        if moved {
            // Behind the replies, perhaps, which had their turn.
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl Apart {
    pub(super) fn cost(&self) -> u32 {
        self.lanes.cost()
    }

    pub(super) fn drop_all(&mut self) {
        self.lanes.drop_all();
        self.datagrams.drop_all();
    }
}

impl Queue {
    /// Whether something can be sent on another stream at once.
    pub(super) fn has_turns(&self) -> bool {
        self.open && self.apart.as_ref().is_some_and(|apart| apart.lanes.has_turns())
    }

    /// Lets a piece wait on its way. Whether the writer has something to do.
    pub(super) fn add_apart(&mut self, route: Route, kind: Kind, piece: Bytes, budget: u32) -> bool {
        match (route, kind, &mut self.apart) {
            (Route::Datagrams(_), Kind::Publication, _) if self.end.is_some() => false,
            (Route::Datagrams(lane), Kind::Publication, Some(apart)) => {
                let first = apart.datagrams.is_empty();
                apart.counters.dropped(apart.datagrams.add(lane, piece));
                first
            }
            (Route::Datagrams(lane) | Route::Stream(lane), _, _) => self.add_to_lane(lane, piece, budget),
            (Route::Control, _, _) => self.add(piece, budget),
        }
    }

    fn add_to_lane(&mut self, lane: LaneId, piece: Bytes, budget: u32) -> bool {
        let Some(apart) = self
            .apart
            .as_ref()
            .filter(|apart| apart.takes.lanes && !apart.lanes.has_fallen(lane))
        else {
            return self.add(piece, budget);
        };
        let cost = apart.lanes.cost_of(lane, &piece);
        match self.admit(cost, budget) {
            true => self
                .apart
                .as_mut()
                .is_some_and(|apart| apart.lanes.add(lane, piece)),
            false => true,
        }
    }

    /// Ends a lane. Whether the writer has something to do.
    pub(super) fn end_apart(&mut self, lane: LaneId) -> bool {
        // The end of the connection is the end of all its streams.
        if self.end.is_some() {
            return false;
        }
        let Some(apart) = &mut self.apart else {
            return false;
        };
        apart.counters.dropped(apart.datagrams.end(lane));
        apart.takes.lanes && apart.lanes.end(lane)
    }
}
