//! What the router knows of a channel's subscribers: that there are some, and how to hand them an event.

use std::sync::Arc;

use campanile_common::ChannelName;
use campanile_common::message::ClientInfo;

use crate::publication::Publication;

/// The local subscribers of channels, as a gateway keeps them.
///
/// The router holds one [`Audience::Members`] per channel beside the channel's continuity state and changes it only
/// under that channel's lock, so that joining and the position a subscriber joins at are one atomic step.
pub trait Audience: Send + Sync + 'static {
    /// The subscribers of one channel. Cloning is cheap: a snapshot is taken under the channel's lock for each
    /// event and used after the lock is released.
    type Members: Default + Clone + Send + Sync + 'static;

    /// Whether nobody is subscribed; then the router lets go of the channel.
    fn is_empty(members: &Self::Members) -> bool;

    /// Hands `event` to all `members`. Called in the channel's order, never twice at once for one channel, and
    /// with no lock held that a subscriber joining or leaving needs. Must not block.
    fn deliver(&self, channel: &ChannelName, members: &Self::Members, event: &Event);
}

/// What happens in a channel, in the order in which subscribers see it.
#[derive(Clone, Debug)]
pub enum Event {
    /// A publication, next in order (with a stream: the next offset, no gap).
    Publication(Arc<Publication>),
    /// A client joined.
    Join(Arc<ClientInfo>),
    /// A client left.
    Leave(Arc<ClientInfo>),
    /// Continuity is lost: positioned subscribers must subscribe again (unsubscribe code 2500) and learn the truth
    /// from `recovered`. Nothing of this channel that follows may reach them before they have: a client that saw a
    /// later offset would ask to recover from there, and the hole would never be noticed. Subscribers without a
    /// position do not notice.
    Lost(LossReason),
}

/// Why a position cannot be continued; told to clients beside `recovered=false`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LossReason {
    /// The stream is another incarnation than the position's: it expired, or its shard lost or may have lost data.
    EpochChanged,
    /// The same, because the shard is gone that had it.
    ShardLost,
    /// The stream was trimmed or expired past the position.
    PositionExpired,
    /// The position is beyond the stream's top: it was never given out by this incarnation.
    PositionAhead,
    /// More publications were missed than may be recovered at once.
    LimitExceeded,
}

impl LossReason {
    /// Every reason, for registering metrics.
    pub const ALL: [Self; 5] = [
        Self::EpochChanged,
        Self::ShardLost,
        Self::PositionExpired,
        Self::PositionAhead,
        Self::LimitExceeded,
    ];

    /// The name on the wire, in logs and in metric labels.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::EpochChanged => "epoch_changed",
            Self::ShardLost => "shard_lost",
            Self::PositionExpired => "position_expired",
            Self::PositionAhead => "position_ahead",
            Self::LimitExceeded => "limit_exceeded",
        }
    }
}
