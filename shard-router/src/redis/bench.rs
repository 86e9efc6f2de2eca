//! Single steps of a publication's way through Redis, for `benches/` to measure: by themselves they are of no use.

use campanile_common::Bytes;

use super::keys::Keys;
use super::{reply, scripts};
use crate::partition::Partition;
use crate::publication::{Publication, ShardMessage};
use crate::shard::{PublishOutcome, PublishRequest, envelope};

/// Makes the command that publishes, over and over.
#[derive(Debug)]
pub struct Publisher(Keys);

impl Publisher {
    /// Under this prefix of keys.
    #[must_use]
    pub fn new(prefix: &str) -> Self {
        Self(Keys::new(prefix))
    }

    /// The bytes of the command.
    #[must_use]
    pub fn command(&self, request: &PublishRequest) -> Vec<u8> {
        scripts::publish(&self.0, Partition::of(&request.channel), request).get_packed_command()
    }
}

/// What the bytes of the answer to that command mean; `None`: nothing.
#[must_use]
pub fn published(bytes: &[u8]) -> Option<PublishOutcome> {
    let value = ::redis::parse_redis_value(bytes).ok()?;
    reply::published(value).ok()
}

/// A publication as shards store it.
#[must_use]
pub fn encode_publication(publication: &Publication) -> Bytes {
    envelope::encode_publication(publication).into()
}

/// What came through Pub/Sub; `None`: nothing that is understood.
#[must_use]
pub fn decode_message(bytes: &[u8]) -> Option<ShardMessage> {
    envelope::decode_message(bytes).ok()
}
