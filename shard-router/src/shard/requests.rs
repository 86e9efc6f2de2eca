//! What is asked of a shard about channels, and what it answers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use campanile_common::message::ClientInfo;
use campanile_common::{ChannelName, Epoch, Offset, Position};

use crate::partition::Partition;
use crate::publication::Publication;

/// How much of a channel's stream is kept, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamLimits {
    /// Publications kept at most.
    pub size: u32,
    /// How long a publication is kept after the last one was published.
    pub ttl: Duration,
    /// How long the position outlives the last touch; at least `ttl`.
    pub meta_ttl: Duration,
}

/// A publication on its way in.
#[derive(Clone, Debug)]
pub struct PublishRequest {
    /// The channel.
    pub channel: ChannelName,
    /// What to publish; its offset is assigned by the shard.
    pub publication: Publication,
    /// The stream to append to; `None` only fans out.
    pub stream: Option<StreamLimits>,
    /// Accept the publication once only under this key.
    pub idempotency: Option<IdempotencyKey>,
    /// Accept it only if newer than what was published before. Without a stream there is nothing to compare with,
    /// and it is ignored.
    pub version: Option<Version>,
    /// The epoch to use if the stream has none or lost its continuity; unique for each request.
    pub new_epoch: Epoch,
}

/// Marks retries of one publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// Chosen by the publisher, unique per channel and publication.
    pub key: String,
    /// How long the result is remembered.
    pub ttl: Duration,
}

/// A version of the document that a channel carries; older ones are not published over newer ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Larger is newer within one epoch.
    pub number: u64,
    /// Another epoch than the stored one resets the comparison; empty is an epoch like any other.
    pub epoch: String,
}

/// What became of a publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishOutcome {
    /// Where it is in the stream (for a suppressed one: what the earlier one got, or the present top).
    pub position: Option<Position>,
    /// Why nothing was published.
    pub suppressed: Option<Suppressed>,
}

/// Why an accepted request published nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suppressed {
    /// Its idempotency key was used before.
    Repeated,
    /// A version at least as new was published before.
    Outdated,
}

/// A join or a leave.
#[derive(Clone, Debug)]
pub enum Announcement {
    /// This client joined.
    Join(ClientInfo),
    /// This client left.
    Leave(ClientInfo),
}

/// A read of a stream.
#[derive(Clone, Debug)]
pub struct HistoryRequest {
    /// The channel.
    pub channel: ChannelName,
    /// Which part.
    pub range: HistoryRange,
    /// How long the position outlives this touch.
    pub meta_ttl: Duration,
    /// The epoch to use if the stream has none or lost its continuity; unique for each request.
    pub new_epoch: Epoch,
}

/// The part of a stream that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryRange {
    /// Only publications after (in reverse: before) this offset; `None` from the respective end.
    pub since: Option<Offset>,
    /// How many at most; `None` all, 0 the position alone.
    pub limit: Option<u32>,
    /// Newest first.
    pub reverse: bool,
}

impl HistoryRange {
    /// The position alone.
    pub const POSITION: Self = Self {
        since: None,
        limit: Some(0),
        reverse: false,
    };

    /// What comes after `offset`, oldest first, `limit` at most.
    #[must_use]
    pub fn after(offset: Offset, limit: Option<u32>) -> Self {
        Self {
            since: Some(offset),
            limit,
            reverse: false,
        }
    }
}

/// What a history read found: one consistent view of position and content.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryPage {
    /// The stream's epoch and top offset.
    pub position: Position,
    /// In the asked order.
    pub publications: Vec<Publication>,
}

/// Asks for one channel's position.
#[derive(Clone, Debug)]
pub struct PositionRequest {
    /// The channel's partition.
    pub partition: Partition,
    /// The channel.
    pub channel: ChannelName,
    /// How long the position outlives this touch.
    pub meta_ttl: Duration,
    /// The epoch to use if the stream has none or lost its continuity; unique for each request.
    pub new_epoch: Epoch,
}

/// Some of those who are present in a channel.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PresencePage {
    /// How many are present.
    pub total: usize,
    /// Some of them, by client id; which ones is not said.
    pub members: BTreeMap<String, ClientInfo>,
}

/// The most members that a [`PresencePage`] has.
pub(crate) const MAX_PRESENCE_PAGE: usize = 1000;

/// One client's presence in one channel.
#[derive(Clone, Debug)]
pub struct PresenceEntry {
    /// The channel's partition.
    pub partition: Partition,
    /// The channel.
    pub channel: ChannelName,
    /// Who; `info.client` is the key.
    pub info: Arc<ClientInfo>,
    /// How long the entry stays without being refreshed.
    pub ttl: Duration,
}
