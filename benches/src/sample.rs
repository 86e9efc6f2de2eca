//! What the micro-benchmarks work on.

use std::collections::BTreeMap;

use campanile_common::Bytes;
use campanile_common::message::{ClientInfo, Publication};

/// A publication as chats send them: 128 bytes of JSON, and who sent it.
#[must_use]
pub fn publication() -> Publication {
    let text = "x".repeat(116);
    Publication {
        data: Bytes::from(format!("{{\"text\":\"{text}\"}}")),
        info: Some(Box::new(ClientInfo {
            user: "42".into(),
            client: "7bd0e6cf-2f4c-4a41-b4a8-d9e1f2f8a3c5".into(),
            ..ClientInfo::default()
        })),
        offset: 123_456,
        tags: BTreeMap::new(),
        ..Publication::default()
    }
}
