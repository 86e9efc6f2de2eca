//! Publications that wait to be sent as datagrams.
//!
//! They are for clients that want what is new rather than all that was: beyond a bound of their own the oldest are
//! dropped, and neither they nor what becomes of them makes a client slow.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::cost;
use super::liveness::LaneId;

/// What may wait, in bytes and places: what a client at 4 Mbit/s takes in an eighth of a second. What waits longer is
/// not news.
pub(super) const MAX_WAITING: u32 = 64 * 1024;

/// The datagrams of one connection.
#[derive(Debug, Default)]
pub(super) struct Datagrams {
    waiting: VecDeque<(LaneId, Bytes)>,
    cost: u32,
    /// The last number given to a datagram of a subscription, while that goes on.
    numbers: BTreeMap<LaneId, u64>,
}

/// A publication that goes out as a datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Whose it is.
    pub lane: LaneId,
    /// Its number within the subscription, from 1.
    pub number: u64,
    /// The push, as it would go on a stream.
    pub piece: Bytes,
}

impl Datagrams {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Lets a publication wait. How many others were dropped for it.
    pub(super) fn add(&mut self, lane: LaneId, piece: Bytes) -> u64 {
        self.cost += cost(&piece);
        self.waiting.push_back((lane, piece));
        let mut dropped = 0;
        while self.cost > MAX_WAITING && self.waiting.len() > 1 {
            self.pop();
            dropped += 1;
        }
        dropped
    }

    fn pop(&mut self) -> Option<(LaneId, Bytes)> {
        let (lane, piece) = self.waiting.pop_front()?;
        self.cost -= cost(&piece);
        if self.waiting.is_empty() {
            self.waiting = VecDeque::new();
        }
        Some((lane, piece))
    }

    /// The next that goes out, or else the piece that is larger than `fits` allows, and has no number.
    pub(super) fn take(
        &mut self,
        fits: impl FnOnce(LaneId, u64, &Bytes) -> bool,
    ) -> Option<Result<Datagram, (LaneId, Bytes)>> {
        let (lane, piece) = self.pop()?;
        let number = self.numbers.get(&lane).map_or(1, |last| last + 1);
        if !fits(lane, number, &piece) {
            return Some(Err((lane, piece)));
        }
        self.numbers.insert(lane, number);
        Some(Ok(Datagram { lane, number, piece }))
    }

    /// The subscription is over: what waits of it is dropped. How many those were.
    pub(super) fn end(&mut self, lane: LaneId) -> u64 {
        self.numbers.remove(&lane);
        let before = self.waiting.len();
        let cost_of = |(_, piece): &(LaneId, Bytes)| cost(piece);
        self.waiting.retain(|(found, _)| *found != lane);
        self.cost = self.waiting.iter().map(cost_of).sum();
        if self.waiting.is_empty() {
            self.waiting = VecDeque::new();
        }
        (before - self.waiting.len()) as u64
    }

    /// Drops everything.
    pub(super) fn drop_all(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests;
