//! What is sent in measurements: messages as chats have them.

use std::collections::BTreeMap;

use campanile_common::message::{ClientInfo, Publication};
use campanile_common::{Bytes, Offset, Timestamp};
use campanile_shard_router::publication;

/// The name of a channel, in a namespace.
pub const CHANNEL: &str = "chat:room-7bd0e6cf-2f4c";

/// A publication as clients get it: 128 bytes of JSON, and who sent it.
#[must_use]
pub fn publication() -> Publication {
    Publication {
        data: data(),
        info: Some(Box::new(info())),
        offset: 123_456,
        tags: BTreeMap::new(),
        ..Publication::default()
    }
}

/// The same publication as gateways have it.
#[must_use]
pub fn stored_publication() -> publication::Publication {
    publication::Publication {
        offset: Offset(123_456),
        data: data(),
        info: Some(info()),
        tags: BTreeMap::new(),
        time: Timestamp::ZERO,
    }
}

fn data() -> Bytes {
    let text = "x".repeat(117);
    Bytes::from(format!("{{\"text\":\"{text}\"}}"))
}

fn info() -> ClientInfo {
    ClientInfo {
        user: "42".into(),
        client: "7bd0e6cf-2f4c-4a41-b4a8-d9e1f2f8a3c5".into(),
        ..ClientInfo::default()
    }
}
