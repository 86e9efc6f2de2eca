//! What waits for a connection's subscriptions with streams of their own.
//!
//! A lane exists here while something of it waits; whether its stream is open is the transport's business. Lanes with
//! something to do take turns. The transport takes a batch of the lane whose turn it is and says what became of it:
//!
//! ```text
//!           push                      take
//! (nothing) ────▶ Waiting (in turns) ──────▶ Taken ──▶ all sent: (nothing), or Waiting if there is more
//!                    ▲                         │
//!                    └──────── unblocked ── Blocked ◀─ the stream takes no more
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;

use super::liveness::LaneId;
use super::{cost, take_batch};

/// The lanes of one connection.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    waiting: BTreeMap<LaneId, Lane>,
    /// Those with something to do, next first, each once.
    turns: VecDeque<LaneId>,
    /// Lanes that have no stream and never will: their pushes go behind the replies, until they end.
    fallen: BTreeSet<LaneId>,
    /// The cost of what waits, of what is taken and of the places that it needs.
    cost: u32,
    /// How much of that is of the batch that is taken.
    taken: u32,
}

#[derive(Debug)]
struct Lane {
    pieces: VecDeque<Bytes>,
    state: State,
    /// The subscription has ended; so does the stream behind what waits.
    ended: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Taken,
    Blocked,
}

/// A lane whose batch is to be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Which.
    pub lane: LaneId,
    /// Whether its stream ends behind the batch, which may be empty then.
    pub last: bool,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// What is left of it may be tried again at the lane's next turn.
    Some,
    /// The stream takes nothing now; the transport will say when it does.
    Blocked,
    /// The client does not want this stream: what waits is dropped.
    Unwanted,
}

/// What a lane in which something waits costs beside that: its entry, its turn, and the least that a queue allocates.
const PLACE: u32 = 256;

const _: () =
    assert!(size_of::<(LaneId, Lane)>() + size_of::<LaneId>() + 4 * size_of::<Bytes>() <= PLACE as usize);

impl Lanes {
    /// The cost of all that is here.
    pub(super) fn cost(&self) -> u32 {
        self.cost
    }

    /// What `piece` would add to that.
    pub(super) fn cost_of(&self, lane: LaneId, piece: &Bytes) -> u32 {
        let place = if self.waiting.contains_key(&lane) {
            0
        } else {
            PLACE
        };
        cost(piece) + place
    }

    /// Whether a lane waits for its turn.
    pub(super) fn has_turns(&self) -> bool {
        !self.turns.is_empty()
    }

    /// Whether the pushes of `lane` go behind the replies.
    pub(super) fn has_fallen(&self, lane: LaneId) -> bool {
        self.fallen.contains(&lane)
    }

    /// Lets a piece wait. Whether the transport has something to do now.
    pub(super) fn add(&mut self, id: LaneId, piece: Bytes) -> bool {
        self.cost += cost(&piece);
        let lane = self.lane(id);
        lane.pieces.push_back(piece);
        lane.state == State::Waiting
    }

    /// Ends a lane behind what waits. Whether the transport has something to do now.
    pub(super) fn end(&mut self, id: LaneId) -> bool {
        if self.fallen.remove(&id) {
            return false;
        }
        let lane = self.lane(id);
        lane.ended = true;
        lane.state == State::Waiting
    }

    /// The lane with this number; if nothing of it waits, it gets a place and a turn.
    fn lane(&mut self, id: LaneId) -> &mut Lane {
        self.waiting.entry(id).or_insert_with(|| {
            self.cost += PLACE;
            self.turns.push_back(id);
            Lane {
                pieces: VecDeque::new(),
                state: State::Waiting,
                ended: false,
            }
        })
    }

    /// Moves a batch of the lane whose turn it is to `batch`, which must be empty.
    pub(super) fn take(&mut self, batch: &mut Vec<Bytes>) -> Option<Turn> {
        debug_assert_eq!(self.taken, 0, "one batch at a time");
        let id = self.turns.pop_front()?;
        if self.turns.is_empty() {
            self.turns = VecDeque::new();
        }
        let lane = self.waiting.get_mut(&id)?;
        lane.state = State::Taken;
        take_batch(&mut lane.pieces, batch);
        self.taken = batch.iter().map(cost).sum();
        Some(Turn {
            lane: id,
            last: lane.ended && lane.pieces.is_empty(),
        })
    }

    /// Takes back what was not sent of a batch. Empty pieces were.
    pub(super) fn give_back(&mut self, turn: Turn, batch: &mut Vec<Bytes>, sent: Sent) {
        self.cost -= std::mem::take(&mut self.taken);
        let Some(lane) = self.waiting.get_mut(&turn.lane) else {
            // Everything was dropped meanwhile.
            return batch.clear();
        };
        for piece in batch.drain(..).rev().filter(|piece| !piece.is_empty()) {
            self.cost += cost(&piece);
            lane.pieces.push_front(piece);
        }
        if sent == Sent::Unwanted {
            self.cost -= lane.pieces.drain(..).map(|piece| cost(&piece)).sum::<u32>();
        }
        let ends = lane.ended && !turn.last;
        if sent == Sent::Blocked && !lane.pieces.is_empty() {
            lane.state = State::Blocked;
        } else if !lane.pieces.is_empty() || ends {
            lane.state = State::Waiting;
            self.turns.push_back(turn.lane);
        } else {
            self.remove(turn.lane);
        }
    }

    /// The stream of a lane takes something again. Whether the lane has something to send.
    pub(super) fn unblock(&mut self, id: LaneId) -> bool {
        match self.waiting.get_mut(&id) {
            Some(lane) if lane.state == State::Blocked => {
                lane.state = State::Waiting;
                self.turns.push_back(id);
                true
            }
            _ => false,
        }
    }

    /// A lane whose first batch was taken gets no stream. What waits of it, in order. Nothing if it has ended: its end
    /// is behind the replies already, and perhaps another subscription to the same channel.
    pub(super) fn fall_back(&mut self, turn: Turn, batch: &mut Vec<Bytes>) -> VecDeque<Bytes> {
        self.give_back(turn, batch, Sent::Blocked);
        match self.remove(turn.lane) {
            Some(lane) if !lane.ended => {
                self.fallen.insert(turn.lane);
                lane.pieces
            }
            _ => VecDeque::new(),
        }
    }

    fn remove(&mut self, id: LaneId) -> Option<Lane> {
        let lane = self.waiting.remove(&id)?;
        self.cost -= PLACE + lane.pieces.iter().map(cost).sum::<u32>();
        Some(lane)
    }

    /// Drops everything.
    pub(super) fn drop_all(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests;
