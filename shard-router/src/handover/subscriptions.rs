//! Where one channel is subscribed, and what is held back of it.

use super::held::{Held, HoldLimits, Weighed};
use super::{Effect, Handover, Serial, Verdict};
use crate::safeguard::{Safeguard, holds};
use crate::topology::{MoveHistory, ShardId};

/// Where one channel is subscribed, and the messages `M` that are held back of it.
///
/// Commands for one channel on one link are to be sent in the order in which [`Subscriptions::subscribing`] and
/// [`Subscriptions::unsubscribing`] were called.
#[derive(Clone, Debug)]
pub struct Subscriptions<M> {
    sources: Sources,
    /// Numbers the requests, so that an answer is told from that of an earlier request.
    requests: u32,
    /// The last end of a move that was taken note of.
    ended: u32,
    held: Option<Box<Held<M>>>,
}

/// A SUBSCRIBE or UNSUBSCRIBE that was sent, to be handed back with its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    link: Serial,
    number: u32,
}

impl Request {
    /// The link on which it was sent.
    #[must_use]
    pub fn link(self) -> Serial {
        self.link
    }
}

/// What becomes of a message.
#[derive(Clone, Debug, PartialEq)]
pub enum Receipt<M> {
    /// It is to be handed on.
    Deliver(M),
    /// It is held back until [`Subscriptions::settle`] releases it.
    Held,
    /// Too much was held back: all of it was dropped, and this message with it. What has a place in a stream is to be
    /// read from there; the rest is lost.
    Overflowed {
        /// How many messages were dropped.
        dropped: usize,
    },
    /// It comes from where the channel is not subscribed: dropped.
    Stray,
}

/// Nearly every channel has exactly one.
#[derive(Clone, Debug, Default)]
enum Sources {
    #[default]
    None,
    One(Source),
    #[expect(clippy::box_collection, reason = "one word instead of three in every channel")]
    More(Box<Vec<Source>>),
}

/// The channel on one link.
#[derive(Clone, Copy, Debug)]
struct Source {
    link: Serial,
    /// The last request that was sent.
    request: u32,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Asked,
    Acknowledged,
    /// An UNSUBSCRIBE was sent.
    Leaving,
}

/// What is due for a channel: first the move, then the messages.
#[derive(Clone, Debug)]
pub struct Settled<M> {
    /// A move of the partition has ended, with or without the history: what comes from now on is the new owner's.
    pub moved: Option<MoveHistory>,
    /// What was held back and may be handed on now, oldest first.
    pub released: Vec<M>,
}

impl<M> Subscriptions<M> {
    /// Of a channel that is subscribed nowhere yet.
    #[must_use]
    pub fn new(handover: &Handover) -> Self {
        Self {
            sources: Sources::None,
            requests: 0,
            ended: handover.ended,
            held: None,
        }
    }

    /// A SUBSCRIBE is about to be sent on `link`, the present one to `shard`. `None`: a later link has taken its place.
    pub fn subscribing(&mut self, handover: &mut Handover, shard: &ShardId, link: Serial) -> Option<Request> {
        let entry = handover.links.enter(shard, link)?;
        let request = self.next_request(link);
        match self.sources.get_mut(link) {
            Some(source) => {
                source.request = request.number;
                source.stage = Stage::Asked;
            }
            None => {
                entry.channels += 1;
                self.sources.push(Source {
                    link,
                    request: request.number,
                    stage: Stage::Asked,
                });
            }
        }
        Some(request)
    }

    /// The SUBSCRIBE was acknowledged. It counts only if it was the last request on its link: the acknowledgement of
    /// an earlier one says nothing of what was sent after it.
    pub fn subscribed(&mut self, request: Request) {
        let counted = holds(Safeguard::AckCountsRequests);
        if let Some(source) = self.sources.get_mut(request.link)
            && (source.request == request.number || !counted)
        {
            source.stage = Stage::Acknowledged;
        }
    }

    /// An UNSUBSCRIBE is about to be sent on `link`; `None` if the channel is not subscribed there.
    pub fn unsubscribing(&mut self, link: Serial) -> Option<Request> {
        let request = self.next_request(link);
        let source = self.sources.get_mut(link)?;
        source.request = request.number;
        source.stage = Stage::Leaving;
        Some(request)
    }

    /// The UNSUBSCRIBE was acknowledged, and what the link had brought before has been handed in. Ends the
    /// subscription if nothing was sent after it.
    pub fn unsubscribed(&mut self, handover: &mut Handover, request: Request) -> Effect {
        let source = self.sources.get(request.link);
        if source.is_none_or(|source| source.request != request.number) {
            return Effect::Nothing;
        }
        self.sources.remove(request.link);
        handover.leave(request.link)
    }

    /// The UNSUBSCRIBE was not carried out though its link lives: the channel is still subscribed there.
    pub fn not_unsubscribed(&mut self, handover: &Handover, request: Request) {
        if let Some(source) = self.sources.get_mut(request.link)
            && source.request == request.number
            && handover.shard_of(request.link).is_some()
        {
            source.stage = Stage::Asked;
        }
    }

    /// Forgets subscriptions whose link is gone. True if messages may have been missed with one of them.
    pub fn notice_breaks(&mut self, handover: &Handover) -> bool {
        let mut missed = false;
        self.sources.retain(|source| {
            let present = handover.links.by_serial(source.link).is_some();
            missed |= !present
                && match source.stage {
                    Stage::Asked => false,
                    Stage::Acknowledged => true,
                    Stage::Leaving => handover.cut == Some(source.link),
                };
            present
        });
        missed
    }

    /// Whether the channel is subscribed wherever it must be: acknowledged on the present link of each required shard.
    #[must_use]
    pub fn is_attached(&self, handover: &Handover) -> bool {
        let mut required = handover.required().peekable();
        required.peek().is_some() && required.all(|shard| self.is_acknowledged(handover, shard))
    }

