//! Which shards a partition's channels are subscribed at while the partition changes hands, and which shard's messages
//! may be handed on.
//!
//! Pure: no clock, no I/O, no runtime. The router and the simulator hand in what happens and do what is asked for.
//! There is one [`Handover`] for each partition and one [`Subscriptions`] for each channel; a channel's methods are
//! given its partition's handover.
//!
//! # The rule
//!
//! While a partition moves from A to B its channels are subscribed at both, so that nothing is missed whichever of
//! them accepts a publication. What A accepted, it accepted before anything that B accepts; but the two arrive on
//! different links. So A is *drained*: from the announcement on, whatever another shard sends is held back as long as
//! the present link to A may still bring something, that is until it has brought the *marker* by which A says that
//! it sealed the partition for this move (or a later one), or none of the partition's channels is subscribed on it any
//! more, or it is gone. This is evaluated each time and never remembered: a link that took a broken one's place
//! counts as soon as a channel is subscribed on it. The commit does not end it, and the next move of the partition
//! is not applied before it is over.

mod held;
mod link;
mod owners;
mod subscriptions;

use crate::safeguard::{Safeguard, holds};
use crate::topology::{Generation, MoveHistory, PartitionState, ShardId};
pub use held::{HoldLimits, Weighed};
use link::Links;
use owners::{Drain, Owners};
pub use subscriptions::{Receipt, Request, Settled, Subscriptions};

/// Names one life of one link to one shard; unique among all links of the process, and growing: a link that takes
/// another's place has a higher one.
pub type Serial = u64;

/// One partition's change of hands, as one gateway lives through it. See the module's documentation.
#[derive(Clone, Debug, Default)]
pub struct Handover {
    /// The generation of the document that is applied.
    applied: Generation,
    owners: Owners,
    /// What a newer document says that cannot be applied yet.
    foreseen: Option<Owners>,
    drain: Option<Drain>,
    links: Links,
    /// Set while a shard is known to have sealed the partition for a document that is not applied yet.
    expired: Option<Generation>,
    /// The last link that ended while its shard was still being drained.
    cut: Option<Serial>,
    /// How many moves have ended, and what became of the history in the last one.
    ended: u32,
    history: MoveHistory,
}

/// What may be done with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Hand it on.
    Pass,
    /// Hold it back: what was published before may still be on its way from another shard.
    Hold,
}

/// What an applied document means for the partition's channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    Nothing,
    /// They are subscribed at other shards from now on; what they receive is continuous all the same.
    Sources,
    /// The partition came into other hands without this gateway having been subscribed there before: messages may be
    /// missing, and what was kept of recent ones is no longer known to be continuous.
    Broken,
}

/// What follows from a marker, from the end of a link or of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    Nothing,
    /// The former owner has said its last: [`Subscriptions::settle`] is due for each channel of the partition.
    Released,
    /// The partition was sealed for a document that is not applied yet: it is not to be served until that is. What is
    /// due after [`Effect::Released`] is due too.
    Expired,
}

impl Handover {
    /// Whether a document that says `next` of this partition may be applied now. A move must wait until the shard of
    /// the one before is drained; see [`Handover::foresee`].
    #[must_use]
    pub fn may_apply(&self, next: &PartitionState) -> bool {
        let PartitionState::Moving { from, .. } = next else {
            return true;
        };
        if Owners::of(next) == self.owners || !holds(Safeguard::NextMoveWaits) {
            return true;
        }
        match &self.owners {
            Owners::Unknown => true,
            // The move that was under way was abandoned.
            Owners::Two { from: present, .. } if present == from => true,
            Owners::Two { to: owner, .. } | Owners::One(owner) => {
                self.is_drained() && (owner == from || self.is_silent(owner))
            }
        }
    }

    /// A newer document says `next`, and must wait. Shards that no longer own the partition by it are left already,
    /// which ends the wait.
    pub fn foresee(&mut self, next: &PartitionState) {
        self.foreseen = (!self.may_apply(next)).then(|| Owners::of(next));
    }

    /// The document of `generation`, which says `state` of this partition, is applied. (Documents are applied whole:
    /// ask [`Handover::may_apply`] of every partition first.) Whatever it returns, [`Subscriptions::settle`] is due for
    /// the partition's channels unless it is [`Change::Nothing`].
    pub fn apply(&mut self, state: &PartitionState, generation: Generation) -> Change {
        self.applied = generation;
        let resumed = self.expired.take_if(|awaited| *awaited <= generation).is_some();
        let foreseen = self.foreseen.take().is_some();
        let before = std::mem::replace(&mut self.owners, Owners::of(state));
        let moved = before != self.owners;
        let in_order = !moved || self.follow(&before, state);
        self.look();
        if resumed || !in_order {
            return Change::Broken;
        }
        if moved || foreseen {
            return Change::Sources;
        }
        Change::Nothing
    }

