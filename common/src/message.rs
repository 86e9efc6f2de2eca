//! The messages of the client protocol, each defined once.
//!
//! A definition is a Rust struct whose attributes name the Protobuf fields; from it derive the Protobuf form
//! (`prost`), and the JSON and MessagePack forms (`serde`). The two serde forms are shaped by one trait,
//! [`field::Field`]: it says for every type that a field can have when it is left out, and how it is read and
//! written. What holds for every message, in every codec:
//!
//! - a field with its default value is left out, and an absent field has its default value;
//! - a sub-message that is present but empty stays present (`"subscribe": {}` asks for something);
//! - unknown fields are ignored.
//!
//! Payloads, the fields of type [`Bytes`](bytes::Bytes), belong to the application and are carried untouched
//! where the codec allows it: see [`payload`].

mod command;
mod connect;
mod define;
mod emulation;
mod error;
pub mod field;
mod operation;
pub mod payload;
mod publication;
mod push;
mod reply;
#[cfg(test)]
pub(crate) mod sample;
mod secret;
mod subscribe;
mod subscriptions;

pub use command::{Command, Request, TwoRequests};
pub use connect::{ConnectRequest, ConnectResult, Dictionary, RefreshRequest, RefreshResult};
pub use emulation::EmulationRequest;
pub use error::Error;
pub use operation::{
    HistoryRequest, HistoryResult, PingRequest, PingResult, PresenceRequest, PresenceResult,
    PresenceStatsRequest, PresenceStatsResult, PublishRequest, PublishResult, RPCRequest, RPCResult,
    SendRequest,
};
pub use publication::{ClientInfo, Publication, StreamPosition};
pub use push::{Connect, Disconnect, Join, Leave, Message, Push, Refresh, Subscribe, Unsubscribe};
pub use reply::{Answer, Reply};
pub use subscribe::{
    FilterNode, KeyedItem, SubRefreshRequest, SubRefreshResult, SubscribeRequest, SubscribeResult,
    TrackBatch, UnsubscribeRequest, UnsubscribeResult,
};
pub use subscriptions::SubscriptionEntry;

#[cfg(test)]
mod tests;
