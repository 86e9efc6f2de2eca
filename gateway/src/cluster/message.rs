//! What gateways say to each other. MessagePack with named fields behind one byte with the version, so that a field can
//! be added while releases differ; anything else needs another version.

use std::collections::BTreeMap;

use bytes::Bytes;
use campanile_common::{ChannelName, Position, Timestamp};
use campanile_shard_router::store::GatewayId;
use campanile_shard_router::topology::{PartitionState, Topology};
use serde::{Deserialize, Serialize};

use super::local::Target;
use super::survey::Survey;
use crate::auth::SubscriptionOverride;
use crate::session::{ServerCommand, ServerRefresh, ServerSubscribe, SubscriptionSettings};

/// The version that this release speaks and understands.
const VERSION: u8 = 1;

/// What all gateways are asked to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Command {
    /// Close connections.
    Disconnect {
        /// Which.
        target: Target,
        /// What their clients are told.
        code: u32,
        /// The same in words.
        reason: String,
    },
    /// End subscriptions.
    Unsubscribe {
        /// Whose.
        target: Target,
        /// To which channel.
        channel: ChannelName,
        /// What their clients are told.
        code: u32,
        /// The same in words.
        reason: String,
    },
    /// Subscribe connections.
    Subscribe {
        /// Which.
        target: Target,
        /// To what.
        subscription: Subscription,
    },
    /// Change when connections expire.
    Refresh {
        /// Which.
        target: Target,
        /// To when.
        refresh: Refresh,
    },
    /// Tell the channels whose names match the pattern; empty: all.
    Channels {
        /// `*` stands for any text, `?` for one character.
        pattern: String,
        /// Only so many, the largest and the busiest, as a [`Survey`]; 0: all, as [`ChannelCounts`].
        #[serde(default)]
        largest: usize,
    },
    /// Tell about yourself.
    Info,
    /// Tell what you know as the gateway that coordinates, if you are.
    Lead,
}

/// A subscription that the server makes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Subscription {
    /// The channel.
    pub channel: ChannelName,
    /// What others may know of the subscriber; empty: nothing.
    pub info: Bytes,
    /// Anything for the client; empty: nothing.
    pub data: Bytes,
    /// When it expires; `None`: never.
    pub expires_at: Option<Timestamp>,
    /// What differs from the namespace's rules.
    pub overrides: SubscriptionOverride,
    /// Send first what was published since.
    pub recover_since: Option<Position>,
}

/// A change of a connection's expiry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refresh {
    /// It has expired.
    pub expired: bool,
    /// The new time; `None`: never.
    pub expires_at: Option<Timestamp>,
    /// What others may know of the client; `None`: as before.
    pub info: Option<Bytes>,
}

/// How many subscribers channels have.
pub type ChannelCounts = BTreeMap<String, usize>;

/// What one gateway answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Answer {
    /// It is done.
    Done {
        /// To so many connections.
        connections: usize,
    },
    /// These channels have subscribers here.
    Channels(ChannelCounts),
    /// These are the largest and the busiest of them.
    Survey(Survey),
    /// The answer would be too large.
    TooMuch,
    /// About this gateway.
    Info(NodeInfo),
    /// What it knows as the one that coordinates; `None`: another one does.
    Lead(Option<Leading>),
}

/// What the gateway that coordinates knows better than the others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Leading {
    /// Its name.
    pub gateway: String,
    /// What is wrong with which shard, in words.
    pub troubles: BTreeMap<String, String>,
    /// How far the present plan is; `None`: there is none.
    pub moves: Option<Progress>,
}

/// How far a plan is, beside what the topology says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// Bytes copied so far.
    pub bytes: u64,
    /// Seconds since this gateway took it up.
    pub seconds: f64,
    /// What is being done.
    pub stage: String,
    /// What keeps it from going on.
    pub trouble: Option<String>,
}

/// About a gateway.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeInfo {
    /// Unique per start of the process.
    pub uid: String,
    /// For people.
    pub name: String,
    /// Its release.
    pub version: String,
    /// Connections.
    pub num_clients: usize,
    /// Different users among them.
    pub num_users: usize,
    /// Subscriptions of these connections.
    pub num_subs: usize,
    /// Different channels among them.
    pub num_channels: usize,
    /// Seconds since it started.
    pub uptime: u64,
    /// The topology that it serves by; `None`: none yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topology: Option<TopologyInfo>,
}

/// A topology in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TopologyInfo {
    /// Its version.
    pub generation: u64,
    /// How many shards it lists.
    pub shards: usize,
    /// Partitions that are to move and do not yet.
    pub planned: usize,
    /// Partitions that are on their way.
    pub moving: usize,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Envelope {
    /// To all.
    Request {
        /// Unique for `from`.
        id: u64,
        /// Who asks.
        from: GatewayId,
        /// For what.
        command: Command,
    },
    /// To whoever asked.
    Answer {
        /// That of the request.
        id: u64,
        /// Who answers.
        from: GatewayId,
        /// What.
        answer: Answer,
    },
}

/// A message is not understood.
#[derive(Debug, thiserror::Error)]
pub(super) enum UnreadableMessage {
    /// It is empty.
    #[error("it is empty")]
    Empty,
    /// Another release sent it.
    #[error("it is of version {0}")]
    Version(u8),
    /// It is garbled.
    #[error(transparent)]
    Content(#[from] rmp_serde::decode::Error),
}

impl Envelope {
    pub(super) fn encode(&self) -> Bytes {
        let mut bytes = vec![VERSION];
        rmp_serde::encode::write_named(&mut bytes, self).expect("writing to memory does not fail");
        bytes.into()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, UnreadableMessage> {
        match bytes.split_first() {
            None => Err(UnreadableMessage::Empty),
            Some((&VERSION, content)) => Ok(rmp_serde::from_slice(content)?),
            Some((&version, _)) => Err(UnreadableMessage::Version(version)),
        }
    }
}

impl From<&Topology> for TopologyInfo {
    fn from(topology: &Topology) -> Self {
        let moving = |state: &&PartitionState| matches!(state, PartitionState::Moving { .. });
        Self {
            generation: topology.generation.0,
            shards: topology.shards.len(),
            planned: topology.plan.len(),
            moving: topology.partitions.iter().filter(moving).count(),
        }
    }
}

impl From<Subscription> for ServerCommand {
    fn from(subscription: Subscription) -> Self {
        Self::Subscribe(Box::new(ServerSubscribe {
            channel: subscription.channel,
            settings: SubscriptionSettings {
                info: subscription.info,
                data: subscription.data,
                expires_at: subscription.expires_at,
                overrides: subscription.overrides,
            },
            recover_since: subscription.recover_since,
        }))
    }
}

impl From<Refresh> for ServerRefresh {
    fn from(refresh: Refresh) -> Self {
        Self {
            expired: refresh.expired,
            expires_at: refresh.expires_at,
            info: refresh.info,
        }
    }
}