    /// The owners were `before`, and are others now: sees to what must be drained. True if whoever was subscribed at
    /// all of them missed nothing.
    fn follow(&mut self, before: &Owners, state: &PartitionState) -> bool {
        let undisturbed = !matches!(state, PartitionState::Opening { .. });
        match (before, &self.owners) {
            (
                _,
                Owners::Two {
                    from,
                    generation,
                    history,
                    ..
                },
            ) => {
                let next = Drain {
                    shard: from.clone(),
                    through: Some(*generation),
                    ends: Some(*history),
                };
                let in_order = *before == Owners::Unknown || before.names(from);
                if matches!(before, Owners::Two { to, .. } if to == from) {
                    // The commit in between was not seen.
                    self.end();
                }
                self.drain = Some(next);
                in_order
            }
            (Owners::Unknown, _) => true,
            (Owners::Two { to, .. }, Owners::One(owner)) if to == owner => {
                if !holds(Safeguard::HoldPastCommit) {
                    self.end();
                    self.drain = None;
                }
                undisturbed
            }
            (Owners::Two { from, .. }, Owners::One(owner)) if from == owner => {
                self.drain = None;
                undisturbed
            }
            (Owners::Two { to: old, .. } | Owners::One(old), _) => {
                if self.is_drained() {
                    // No marker is known to be the last word of a shard that lost the partition in another way.
                    self.drain = Some(Drain {
                        shard: old.clone(),
                        through: None,
                        ends: None,
                    });
                }
                false
            }
        }
    }

    /// The shards at which the partition's channels must be subscribed: none before the first document and while
    /// expired, two during a move.
    pub fn required(&self) -> impl Iterator<Item = &ShardId> {
        let owners = match &self.owners {
            _ if self.is_expired() => [None, None],
            Owners::Unknown => [None, None],
            Owners::One(owner) => [Some(owner), None],
            Owners::Two { from, to, .. } => [Some(from), Some(to)],
        };
        let stays = |shard: &&ShardId| self.foreseen.as_ref().is_none_or(|next| next.names(shard));
        owners.into_iter().flatten().filter(stays)
    }

    /// The present link to `shard`, as far as channels of the partition were asked for on it, or it brought a marker.
    #[must_use]
    pub fn link_to(&self, shard: &ShardId) -> Option<Serial> {
        self.links.to(shard).map(|link| link.serial)
    }

    /// The shard to which `link` leads, if it is a present one.
    #[must_use]
    pub fn shard_of(&self, link: Serial) -> Option<&ShardId> {
        self.links.by_serial(link).map(|link| &link.shard)
    }

    /// What may be done with a message that `link` brought.
    #[must_use]
    pub fn verdict(&self, link: Serial) -> Verdict {
        if self.is_drained() {
            return Verdict::Pass;
        }
        self.shard_of(link)
            .map_or(Verdict::Hold, |shard| self.verdict_on(shard))
    }

    /// What may be done with what `shard` says.
    #[must_use]
    pub fn verdict_on(&self, shard: &ShardId) -> Verdict {
        let held = match self.draining() {
            None => false,
            Some(drained) if drained == shard || !holds(Safeguard::HoldBack) => false,
            Some(_) => holds(Safeguard::HoldFromAnyOther) || self.owners.names(shard),
        };
        if held { Verdict::Hold } else { Verdict::Pass }
    }

