//! The server API over HTTP: what an application's backend asks for, `POST <prefix>/<method>`, JSON in and out.
//!
//! * `handler`: HTTP: who may call, the body and its limits, how errors are answered.
//! * `method`: which methods there are, and the way from a name to the code.
//! * `publish`, `streams`, `connections`, `batch`: the methods. Those about channels go to the router; those about
//!   connections to every gateway of the [cluster](crate::cluster). Those about [shards](crate::shards) are called
//!   straight from `method`.
//! * `inspect`: channels as the administration page sees them.
//! * `params`, `results`, `error`: what goes in and comes out.

mod batch;
mod connections;
mod error;
mod handler;
mod inspect;
mod meters;
mod method;
mod params;
mod publish;
mod results;
mod streams;

#[cfg(test)]
mod tests;

pub use error::ApiError;
pub use inspect::{ChannelCalls, ChannelReport};
pub use method::Method;

use std::sync::Arc;

use campanile_common::ChannelName;
use campanile_common::ErrorCode;
use campanile_shard_router::audience::Audience;
use campanile_shard_router::router::Router;

use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::config::options::{ChannelOptions, NamespaceOptions};
use crate::config::{ApiAccess, ApiOptions};
use crate::live::Live;
use crate::shards::ShardAdmin;
use meters::Meters;

/// What the methods need.
pub struct Api<A: Audience> {
    router: Arc<Router<A>>,
    cluster: Arc<Cluster>,
    shards: Arc<ShardAdmin>,
    channels: Live<ChannelOptions>,
    clock: Clock,
    meters: Meters,
}

impl<A: Audience> Api<A> {
    /// An API on these parts.
    #[must_use]
    pub fn new(
        router: Arc<Router<A>>,
        cluster: Arc<Cluster>,
        shards: Arc<ShardAdmin>,
        channels: impl Into<Live<ChannelOptions>>,
        clock: Clock,
    ) -> Self {
        Self {
            router,
            cluster,
            shards,
            channels: channels.into(),
            clock,
            meters: Meters::register(),
        }
    }

    /// The routes at which it is served to those who have `access`.
    pub fn routes(self: &Arc<Self>, options: &ApiOptions, access: Live<ApiAccess>) -> axum::Router {
        handler::routes(Arc::clone(self), options, access)
    }
}

/// The channel of that name and its rules.
fn channel<'a>(
    channels: &'a ChannelOptions,
    name: &str,
) -> Result<(ChannelName, &'a NamespaceOptions), ApiError> {
    let channel = channels.syntax.parse(name);
    let channel = channel.map_err(|error| ApiError::bad_request(&error))?;
    let options = channels.resolve(&channel);
    let options = options.map_err(|_| ApiError::from(ErrorCode::UnknownChannel))?;
    Ok((channel, options))
}
