//! What goes in. A field that is missing or null has its default; unknown fields are ignored.

use std::collections::BTreeMap;

use bytes::Bytes;
use campanile_common::message::{StreamPosition, field};
use serde::Deserialize;

use super::batch::Calls;
use crate::auth::SubscriptionOverride;
use crate::cluster::Target;

/// Of `publish` (to `channel`) and `broadcast` (to `channels`).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Publish {
    #[serde(with = "field")]
    pub(super) channel: String,
    #[serde(with = "field")]
    pub(super) channels: Vec<String>,
    #[serde(with = "field")]
    pub(super) data: Bytes,
    #[serde(with = "field")]
    pub(super) b64data: String,
    #[serde(with = "field")]
    pub(super) skip_history: bool,
    #[serde(with = "field")]
    pub(super) tags: BTreeMap<String, String>,
    #[serde(with = "field")]
    pub(super) idempotency_key: String,
    #[serde(with = "field")]
    pub(super) version: u64,
    #[serde(with = "field")]
    pub(super) version_epoch: String,
}

/// Of the methods about one channel.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Channel {
    #[serde(with = "field")]
    pub(super) channel: String,
}

/// Of `history`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct History {
    #[serde(with = "field")]
    pub(super) channel: String,
    #[serde(with = "field")]
    pub(super) limit: i64,
    #[serde(with = "field")]
    pub(super) since: Option<StreamPosition>,
    #[serde(with = "field")]
    pub(super) reverse: bool,
}

/// Of `channels`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Channels {
    #[serde(with = "field")]
    pub(super) pattern: String,
}

/// Of `disconnect`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Disconnect {
    #[serde(with = "field")]
    pub(super) user: String,
    #[serde(with = "field")]
    pub(super) client: String,
    #[serde(with = "field")]
    pub(super) session: String,
    #[serde(with = "field")]
    pub(super) whitelist: Vec<String>,
    pub(super) disconnect: Option<Farewell>,
}

/// What a disconnected client is told.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Farewell {
    pub(super) code: u32,
    #[serde(with = "field")]
    pub(super) reason: String,
}

/// Of `unsubscribe`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Unsubscribe {
    #[serde(with = "field")]
    pub(super) channel: String,
    #[serde(with = "field")]
    pub(super) user: String,
    #[serde(with = "field")]
    pub(super) client: String,
    #[serde(with = "field")]
    pub(super) session: String,
}

/// Of `subscribe`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Subscribe {
    #[serde(with = "field")]
    pub(super) channel: String,
    #[serde(with = "field")]
    pub(super) user: String,
    #[serde(with = "field")]
    pub(super) client: String,
    #[serde(with = "field")]
    pub(super) session: String,
    #[serde(with = "field")]
    pub(super) info: Bytes,
    #[serde(with = "field")]
    pub(super) b64info: String,
    #[serde(with = "field")]
    pub(super) data: Bytes,
    #[serde(with = "field")]
    pub(super) b64data: String,
    #[serde(with = "field")]
    pub(super) expire_at: i64,
    #[serde(with = "field")]
    pub(super) recover_since: Option<StreamPosition>,
    #[serde(rename = "override")]
    pub(super) overrides: Option<SubscriptionOverride>,
}

/// Of `refresh`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Refresh {
    #[serde(with = "field")]
    pub(super) user: String,
    #[serde(with = "field")]
    pub(super) client: String,
    #[serde(with = "field")]
    pub(super) session: String,
    #[serde(with = "field")]
    pub(super) expired: bool,
    #[serde(with = "field")]
    pub(super) expire_at: i64,
    #[serde(with = "field")]
    pub(super) info: Bytes,
}

/// Of `batch`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Batch {
    /// Each with a method's name and its parameters.
    pub(super) commands: Calls,
    #[serde(with = "field")]
    pub(super) parallel: bool,
}

/// The connections of a user, one connection, or one session.
pub(super) fn target(user: String, client: String, session: String) -> Target {
    Target {
        user,
        client,
        session,
        whitelist: Vec::new(),
    }
}
