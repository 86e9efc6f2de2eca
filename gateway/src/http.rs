//! HTTP: listening, and what is served at which path.
//!
//! * `server`: sockets; `reception`: what becomes of those who connect, `look` tells what they want; `waiting_room`: clients whose turn
//!   has not come; `exchange`: a connection, with the limits on what a peer may take, and its end.
//! * `ready`: what this gateway can reach.
//! * `page`: the page at `/`; `demo`: what its visitors may do without a key.
//!
//! Everything else is a router that another part brings along.

mod demo;
mod exchange;
mod look;
mod page;
mod ready;
mod reception;
mod server;
mod waiting_room;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use demo::Demo;
pub use page::page;
pub use ready::{Readiness, ReadyReport, ShardReport, StoreReport};
pub use reception::Service;
pub use server::{BindError, Bound, bind};

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::admin::AdminRouters;
use crate::config::{HttpOptions, LIVE, READY};
use crate::exporter::Exporter;

/// What is served.
pub struct Endpoints {
    /// The transports of clients.
    pub clients: Router,
    /// The server API.
    pub api: Router,
    /// What `/ready` says.
    pub readiness: Arc<dyn Readiness>,
    /// What the metrics' path says.
    pub exporter: Exporter,
    /// The page and its tokens; an empty router where there is none.
    pub page: Router,
    /// The administration page; empty routers where there is none.
    pub admin: AdminRouters,
}

/// The routers of the public and, if there is one, of the internal address.
pub fn routers(options: &HttpOptions, endpoints: Endpoints) -> (Router, Option<Router>) {
    let probes = probes(options, endpoints.readiness, endpoints.exporter);
    let Endpoints { api, admin, .. } = endpoints;
    let mut public = endpoints.clients.merge(endpoints.page);
    if options.internal.is_none() {
        return (public.merge(api).merge(admin.public).merge(probes), None);
    }
    if options.api_is_public {
        public = public.merge(api.clone());
    }
    if options.admin_is_public {
        public = public.merge(admin.public);
    }
    (public, Some(api.merge(admin.internal).merge(probes)))
}

fn probes(options: &HttpOptions, readiness: Arc<dyn Readiness>, exporter: Exporter) -> Router {
    let mut router = Router::new()
        .route(READY, get(ready::handler).with_state(readiness))
        .route(LIVE, get(live));
    if let Some(path) = options.health.as_deref().filter(|path| *path != LIVE) {
        router = router.route(path, get(live));
    }
    if let Some(path) = &options.metrics {
        router = router.route(path, get(metrics).with_state(exporter));
    }
    router
}

/// Whoever can say this is alive.
async fn live() -> Json<Value> {
    Json(json!({}))
}

async fn metrics(State(exporter): State<Exporter>) -> Response {
    let content_type = (header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8");
    // It looks at every connection's queue: that is not for a thread that serves them.
    match tokio::task::spawn_blocking(move || exporter.render()).await {
        Ok(text) => (StatusCode::OK, [content_type], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
