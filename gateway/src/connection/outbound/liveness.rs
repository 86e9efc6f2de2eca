//! What a subscription and its connection's queue know of each other.

use std::sync::atomic::{AtomicU32, Ordering};

/// Whether a subscription still goes on, and on which way its pushes travel.
///
/// It changes under the lock of the connection's queue only, so that nothing is queued for a subscription after its
/// end. All of it is one word, because there is one for each subscription of a gateway.
#[derive(Debug, Default)]
pub struct Liveness(AtomicU32);

/// The number of a subscription within its connection, as the client knows it: from 1, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneId(u32);

/// The way that a subscription's pushes take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Route {
    /// Behind the replies.
    #[default]
    Control,
    /// On the subscription's own stream.
    Stream(LaneId),
    /// On the subscription's own stream, but publications that fit as datagrams.
    Datagrams(LaneId),
}

/// Bits for the owner of a [`Liveness`]; it has two to spare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tag(u32);

const ENDED: u32 = 1 << 31;
const DATAGRAMS: u32 = 1 << 30;
const TAG_SHIFT: u32 = 28;
const TAG: u32 = 0b11 << TAG_SHIFT;
const LANE: u32 = (1 << TAG_SHIFT) - 1;

impl LaneId {
    /// The greatest number that there is room for. A connection that has had so many subscriptions gets no more lanes.
    pub const MAX: u32 = LANE;

    /// The lane with this number, unless it is 0 or too great.
    #[must_use]
    pub const fn new(number: u32) -> Option<Self> {
        match number {
            1..=Self::MAX => Some(Self(number)),
            _ => None,
        }
    }

    /// Its number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl Route {
    /// The number that the client is told; `None`: there is nothing to tell.
    #[must_use]
    pub const fn lane(self) -> Option<LaneId> {
        match self {
            Self::Control => None,
            Self::Stream(lane) | Self::Datagrams(lane) => Some(lane),
        }
    }
}

impl Tag {
    /// These two bits.
    #[must_use]
    pub const fn new(first: bool, second: bool) -> Self {
        Self(((first as u32) << TAG_SHIFT) | ((second as u32) << (TAG_SHIFT + 1)))
    }

    /// The two bits.
    #[must_use]
    pub const fn get(self) -> (bool, bool) {
        (self.0 & (1 << TAG_SHIFT) != 0, self.0 & (2 << TAG_SHIFT) != 0)
    }
}

impl Liveness {
    /// That of a subscription which goes on.
    #[must_use]
    pub fn new(route: Route, tag: Tag) -> Self {
        let route = match route {
            Route::Control => 0,
            Route::Stream(lane) => lane.0,
            Route::Datagrams(lane) => lane.0 | DATAGRAMS,
        };
        Self(AtomicU32::new(route | tag.0))
    }

    /// The owner's bits; they never change.
    #[must_use]
    pub fn tag(&self) -> Tag {
        Tag(self.load() & TAG)
    }

    pub(super) fn is_over(&self) -> bool {
        self.load() & ENDED != 0
    }

    /// The way that its pushes take.
    #[must_use]
    pub fn route(&self) -> Route {
        let state = self.load();
        match LaneId::new(state & LANE) {
            None => Route::Control,
            Some(lane) if state & DATAGRAMS != 0 => Route::Datagrams(lane),
            Some(lane) => Route::Stream(lane),
        }
    }

    /// Notes the end. Whether it was not noted before.
    pub(super) fn end(&self) -> bool {
        self.0.fetch_or(ENDED, Ordering::Relaxed) & ENDED == 0
    }

    fn load(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}
