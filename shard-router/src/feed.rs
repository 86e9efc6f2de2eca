//! The continuity of one channel on one gateway: what is delivered next, what is missing, what may be promised.
//!
//! Pure: no clock, no I/O, no runtime. The router's driver hands in what happens (messages, acknowledgements, pages)
//! and does what [`Feed::need`] asks for. One driver at a time carries out steps for a channel, so at most one read
//! is under way and pages arrive in the order in which they were asked for; messages arrive at any time.
//!
//! For a channel with a stream the feed holds the *delivered position*: every publication up to it has been handed
//! to the subscribers, in order. The next offset is delivered at once and a known one dropped. Anything else is held
//! while the stream is read; what the stream no longer has is announced as [`Event::Lost`], never skipped in
//! silence. Because the offsets of an epoch are dense and never reused, "the next offset" is proof of continuity
//! whatever happened to the connection meanwhile.
//!
//! A message of a foreign epoch proves nothing about which epoch is the newer one: only the owner's answer does, so
//! epochs change with pages alone. The exception is a planned move without history, of which the feed is told: if it has
//! all of the old epoch, the new one's offset 1 continues it ([`Feed::moved`]).

mod held;
mod join;
mod kept;
mod moved;
mod page;
mod reads;
#[cfg(test)]
mod tests;
mod window;

use std::sync::Arc;

use campanile_common::{Offset, Position};

use crate::audience::{Event, LossReason};
use crate::publication::{Publication, ShardMessage};
use held::Held;
pub use join::{Recover, RecoverMode, RecoveryOutcome, Subscribed, Ticket};
use kept::Kept;
pub use kept::KeptBytes;
pub use moved::Moved;
pub use reads::{PendingRead, Read};
use reads::{ReadNumber, Reads};
use window::{Bounds, Window};
pub(crate) use window::{info_weight, weight};

/// Bounds of one feed's memory and of what it reads at once.
#[derive(Clone, Debug)]
pub struct FeedLimits {
    /// Publications kept after delivery, to answer recovering subscribers without a read.
    pub window_publications: usize,
    /// The same in bytes.
    pub window_bytes: usize,
    /// Messages held while a gap is being healed. Beyond it they are dropped and read from the stream instead.
    pub held_messages: usize,
    /// The same in bytes.
    pub held_bytes: usize,
    /// Publications that one healing read asks for; a larger gap takes several.
    pub heal_page: u32,
    /// Publications that a subscriber may recover at once, and so what a recovery read asks for.
    pub recovery_limit: u32,
    /// What all feeds together may keep in addition, for some time after a recovery read.
    pub kept: Arc<KeptBytes>,
}

/// The continuity of one channel. See the module's documentation.
#[derive(Debug)]
pub struct Feed {
    limits: Arc<FeedLimits>,
    /// Whether the channel keeps a stream. Without one, messages pass as they come.
    stream: bool,
    stage: Stage,
    /// Whether somebody has joined since the feed was last released: then nothing may be skipped unannounced.
    occupied: bool,
    /// Everything up to here was delivered; `None` until the first read.
    delivered: Option<Position>,
    /// The highest offset known to exist in the delivered epoch; lies behind `delivered` while messages flow.
    known_top: Offset,
    /// Set while only a read begun after this one can tell what is so.
    doubt: Option<ReadNumber>,
    /// The same for a subscriber's position, of which this gateway has not heard: continuity is not in doubt.
    asked: Option<ReadNumber>,
    /// Whether messages of a coming owner were dropped before they came here.
    missed: bool,
    /// Whether all of the delivered epoch was delivered and the owner begins another, which is not known yet.
    awaits_successor: bool,
    /// Whether a message came since [`Feed::take_idle`] last asked.
    stirred: bool,
    held: Held,
    window: Window,
    /// While the window keeps what a recovery read brought.
    kept: Option<Kept>,
    reads: Reads,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nobody is interested; messages are ignored.
    Released,
    /// Not subscribed at the shard, or not known to be.
    Detached,
    /// Subscribed; what was missed before that is not known until a read begun after this one.
    Unverified(ReadNumber),
    /// Subscribed without a break since the last verification.
    Live,
}

/// What the driver is to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing: the channel is continuous, or nobody is interested.
    Nothing,
    /// Subscribe at the owner, then [`Feed::attached`].
    Subscribe,
    /// Read from the owner: [`Feed::begin`], then [`Feed::complete`] or [`Feed::failed`].
    Read(Read),
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reception {
    /// Handed on.
    Passed,
    /// Known already, dropped.
    Duplicate,
    /// Held until a read fills the gap before it.
    Held,
    /// Too much was held: dropped, to be read from the stream.
    Overflowed,
    /// Nobody is interested.
    Ignored,
}

impl Feed {
    /// A feed in which nobody is interested yet.
    #[must_use]
    pub fn new(stream: bool, limits: Arc<FeedLimits>) -> Self {
        Self {
            limits,
            stream,
            stage: Stage::Released,
            occupied: false,
            delivered: None,
            known_top: Offset::ZERO,
            doubt: None,
            asked: None,
            missed: false,
            awaits_successor: false,
            stirred: false,
            held: Held::default(),
            window: Window::default(),
            kept: None,
            reads: Reads::default(),
        }
    }