    /// Whether it is not, though it might be: the partition has an owner. This is what an acknowledgement of the
    /// topology waits for.
    #[must_use]
    pub fn lacks(&self, handover: &Handover) -> bool {
        holds(Safeguard::AckWaitsForSubscribes)
            && handover
                .required()
                .any(|shard| !self.is_acknowledged(handover, shard))
    }

    /// The required shards at which the channel is not known to be subscribed.
    pub fn missing<'a>(&'a self, handover: &'a Handover) -> impl Iterator<Item = &'a ShardId> {
        handover
            .required()
            .filter(|shard| !self.is_acknowledged(handover, shard))
    }

    /// The links on which the channel is subscribed, or was asked for, and need not be.
    pub fn surplus<'a>(&'a self, handover: &'a Handover) -> impl Iterator<Item = Serial> + 'a {
        let surplus = |source: &&Source| {
            source.stage != Stage::Leaving
                && handover.shard_of(source.link).is_some_and(|shard| {
                    !handover.is_expired() && handover.required().all(|required| required != shard)
                })
        };
        self.sources.iter().filter(surplus).map(|source| source.link)
    }

    /// All links on which the channel is, or may be, subscribed and no UNSUBSCRIBE was sent.
    pub fn links(&self) -> impl Iterator<Item = Serial> + '_ {
        let staying = |source: &&Source| source.stage != Stage::Leaving;
        self.sources.iter().filter(staying).map(|source| source.link)
    }

    /// Whether the channel is nowhere subscribed, as far as is known, and no UNSUBSCRIBE of it is unanswered.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        matches!(self.sources, Sources::None)
    }

    /// Takes note of the end of a move, and releases what needs to be held back no longer. Due after
    /// [`Effect::Released`] and [`Change`](super::Change), and before each message while the handover was not
    /// [drained](Handover::is_drained) or a channel of the partition has not been looked at since: a message may come
    /// before its channel's turn. Breaks are to be [noticed](Subscriptions::notice_breaks) first: what is released may
    /// follow on what was lost with a link.
    pub fn settle(&mut self, handover: &Handover) -> Settled<M> {
        let moved = (self.ended != handover.ended).then_some(handover.history);
        self.ended = handover.ended;
        let released = if handover.is_drained() || !holds(Safeguard::HoldBack) {
            self.held.take()
        } else {
            None
        };
        Settled {
            moved,
            released: released.map_or_else(Vec::new, |held| held.into_messages().collect()),
        }
    }

    /// `link` brought a message of the channel, on which the partition's handover has passed `verdict`.
    pub fn receive(&mut self, verdict: Verdict, link: Serial, message: M, limits: &HoldLimits) -> Receipt<M>
    where
        M: Weighed,
    {
        if self.sources.get(link).is_none() {
            return Receipt::Stray;
        }
        if verdict == Verdict::Pass {
            return Receipt::Deliver(message);
        }
        let bytes = message.bytes();
        let held = self.held.get_or_insert_default();
        if held.push(message, bytes, limits) {
            return Receipt::Held;
        }
        let dropped = held.len() + 1;
        self.held = None;
        Receipt::Overflowed { dropped }
    }

    /// Whether something is held back.
    #[must_use]
    #[cfg(test)]
    pub fn holds_back(&self) -> bool {
        self.held.is_some()
    }

    /// See [`Handover::rejoin`]: all subscriptions are gone, and what was held back with them.
    pub fn rejoin(&mut self) {
        if holds(Safeguard::RejoinAfresh) {
            self.sources = Sources::None;
            self.held = None;
        }
    }

    fn is_acknowledged(&self, handover: &Handover, shard: &ShardId) -> bool {
        handover
            .link_to(shard)
            .and_then(|link| self.sources.get(link))
            .is_some_and(|source| source.stage == Stage::Acknowledged)
    }

    fn next_request(&mut self, link: Serial) -> Request {
        self.requests = self.requests.wrapping_add(1);
        Request {
            link,
            number: self.requests,
        }
    }
}

impl Sources {
    fn as_slice(&self) -> &[Source] {
        match self {
            Self::None => &[],
            Self::One(source) => std::slice::from_ref(source),
            Self::More(sources) => sources,
        }
    }

    fn iter(&self) -> impl Iterator<Item = &Source> {
        self.as_slice().iter()
    }

    fn get(&self, link: Serial) -> Option<&Source> {
        self.iter().find(|source| source.link == link)
    }

    fn get_mut(&mut self, link: Serial) -> Option<&mut Source> {
        let sources = match self {
            Self::None => &mut [],
            Self::One(source) => std::slice::from_mut(source),
            Self::More(sources) => sources.as_mut_slice(),
        };
        sources.iter_mut().find(|source| source.link == link)
    }

    fn push(&mut self, source: Source) {
        match std::mem::take(self) {
            Self::None => *self = Self::One(source),
            Self::One(first) => *self = Self::More(Box::new(vec![first, source])),
            Self::More(mut sources) => {
                sources.push(source);
                *self = Self::More(sources);
            }
        }
    }

    fn remove(&mut self, link: Serial) {
        self.retain(|source| source.link != link);
    }

    fn retain(&mut self, mut keep: impl FnMut(&Source) -> bool) {
        match std::mem::take(self) {
            Self::One(source) if keep(&source) => *self = Self::One(source),
            Self::None | Self::One(_) => {}
            Self::More(mut sources) => {
                sources.retain(keep);
                *self = match sources[..] {
                    [] => Self::None,
                    [source] => Self::One(source),
                    _ => Self::More(sources),
                };
            }
        }
    }
}
