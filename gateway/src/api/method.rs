//! Which methods there are, and the way from a name to the code.

use bytes::Bytes;
use campanile_common::ErrorCode;
use campanile_shard_router::audience::Audience;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::{Api, ApiError};
use crate::shards::{self, Change};

/// A method of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// Several calls in one.
    Batch,
    /// Publish to many channels.
    Broadcast,
    /// Channels with subscribers.
    Channels,
    /// Close connections.
    Disconnect,
    /// Read a stream.
    History,
    /// Empty a stream.
    HistoryRemove,
    /// The gateways.
    Info,
    /// Who is present.
    Presence,
    /// How many are present.
    PresenceStats,
    /// Publish to a channel.
    Publish,
    /// Change when connections expire.
    Refresh,
    /// Call the application: there is nothing to call.
    Rpc,
    /// Take a shard into use.
    ShardsAdd,
    /// Empty a shard.
    ShardsDrain,
    /// Which shards there are.
    ShardsList,
    /// What a change would move.
    ShardsPlan,
    /// Empty a shard and forget it.
    ShardsRemove,
    /// How far the moves are.
    ShardsStatus,
    /// Give a shard another share.
    ShardsWeight,
    /// Subscribe connections.
    Subscribe,
    /// End subscriptions.
    Unsubscribe,
}

impl Method {
    /// Every method, in the order of their discriminants.
    pub const ALL: [Self; 21] = [
        Self::Batch,
        Self::Broadcast,
        Self::Channels,
        Self::Disconnect,
        Self::History,
        Self::HistoryRemove,
        Self::Info,
        Self::Presence,
        Self::PresenceStats,
        Self::Publish,
        Self::Refresh,
        Self::Rpc,
        Self::ShardsAdd,
        Self::ShardsDrain,
        Self::ShardsList,
        Self::ShardsPlan,
        Self::ShardsRemove,
        Self::ShardsStatus,
        Self::ShardsWeight,
        Self::Subscribe,
        Self::Unsubscribe,
    ];

    /// Its name in paths, batches and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Batch => "batch",
            Self::Broadcast => "broadcast",
            Self::Channels => "channels",
            Self::Disconnect => "disconnect",
            Self::History => "history",
            Self::HistoryRemove => "history_remove",
            Self::Info => "info",
            Self::Presence => "presence",
            Self::PresenceStats => "presence_stats",
            Self::Publish => "publish",
            Self::Refresh => "refresh",
            Self::Rpc => "rpc",
            Self::ShardsAdd => "shards/add",
            Self::ShardsDrain => "shards/drain",
            Self::ShardsList => "shards/list",
            Self::ShardsPlan => "shards/plan",
            Self::ShardsRemove => "shards/remove",
            Self::ShardsStatus => "shards/status",
            Self::ShardsWeight => "shards/weight",
            Self::Subscribe => "subscribe",
            Self::Unsubscribe => "unsubscribe",
        }
    }

    /// The method of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.name() == name)
    }
}

impl<A: Audience> Api<A> {
    /// Calls a method other than batch with parameters as they came; the result as it goes out.
    pub(super) async fn call(&self, method: Method, params: &[u8]) -> Result<Box<RawValue>, ApiError> {
        let started = self.clock.now();
        let result = self.dispatch(method, params).await;
        self.meters.called(
            method,
            self.clock.now().saturating_since(started),
            result.as_ref().err(),
        );
        result
    }

    async fn dispatch(&self, method: Method, params: &[u8]) -> Result<Box<RawValue>, ApiError> {
        match method {
            Method::Broadcast => result(&self.broadcast(parse(params)?).await?),
            Method::Channels => result(&self.list_channels(parse(params)?).await?),
            Method::Disconnect => result(&self.disconnect(parse(params)?).await?),
            Method::History => result(&self.history(parse(params)?).await?),
            Method::HistoryRemove => result(&self.history_remove(parse(params)?).await?),
            Method::Info => result(&self.info().await?),
            Method::Presence => result(&self.presence(parse(params)?).await?),
            Method::PresenceStats => result(&self.presence_stats(parse(params)?).await?),
            Method::Publish => result(&self.publish(parse(params)?).await?),
            Method::Refresh => result(&self.refresh(parse(params)?).await?),
            Method::ShardsAdd => self.change_shards(params, Change::Add).await,
            Method::ShardsDrain => self.change_shards(params, Change::Drain).await,
            Method::ShardsList => result(&self.shards.list().await?),
            Method::ShardsPlan => result(&self.shards.plan(Change::hypothetical(params)?).await?),
            Method::ShardsRemove => self.change_shards(params, Change::Remove).await,
            Method::ShardsStatus => result(&self.shards.status(shards::parse(params)?).await?),
            Method::ShardsWeight => self.change_shards(params, Change::Weight).await,
            Method::Subscribe => result(&self.subscribe(parse(params)?).await?),
            Method::Unsubscribe => result(&self.unsubscribe(parse(params)?).await?),
            Method::Batch | Method::Rpc => Err(ErrorCode::MethodNotFound.into()),
        }
    }
}

impl<A: Audience> Api<A> {
    async fn change_shards<P: DeserializeOwned>(
        &self,
        params: &[u8],
        change: impl FnOnce(P) -> Change,
    ) -> Result<Box<RawValue>, ApiError> {
        let change = change(shards::parse(params)?);
        result(&self.shards.change(change).await?)
    }
}

/// Parameters from JSON: an object, or nothing at all. Unknown ones are ignored.
pub(super) fn parse<P: DeserializeOwned>(params: &[u8]) -> Result<P, ApiError> {
    let params = match params.trim_ascii() {
        [] => b"{}",
        params => params,
    };
    // What serde derives would take a list of values for an object.
    if params.first() != Some(&b'{') {
        return Err(ApiError::bad_request(&"the parameters are not an object"));
    }
    serde_json::from_slice(params).map_err(|error| ApiError::bad_request(&error))
}

fn result<R: Serialize>(result: &R) -> Result<Box<RawValue>, ApiError> {
    serde_json::value::to_raw_value(result).map_err(|error| {
        tracing::error!(%error, "a result cannot be written");
        ErrorCode::Internal.into()
    })
}

/// A payload that came as JSON or as base64.
pub(super) fn payload(json: Bytes, base64: &str) -> Result<Bytes, ApiError> {
    use base64::Engine as _;
    if base64.is_empty() {
        return Ok(json);
    }
    let decoded = base64::engine::general_purpose::STANDARD.decode(base64);
    decoded
        .map(Bytes::from)
        .map_err(|error| ApiError::bad_request(&error))
}
