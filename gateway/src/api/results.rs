//! What comes out. Lists and maps are there even if they are empty: callers in typed languages rely on it.

use std::collections::BTreeMap;

use campanile_common::Position;
use campanile_common::message::{ClientInfo, Publication};
use serde::Serialize;

use super::ApiError;
use crate::cluster::NodeInfo;

/// Nothing to tell but success.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Done {}

/// Of `publish`: where the publication is; nothing where the channel keeps no stream.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Published {
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) offset: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) epoch: String,
}

impl From<Option<Position>> for Published {
    fn from(position: Option<Position>) -> Self {
        position.map_or_else(Self::default, |position| Self {
            offset: position.offset.get(),
            epoch: position.epoch.as_str().to_owned(),
        })
    }
}

/// Of `broadcast`: one response for each channel, in order.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Broadcasted {
    pub(super) responses: Vec<Response<Published>>,
}

/// A result or an error.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Response<R> {
    Result(R),
    Error(ApiError),
}

impl<R> From<Result<R, ApiError>> for Response<R> {
    fn from(result: Result<R, ApiError>) -> Self {
        result.map_or_else(Self::Error, Self::Result)
    }
}

/// Of `presence`.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Presence {
    pub(super) presence: BTreeMap<String, ClientInfo>,
}

/// Of `presence_stats`.
#[derive(Clone, Debug, Serialize)]
pub(super) struct PresenceStats {
    pub(super) num_clients: usize,
    pub(super) num_users: usize,
}

/// Of `history`.
#[derive(Clone, Debug, Serialize)]
pub(super) struct History {
    pub(super) publications: Vec<Publication>,
    pub(super) offset: u64,
    pub(super) epoch: String,
}

/// Of `channels`.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Channels {
    pub(super) channels: BTreeMap<String, ChannelInfo>,
}

/// One channel with subscribers.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct ChannelInfo {
    pub(super) num_clients: usize,
}

/// Of `info`.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Info {
    pub(super) nodes: Vec<NodeInfo>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde's attribute passes references"
)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