    /// Whether no shard that owned the partition before may still send something: every message passes, whichever link
    /// brings it.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.drain.as_ref().is_none_or(|drain| !self.delivers(drain))
    }

    /// Whether the applied document may be acknowledged as far as this partition is concerned. `lacking`: how many of
    /// its wanted channels [lack](Subscriptions::lacks) a subscription.
    #[must_use]
    pub fn is_acknowledgeable(&self, lacking: usize) -> bool {
        match self.owners {
            // It was not applied before the drain of an earlier move was over; that of this one takes its course.
            Owners::Two { .. } => lacking == 0,
            Owners::Unknown | Owners::One(_) => self.is_drained(),
        }
    }

    /// Whether what `shard` answers to a read continues what was handed on: not the new owner's answer after a move
    /// without history, as long as the former one may have something to say of the epoch before.
    #[must_use]
    pub fn may_read(&self, shard: &ShardId) -> bool {
        let begins_anew = |drain: &Drain| drain.ends == Some(MoveHistory::Drop) && drain.shard != *shard;
        !self.drain.as_ref().is_some_and(begins_anew)
    }

    /// Whether the partition moves.
    #[must_use]
    pub fn is_moving(&self) -> bool {
        matches!(self.owners, Owners::Two { .. })
    }

    /// The shard from which messages may still be on their way, while others' wait for them.
    #[must_use]
    pub fn draining(&self) -> Option<&ShardId> {
        let drain = self.drain.as_ref()?;
        self.delivers(drain).then_some(&drain.shard)
    }

    /// Whether the source of the present move is known to have sealed the partition.
    #[must_use]
    pub fn is_sealed_at_source(&self) -> bool {
        match &self.owners {
            Owners::Two { from, generation, .. } => {
                self.links.to(from).is_some_and(|link| link.marker >= *generation)
            }
            Owners::Unknown | Owners::One(_) => false,
        }
    }

    /// Whether the partition is not to be served until a newer document is applied.
    #[must_use]
    pub fn is_expired(&self) -> bool {
        self.expired.is_some()
    }

    /// A link to `shard` brought the marker that it sealed the partition for `generation`. To be told of every marker
    /// on a link that carries the partition.
    pub fn marker(&mut self, shard: &ShardId, link: Serial, generation: Generation) -> Effect {
        let drained = self.is_drained();
        let Some(link) = self.links.enter(shard, link) else {
            return Effect::Nothing;
        };
        link.marker = link.marker.max(generation);
        let ended = self.look();
        let released = ended || (!drained && self.is_drained());
        if generation > self.applied.max(self.expired.unwrap_or_default())
            && holds(Safeguard::ExpiredPartitionStops)
        {
            self.expired = Some(generation);
            return Effect::Expired;
        }
        Effect::release_if(released)
    }

    /// The shard answered, over another connection and after `link` had come up, that it had sealed the partition for
    /// `generation`. As good as a marker, provided that no channel was asked for on `link` so far.
    pub fn sealed(&mut self, shard: &ShardId, link: Serial, generation: Generation) -> Effect {
        if self.links.by_serial(link).is_some_and(|link| link.channels > 0) {
            return Effect::Nothing;
        }
        self.marker(shard, link, generation)
    }

    /// None of the required shards serves the partition, and has not for longer than a change of hands takes.
    pub fn refused(&mut self) -> Effect {
        if self.is_expired() || !holds(Safeguard::ExpiredPartitionStops) {
            return Effect::Nothing;
        }
        self.expired = Some(self.applied.next());
        Effect::Expired
    }

    /// `link` is gone, and what it brought has been handed in.
    pub fn link_down(&mut self, link: Serial) -> Effect {
        let drained = self.is_drained();
        if !drained && self.draining() == self.shard_of(link) {
            self.cut = Some(link);
        }
        self.links.remove(link);
        let ended = self.look();
        Effect::release_if(ended || (!drained && self.is_drained()))
    }

    /// All links are gone, and what was known from before counts for nothing; the channels'
    /// [`Subscriptions::rejoin`] goes with it. A move that is under way is not over by that: its source is drained on
    /// the links to come.
    pub fn rejoin(&mut self) {
        if holds(Safeguard::RejoinAfresh) {
            let moving = self.is_moving();
            *self = Self {
                applied: self.applied,
                owners: std::mem::take(&mut self.owners),
                drain: self.drain.take().filter(|_| moving),
                ended: self.ended,
                history: self.history,
                ..Self::default()
            };
        }
    }

    /// A channel was unsubscribed on `link`.
    fn leave(&mut self, link: Serial) -> Effect {
        let drained = self.is_drained();
        let Some(entry) = self.links.by_serial_mut(link) else {
            return Effect::Nothing;
        };
        entry.channels = entry.channels.saturating_sub(1);
        if entry.channels == 0 && entry.marker == Generation::default() {
            self.links.remove(link);
        }
        let ended = self.look();
        Effect::release_if(ended || (!drained && self.is_drained()))
    }

    /// Whether the drained shard's present link may still bring a message.
    fn delivers(&self, drain: &Drain) -> bool {
        self.links.to(&drain.shard).is_some_and(|link| {
            let through = drain.through.map(|through| {
                if holds(Safeguard::MarkerGeneration) {
                    through
                } else {
                    Generation(1)
                }
            });
            link.channels > 0 && through.is_none_or(|through| link.marker < through)
        })
    }

    /// Whether no message of the partition can come from `shard`.
    fn is_silent(&self, shard: &ShardId) -> bool {
        self.links.to(shard).is_none_or(|link| link.channels == 0)
    }

    /// Notices the end of a move: the source has said its last, or can say nothing any more of what was committed
    /// elsewhere. True if it has ended now.
    fn look(&mut self) -> bool {
        let marked = self.drain.as_ref().is_some_and(|drain| {
            let marker = self.links.to(&drain.shard).map(|link| link.marker);
            drain.through.is_some_and(|through| marker >= Some(through))
        });
        let committed = matches!(self.owners, Owners::One(_)) && self.is_drained();
        let ended = (marked || committed) && self.end();
        if !holds(Safeguard::DrainEvaluated) && self.is_drained() {
            self.drain = None;
        }
        ended
    }

    fn end(&mut self) -> bool {
        let history = self.drain.as_mut().and_then(|drain| drain.ends.take());
        if let Some(history) = history {
            self.ended = self.ended.wrapping_add(1);
            self.history = history;
        }
        history.is_some()
    }
}

impl Effect {
    fn release_if(released: bool) -> Self {
        if released { Self::Released } else { Self::Nothing }
    }
}

#[cfg(test)]
mod tests;
