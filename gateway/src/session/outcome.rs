//! What became of the effects that want an answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use campanile_common::message::ClientInfo;
use campanile_common::{Disconnect, ErrorCode, Position};
use campanile_shard_router::audience::LossReason;
use campanile_shard_router::publication::Publication;
use campanile_shard_router::shard::HistoryPage;

/// The answer to an [`Effect`](super::Effect) with a request id.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The connection is known, or closed by a limit.
    Registered(Result<(), Disconnect>),
    /// Delivery begins, or the subscription failed.
    Subscribed(Result<Joined, ErrorCode>),
    /// The publication was accepted, or not.
    Published(Result<(), ErrorCode>),
    /// Who is present, by client id.
    Presence(Result<BTreeMap<String, ClientInfo>, ErrorCode>),
    /// The part of the stream that was asked for.
    History(Result<HistoryPage, ErrorCode>),
}

/// The point at which a subscription begins.
#[derive(Clone, Debug, Default)]
pub struct Joined {
    /// Where delivery continues, in a channel with a stream.
    pub position: Option<Position>,
    /// What was recovered, in order.
    pub publications: Vec<Arc<Publication>>,
    /// Whether recovery was complete.
    pub recovery: Recovery,
    /// The subscription's number, if its pushes take another way than behind the replies.
    pub lane: Option<u32>,
}

/// What became of the wish to recover.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Recovery {
    /// There was none.
    #[default]
    NotAsked,
    /// The client has, with `publications`, all up to `position`.
    Recovered,
    /// Something is missing, for this reason.
    Lost(LossReason),
}
