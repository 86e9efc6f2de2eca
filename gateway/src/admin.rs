//! The administration page: what operators see of a deployment in a browser, and do about it.
//!
//! There is none unless a password is configured. Whoever knows it gets a session, which is a signed cookie that any gateway
//! with the same secret believes; nothing about sessions is kept anywhere.
//!
//! * `session`: issues sessions and recognises them; `seal`: how they are signed; `attempts`: how often a password may be tried.
//! * `guard`: what every call has to pass; `cookie`: how a session travels; `login`: its begin and end; `operator`: who the log says
//!   has done something.
//! * `state`, `channels`, `shards`, `users`: what is told and done, each a face of what the server API has too.
//! * `cached`: answers that are costly to gather, gathered once for all who look; `error`: how a call fails.
//! * `files`: the page itself, compiled in: plain HTML, CSS and modules of JavaScript in `admin/page`, which need no tool.
//!
//! # What the browser is trusted with
//!
//! The page asks under `<prefix>/api/`. The cookie is out of reach for scripts and never sent along with what another site asks for. A
//! call that may change something must besides come from the page's own origin, be JSON, and carry a token that only who may read
//! answers of this origin knows. The page has no inline script or style, loads nothing from elsewhere, and cannot be framed. Names
//! of channels, users and shards are written by others: the page only ever inserts them as text.

mod attempts;
mod cached;
mod channels;
mod cookie;
mod error;
mod files;
mod guard;
mod login;
mod meters;
mod operator;
mod seal;
mod session;
mod shards;
mod state;
mod users;

#[cfg(test)]
mod tests;

pub use meters::Meters;

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use campanile_shard_router::shard::ShardUsage;
use campanile_shard_router::store::GatewayId;
use campanile_shard_router::topology::ShardId;

use crate::api::ChannelCalls;
use crate::clock::Clock;
use crate::cluster::{Cluster, NodeInfo, Survey};
use crate::config::AdminOptions;
use crate::http::Readiness;
use crate::shards::ShardAdmin;
use attempts::Attempts;
use cached::Cached;
use error::Failure;
use operator::Operator;
use session::Sessions;

/// What the page's calls need.
pub struct AdminParts {
    /// Channels.
    pub channels: Arc<dyn ChannelCalls>,
    /// Shards.
    pub shards: Arc<ShardAdmin>,
    /// The other gateways.
    pub cluster: Arc<Cluster>,
    /// What this gateway can reach.
    pub readiness: Arc<dyn Readiness>,
    /// The gateway's clock.
    pub clock: Clock,
}

/// The administration page of one gateway.
pub struct Admin {
    parts: AdminParts,
    prefix: String,
    sessions: Sessions,
    attempts: Attempts,
    meters: Meters,
    gateways: Cached<(), Gateways, Failure>,
    loads: Cached<(), BTreeMap<ShardId, ShardUsage>, Infallible>,
    survey: Cached<String, Survey, Failure>,
}

/// The gateways that answered, and those that did not.
#[derive(Clone, Default)]
struct Gateways {
    nodes: Vec<NodeInfo>,
    silent: BTreeSet<GatewayId>,
}

/// How long what the gateways say of themselves counts: each of them walks over its channels for it.
const GATEWAYS_TTL: Duration = Duration::from_secs(1);

/// The same of what shards hold, for which their servers are asked.
const LOADS_TTL: Duration = Duration::from_secs(3);

/// The same of a survey of the channels.
const SURVEY_TTL: Duration = Duration::from_secs(1);

/// The page for the public address and for the internal one.
#[derive(Default)]
pub struct AdminRouters {
    /// For the address of clients.
    pub public: Router,
    /// For the address of what is internal.
    pub internal: Router,
}

/// Whether the port speaks TLS, which a proxy before it may do instead.
#[derive(Clone, Copy, Debug)]
struct Port {
    tls: bool,
}

impl Admin {
    /// A page on these parts.
    #[must_use]
    pub fn new(options: &AdminOptions, parts: AdminParts, meters: Meters) -> Arc<Self> {
        Arc::new(Self {
            parts,
            prefix: options.prefix.clone(),
            sessions: Sessions::new(options),
            attempts: Attempts::default(),
            meters,
            gateways: Cached::new(GATEWAYS_TTL),
            loads: Cached::new(LOADS_TTL),
            survey: Cached::new(SURVEY_TTL),
        })
    }

    /// The routes, for a port that speaks TLS or does not.
    pub fn routes(self: &Arc<Self>, tls: bool) -> Router {
        let open = Router::new()
            .route("/api/login", post(login::login))
            .route("/api/session", get(login::session))
            .route("/api/logout", post(login::logout))
            .route_layer(from_fn_with_state(Arc::clone(self), guard::stranger));
        let guarded = Router::new()
            .route("/api/state", get(state::state))
            .route("/api/channels", get(channels::list))
            .route("/api/channel", get(channels::inspect))
            .route("/api/publish", post(channels::publish))
            .route("/api/disconnect", post(users::disconnect))
            .route("/api/shards/plan", post(shards::plan))
            .route("/api/shards/change", post(shards::change))
            .route_layer(from_fn_with_state(Arc::clone(self), guard::operator));
        let calls = open
            .merge(guarded)
            .layer(axum::Extension(Port { tls }))
            .with_state(Arc::clone(self));
        // Not nested: the page is at the prefix with and without a slash.
        let router = files::routes(&self.prefix);
        router.nest(&self.prefix, calls)
    }
}