    /// Everything up to here was delivered; `None` before the first read and without a stream.
    #[must_use]
    pub fn delivered(&self) -> Option<&Position> {
        self.delivered.as_ref()
    }

    /// Whether the channel is subscribed at its owner and was verified since.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.stage == Stage::Live
    }

    /// Whether the channel is subscribed at its owner, as far as is known.
    #[must_use]
    pub fn is_attached(&self) -> bool {
        matches!(self.stage, Stage::Unverified(_) | Stage::Live)
    }

    /// Whether the channel keeps a stream.
    #[must_use]
    pub fn has_stream(&self) -> bool {
        self.stream
    }

    /// Somebody is interested: the channel is to be subscribed if it is not.
    pub fn engage(&mut self) {
        if self.stage == Stage::Released {
            self.stage = Stage::Detached;
        }
    }

    /// The channel keeps a stream from now on, though it was first subscribed as one that does not.
    pub fn enable_stream(&mut self) {
        if self.stream {
            return;
        }
        self.stream = true;
        if self.stage == Stage::Live {
            self.stage = Stage::Unverified(self.reads.begun);
        }
    }

    /// The owner has acknowledged the subscription: from here on, what is published arrives.
    pub fn attached(&mut self) {
        if self.stage == Stage::Detached {
            self.stage = if self.stream {
                Stage::Unverified(self.reads.begun)
            } else {
                Stage::Live
            };
        }
    }

    /// The subscription is gone: its link broke, or the channel has another owner.
    pub fn detached(&mut self) {
        if !self.is_attached() {
            return;
        }
        self.stage = Stage::Detached;
        self.awaits_successor = false;
        self.reads.void = self.reads.begun;
        self.drop_window();
    }

    /// Nobody is interested any more.
    pub fn release(&mut self) {
        let reads = Reads {
            begun: self.reads.begun,
            void: self.reads.begun,
            ..Reads::default()
        };
        *self = Self {
            reads,
            ..Self::new(self.stream, Arc::clone(&self.limits))
        };
    }

    /// A message arrived from the owner; what may be handed on now is appended to `out`.
    pub fn message(&mut self, message: ShardMessage, out: &mut Vec<Event>) -> Reception {
        if self.stage == Stage::Released {
            return Reception::Ignored;
        }
        self.stirred = true;
        let (position, event) = match message {
            ShardMessage::Cleared => {
                self.cleared();
                return Reception::Passed;
            }
            ShardMessage::Publication {
                position,
                publication,
            } => (position, Event::Publication(Arc::new(publication))),
            ShardMessage::Join(info) => (None, Event::Join(Arc::new(info))),
            ShardMessage::Leave(info) => (None, Event::Leave(Arc::new(info))),
        };
        if !self.stream || (position.is_none() && self.held.is_empty()) {
            out.push(event);
            return Reception::Passed;
        }
        match (position, event) {
            (Some(position), Event::Publication(publication)) => self.publication(position, publication, out),
            (_, event) => self.hold(None, event, out),
        }
    }

    /// The stream was emptied. Reads under way may still bring what is gone.
    fn cleared(&mut self) {
        self.reads.void = self.reads.begun;
        self.drop_window();
    }

    fn publication(
        &mut self,
        position: Position,
        publication: Arc<Publication>,
        out: &mut Vec<Event>,
    ) -> Reception {
        self.follow_successor(&position);
        if let Some(delivered) = &self.delivered {
            if delivered.epoch != position.epoch {
                self.doubt = Some(self.reads.begun);
            } else if position.offset <= delivered.offset {
                return Reception::Duplicate;
            } else if position.offset == delivered.offset.next() {
                self.deliver(publication, position.offset, out);
                self.drain(out);
                return Reception::Passed;
            } else {
                self.known_top = self.known_top.max(position.offset);
            }
        }
        self.hold(Some(position), Event::Publication(publication), out)
    }

    /// Goes over to the epoch that begins with the publication at `position`, if one is awaited.
    fn follow_successor(&mut self, position: &Position) {
        let foreign = |delivered: &Position| delivered.epoch != position.epoch;
        let begins = position.offset == Offset::ZERO.next() && self.delivered.as_ref().is_some_and(foreign);
        if begins && self.awaits_successor && self.held.is_empty() {
            self.succeed(position.epoch.clone(), position.offset);
            self.stage = Stage::Live;
            // They compare with an offset of the epoch before.
            self.reads.void = self.reads.begun;
        }
    }

    /// Holds an event behind a gap. When too much is held, what the stream has too is dropped; the rest goes on.
    fn hold(&mut self, position: Option<Position>, event: Event, out: &mut Vec<Event>) -> Reception {
        self.held.push(position, event, self.reads.begun);
        if self.held.fits(&self.limits) {
            return Reception::Held;
        }
        out.extend(self.held.give_up());
        self.doubt = Some(self.reads.begun);
        Reception::Overflowed
    }

    /// Hands on a publication that is next.
    fn deliver(&mut self, publication: Arc<Publication>, offset: Offset, out: &mut Vec<Event>) {
        if let Some(delivered) = &mut self.delivered {
            delivered.offset = offset;
        }
        let bounds = self.window_bounds();
        self.window.push(Arc::clone(&publication), bounds);
        out.push(Event::Publication(publication));
    }

    /// Hands on what is held, as far as it continues what was delivered.
    fn drain(&mut self, out: &mut Vec<Event>) {
        while let (Some(delivered), Some(position)) = (&self.delivered, self.held.front()) {
            if let Some(position) = position {
                if position.epoch != delivered.epoch {
                    self.doubt = Some(self.doubt.unwrap_or(self.reads.begun));
                    return;
                }
                if position.offset > delivered.offset.next() {
                    self.known_top = self.known_top.max(position.offset);
                    return;
                }
            }
            let known = position.is_some_and(|position| position.offset <= delivered.offset);
            match self.held.pop() {
                _ if known => {}
                Some((Some(position), Event::Publication(publication))) => {
                    self.deliver(publication, position.offset, out);
                }
                Some((_, event)) => out.push(event),
                None => return,
            }
        }
    }

    /// What is to be done next.
    #[must_use]
    pub fn need(&self) -> Need {
        match (self.stage, &self.delivered) {
            (Stage::Released, _) => Need::Nothing,
            (Stage::Detached, _) => Need::Subscribe,
            (_, _) if !self.stream => Need::Nothing,
            (_, None) if self.reads.recent_wanted => Need::Read(Read::Recent),
            (_, None) => Need::Read(Read::Position),
            (stage, Some(delivered)) => {
                let behind = delivered.offset < self.known_top;
                let doubtful = self.doubt.is_some() || self.asked.is_some();
                if self.awaits_successor {
                    Need::Read(Read::After(Offset::ZERO))
                } else if behind || doubtful || stage != Stage::Live {
                    Need::Read(Read::After(delivered.offset))
                } else if self.reads.recent_wanted {
                    Need::Read(Read::Recent)
                } else {
                    Need::Nothing
                }
            }
        }
    }

    /// The driver is about to send `read`.
    pub fn begin(&mut self, read: Read) -> PendingRead {
        self.reads.begun += 1;
        if read == Read::Recent {
            self.reads.recent_wanted = false;
            self.reads.recent_pending = Some(self.reads.begun);
        }
        let delivered = self.delivered.as_ref().map(|position| position.offset);
        PendingRead {
            number: self.reads.begun,
            read,
            delivered,
        }
    }

    /// The read brought nothing: the owner could not be asked.
    pub fn failed(&mut self, pending: PendingRead) {
        if self.reads.recent_pending == Some(pending.number) {
            self.reads.recent_pending = None;
            self.reads.recent_wanted = self.reads.pins > 0;
        }
    }

    /// Whether no message came since this was last asked: such a channel cannot notice by itself that it missed
    /// one, so its position is worth comparing with the owner's.
    ///
    /// Asked once in each interval of checks, and so what tells the time to what is kept for those who return.
    pub fn take_idle(&mut self) -> bool {
        if self.kept.as_mut().is_some_and(Kept::checked) {
            self.kept = None;
            self.window.trim(self.window_bounds());
        }
        let stirred = std::mem::take(&mut self.stirred);
        !stirred && self.stream && self.is_live()
    }

    /// Announces that continuity is lost. What was kept for recovering subscribers is no longer continuous either.
    fn lose(&mut self, reason: LossReason, out: &mut Vec<Event>) {
        if self.occupied {
            out.push(Event::Lost(reason));
        }
        self.drop_window();
    }

    /// How much the window may keep now: what one recovery read brings, in addition, while somebody waits for it or it is
    /// kept for those who return later.
    fn window_bounds(&self) -> Bounds {
        let limits = &self.limits;
        let page = usize::try_from(limits.recovery_limit).unwrap_or(usize::MAX);
        let with_page = limits.window_publications.saturating_add(page);
        if self.reads.pins > 0 {
            Bounds {
                publications: with_page,
                bytes: usize::MAX,
            }
        } else if let Some(kept) = &self.kept {
            Bounds {
                publications: with_page,
                bytes: limits.window_bytes.max(kept.bytes()),
            }
        } else {
            Bounds {
                publications: limits.window_publications,
                bytes: limits.window_bytes,
            }
        }
    }

    /// Nobody waits for a recovery read any more. Whoever returns a moment later must not need another one: thousands do.
    fn keep_recovered(&mut self) {
        self.kept = None;
        if self.window.exceeds(self.window_bounds()) {
            self.kept = self.limits.kept.take(self.window.bytes());
            self.window.trim(self.window_bounds());
        }
    }

    fn drop_window(&mut self) {
        self.window.clear();
        self.kept = None;
        self.reads.recent = 0;
        self.reads.gone = Offset::ZERO;
        self.reads.recent_wanted |= self.reads.pins > 0;
    }
}
