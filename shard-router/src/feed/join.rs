//! Whether a subscriber may join now, where it joins, and what it is told about what it missed.

use std::sync::Arc;

use campanile_common::{Offset, Position};

use super::{Feed, ReadNumber, Stage};
use crate::audience::LossReason;
use crate::publication::Publication;

/// What a returning subscriber asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recover {
    /// The last position it has.
    pub position: Position,
    /// What it needs to go on.
    pub mode: RecoverMode,
}

/// What a returning subscriber needs to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecoverMode {
    /// Every publication after its position.
    Stream,
    /// The latest publication only: the channel carries a state, each publication the whole of it.
    Cache,
}

/// Where a subscriber joined, and what it missed.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscribed {
    /// Delivery continues after this; `None` without a stream.
    pub position: Option<Position>,
    /// What the subscriber missed, ascending, up to `position`.
    pub publications: Vec<Arc<Publication>>,
    /// Whether that is everything; `None` if it did not ask to recover.
    pub outcome: Option<RecoveryOutcome>,
}

/// Whether a subscriber that asked to recover missed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecoveryOutcome {
    /// It has every publication up to the position it was given. (In cache mode: the latest one.)
    Recovered,
    /// It may have missed something, and why.
    Lost(LossReason),
}

/// What a waiting subscriber waits for. Handed to each [`Feed::join`] of one subscriber, and to [`Feed::forget`] at
/// the end, whatever the end.
#[derive(Debug, Default)]
pub struct Ticket {
    /// A read begun after this one tells whether its position exists.
    verified_after: Option<ReadNumber>,
    /// A recent read numbered above this one brings what the stream still has.
    recent_after: Option<ReadNumber>,
    /// Whether it waits for a recent read that another subscriber asked for.
    shared: bool,
}

impl Ticket {
    /// Whether the answer took a read of the stream's content.
    #[must_use]
    pub fn took_read(&self) -> bool {
        self.recent_after.is_some()
    }

    /// Whether that read was asked for by another subscriber.
    #[must_use]
    pub fn shared_read(&self) -> bool {
        self.shared
    }
}

impl Feed {
    /// Lets a subscriber join if it can be told the truth now. `None`: it has to wait; ask again after the next
    /// change. The caller must add the subscriber under the same lock as this call: it joins exactly at the
    /// position that is returned.
    pub fn join(&mut self, recover: Option<&Recover>, limit: u32, ticket: &mut Ticket) -> Option<Subscribed> {
        if self.stage != Stage::Live {
            if recover.is_some() && self.stream && self.delivered.is_none() {
                self.want_recent(ticket);
            }
            return None;
        }
        let subscribed = match (&self.delivered, recover) {
            (Some(position), None) => answer(Some(position.clone()), Vec::new(), None),
            (Some(position), Some(recover)) => {
                let position = position.clone();
                let (publications, outcome) = self.recover(recover, limit, &position, ticket)?;
                answer(Some(position), publications, Some(outcome))
            }
            (None, _) => {
                let lost = RecoveryOutcome::Lost(LossReason::PositionExpired);
                answer(None, Vec::new(), recover.map(|_| lost))
            }
        };
        self.occupied = true;
        Some(subscribed)
    }

    /// The subscriber of `ticket` has joined or gone away.
    pub fn forget(&mut self, ticket: &mut Ticket) {
        if ticket.recent_after.take().is_none() {
            return;
        }
        self.reads.pins = self.reads.pins.saturating_sub(1);
        if self.reads.pins == 0 {
            self.reads.recent_wanted = false;
            self.keep_recovered();
        }
    }

    fn recover(
        &mut self,
        recover: &Recover,
        limit: u32,
        delivered: &Position,
        ticket: &mut Ticket,
    ) -> Option<(Vec<Arc<Publication>>, RecoveryOutcome)> {
        match recover.mode {
            RecoverMode::Cache => self.recover_latest(&recover.position, delivered, ticket),
            RecoverMode::Stream => match self.recover_stream(&recover.position, limit, delivered, ticket)? {
                Ok(publications) => Some((publications, RecoveryOutcome::Recovered)),
                Err(reason) => Some((Vec::new(), RecoveryOutcome::Lost(reason))),
            },
        }
    }

    fn recover_stream(
        &mut self,
        asked: &Position,
        limit: u32,
        delivered: &Position,
        ticket: &mut Ticket,
    ) -> Option<Result<Vec<Arc<Publication>>, LossReason>> {
        if asked.epoch != delivered.epoch {
            let known = asked.epoch.is_empty() || self.is_verified(ticket);
            return known.then_some(Err(LossReason::EpochChanged));
        }
        if asked.offset > delivered.offset {
            return self.is_verified(ticket).then_some(Err(LossReason::PositionAhead));
        }
        if delivered.offset.get() - asked.offset.get() > u64::from(limit) {
            return Some(Err(LossReason::LimitExceeded));
        }
        if asked.offset >= self.window.floor(delivered.offset) {
            return Some(Ok(self.window.after(asked.offset)));
        }
        let expired = asked.offset < self.reads.gone || self.has_recent(ticket);
        expired.then_some(Err(LossReason::PositionExpired))
    }

    fn recover_latest(
        &mut self,
        asked: &Position,
        delivered: &Position,
        ticket: &mut Ticket,
    ) -> Option<(Vec<Arc<Publication>>, RecoveryOutcome)> {
        if asked == delivered {
            return Some((Vec::new(), RecoveryOutcome::Recovered));
        }
        if let Some(latest) = self.window.newest() {
            return Some((vec![Arc::clone(latest)], RecoveryOutcome::Recovered));
        }
        let nothing = delivered.offset == Offset::ZERO || self.has_recent(ticket);
        nothing.then(|| (Vec::new(), RecoveryOutcome::Lost(LossReason::PositionExpired)))
    }

    /// Whether a read begun after the subscriber came has been answered; asks for one if not. The subscriber may
    /// know of a publication, or an epoch, of which this gateway has not yet heard.
    fn is_verified(&mut self, ticket: &mut Ticket) -> bool {
        let after = *ticket.verified_after.get_or_insert_with(|| {
            self.asked = Some(self.reads.begun);
            self.reads.begun
        });
        // What that read announced must have been delivered before it can be compared with.
        let caught_up = self
            .delivered
            .as_ref()
            .is_some_and(|position| position.offset >= self.known_top);
        self.reads.completed > after && caught_up
    }

    /// Whether the window holds all that a recent read could bring; asks for one if not.
    fn has_recent(&mut self, ticket: &mut Ticket) -> bool {
        if ticket.recent_after.is_some_and(|after| self.reads.recent > after) {
            return true;
        }
        self.want_recent(ticket);
        false
    }

    fn want_recent(&mut self, ticket: &mut Ticket) {
        if ticket.recent_after.is_some() {
            return;
        }
        self.reads.pins += 1;
        ticket.shared = self.reads.recent_wanted || self.reads.recent_pending.is_some();
        let under_way = self
            .reads
            .recent_pending
            .filter(|number| *number > self.reads.void);
        self.reads.recent_wanted |= under_way.is_none();
        ticket.recent_after = Some(under_way.map_or(self.reads.begun, |number| number - 1));
    }
}

fn answer(
    position: Option<Position>,
    publications: Vec<Arc<Publication>>,
    outcome: Option<RecoveryOutcome>,
) -> Subscribed {
    Subscribed {
        position,
        publications,
        outcome,
    }
}
