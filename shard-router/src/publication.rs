//! What a shard stores and carries: publications, and the announcements that travel beside them.

use std::collections::BTreeMap;

use bytes::Bytes;
use campanile_common::message::{self, ClientInfo};
use campanile_common::{Offset, Position, Timestamp};

/// One message of a channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Publication {
    /// Its place in the channel's stream; [`Offset::ZERO`] where the channel keeps none.
    pub offset: Offset,
    /// The payload as the publisher sent it.
    pub data: Bytes,
    /// The publishing client, where a client published.
    pub info: Option<ClientInfo>,
    /// Attributes for the application's own use; bounded with the payload by the publisher's limits.
    pub tags: BTreeMap<String, String>,
    /// When the publishing gateway accepted it, by that gateway's clock.
    pub time: Timestamp,
}

/// As clients and callers of the server API see it.
impl From<&Publication> for message::Publication {
    fn from(publication: &Publication) -> Self {
        Self {
            data: publication.data.clone(),
            info: publication.info.clone().map(Box::new),
            offset: publication.offset.get(),
            tags: publication.tags.clone(),
            time: i64::try_from(publication.time.as_millis()).unwrap_or(i64::MAX),
            ..Self::default()
        }
    }
}

/// What arrives from a shard's Pub/Sub for one channel.
#[derive(Clone, Debug, PartialEq)]
pub enum ShardMessage {
    /// A publication; `position` names its stream incarnation and offset where the channel keeps a stream.
    Publication {
        /// `None` for a channel without a stream.
        position: Option<Position>,
        /// The message itself.
        publication: Publication,
    },
    /// A client joined the channel. Not kept in the stream.
    Join(ClientInfo),
    /// A client left the channel. Not kept in the stream.
    Leave(ClientInfo),
    /// The stream was emptied: what was published before is not to be given to anybody any more.
    Cleared,
}
