//! The reads of a feed: what may be asked of the owner, and what is known of the asking.

use campanile_common::Offset;

use super::FeedLimits;
use crate::shard::HistoryRange;

/// Counts the reads begun for one feed, from 1.
pub(super) type ReadNumber = u64;

/// A read of the owner's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// The position alone.
    Position,
    /// What follows the delivered offset.
    After(Offset),
    /// The newest publications, newest first: one read answers every recovering subscriber, however far behind.
    Recent,
}

/// A read under way.
#[derive(Clone, Copy, Debug)]
pub struct PendingRead {
    pub(super) number: ReadNumber,
    pub(super) read: Read,
    /// What was delivered when the read began: the owner cannot have less.
    pub(super) delivered: Option<Offset>,
}

impl PendingRead {
    /// What to ask the owner for.
    #[must_use]
    pub fn range(&self, limits: &FeedLimits) -> HistoryRange {
        match self.read {
            Read::Position => HistoryRange::POSITION,
            Read::After(offset) => HistoryRange::after(offset, Some(limits.heal_page)),
            Read::Recent => HistoryRange {
                since: None,
                limit: Some(limits.recovery_limit),
                reverse: true,
            },
        }
    }

    /// Which read it is.
    #[must_use]
    pub fn read(&self) -> Read {
        self.read
    }
}

/// What a feed remembers of its reads.
#[derive(Debug, Default)]
pub(super) struct Reads {
    pub(super) begun: ReadNumber,
    pub(super) completed: ReadNumber,
    /// Pages of reads up to this one tell of a subscription that is gone.
    pub(super) void: ReadNumber,
    /// The last completed [`Read::Recent`] whose publications are still in the window; 0: none.
    pub(super) recent: ReadNumber,
    /// What that read showed to be gone: nothing up to here is in the stream any more. Of thousands who have missed too
    /// much, one finds out by a read, and the others by this.
    pub(super) gone: Offset,
    /// The number of the recent read under way.
    pub(super) recent_pending: Option<ReadNumber>,
    pub(super) recent_wanted: bool,
    /// Subscribers that wait for a recent read. While there are any, the window keeps what it brought.
    pub(super) pins: u32,
}
