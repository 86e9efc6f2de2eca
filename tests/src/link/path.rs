//! One direction of a link: what becomes of each packet, without any I/O.

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

/// Packets that may be under way in one direction: more than any test has, and an end to a sender gone wild.
const CAPACITY: usize = 10_000;

/// The place of the protocol in the header of IPv4, and UDP's number there.
const PROTOCOL: usize = 9;
const UDP: u8 = 17;

/// What a link does to packets, in each of its directions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conditions {
    /// How long a packet is under way.
    pub delay: Duration,
    /// The share of packets that are lost: 0 to 1.
    pub loss: f64,
    /// The share of packets that are under way for twice the delay, so that later ones overtake them.
    pub late: f64,
    /// The longest packet in bytes, IP's header included. Longer ones vanish without a word, as behind many a router: the
    /// devices at the ends take 1500.
    pub mtu: usize,
    /// Whether UDP vanishes.
    pub blocks_udp: bool,
    /// What the fates are drawn from: the same for the same packets in the same order.
    pub seed: u64,
}

impl Default for Conditions {
    /// At once, and everything.
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            loss: 0.0,
            late: 0.0,
            mtu: 1500,
            blocks_udp: false,
            seed: 0,
        }
    }
}

/// What has become of packets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Taken along; the last ones may be under way.
    pub carried: u64,
    /// Drawn to be lost.
    pub lost: u64,
    /// Too long for the path.
    pub oversized: u64,
    /// UDP where there is none.
    pub blocked: u64,
    /// Too many under way.
    pub overflown: u64,
}

/// One direction of a link.
#[derive(Debug)]
pub(super) struct Path {
    conditions: Conditions,
    random: StdRng,
    under_way: BinaryHeap<Reverse<Parcel>>,
    counts: Counts,
}

/// A packet that is under way: when it arrives, which it is of the packets carried, its bytes.
type Parcel = (Instant, u64, Vec<u8>);

impl Path {
    /// `direction` tells the draws of one direction from those of the other.
    pub(super) fn new(conditions: Conditions, direction: u64) -> Self {
        Self {
            conditions,
            random: StdRng::seed_from_u64(conditions.seed.wrapping_mul(2).wrapping_add(direction)),
            under_way: BinaryHeap::new(),
            counts: Counts::default(),
        }
    }

    pub(super) fn conditions_mut(&mut self) -> &mut Conditions {
        &mut self.conditions
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    /// Takes a packet in.
    pub(super) fn offer(&mut self, packet: &[u8], now: Instant) {
        // Drawn for every packet, so that its fate depends on which one it is and not on what the others were like.
        let (is_lost, is_late) = (self.draw(self.conditions.loss), self.draw(self.conditions.late));
        let counts = &mut self.counts;
        if self.conditions.blocks_udp && packet.get(PROTOCOL) == Some(&UDP) {
            counts.blocked += 1;
        } else if packet.len() > self.conditions.mtu {
            counts.oversized += 1;
        } else if is_lost {
            counts.lost += 1;
        } else if self.under_way.len() >= CAPACITY {
            counts.overflown += 1;
        } else {
            let delay = self.conditions.delay * if is_late { 2 } else { 1 };
            let parcel = (now + delay, counts.carried, packet.to_vec());
            self.under_way.push(Reverse(parcel));
            counts.carried += 1;
        }
    }

    /// The next packet that has arrived by `now`.
    pub(super) fn arrived(&mut self, now: Instant) -> Option<Vec<u8>> {
        if self.next_arrival()? > now {
            return None;
        }
        let Reverse((_, _, packet)) = self.under_way.pop()?;
        Some(packet)
    }

    /// When the next packet arrives.
    pub(super) fn next_arrival(&self) -> Option<Instant> {
        self.under_way.peek().map(|Reverse((at, _, _))| *at)
    }

    fn draw(&mut self, share: f64) -> bool {
        self.random.random::<f64>() < share
    }
}
