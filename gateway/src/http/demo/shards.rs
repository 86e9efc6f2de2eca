//! The shards on the page: how they are, and adding and draining some of this process.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{ConnectInfo, FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::Serialize;
use serde_json::json;

use super::{Demo, comes_from_here};
use crate::shards::report::PlanReport;
use crate::shards::{Add, Change, Drain, Refusal, Remove, parse};

/// Shards that visitors may have at most: each may hold as much as the first ones.
const MAX_SHARDS: usize = 16;

pub(super) fn routes(demo: Arc<Demo>) -> Router {
    Router::new()
        .route("/demo/shards/status", post(status))
        .route("/demo/shards/add", post(add))
        .route("/demo/shards/drain", post(drain))
        .route("/demo/shards/remove", post(remove))
        .with_state(demo)
}

async fn status(State(demo): State<Arc<Demo>>, _: Admitted, body: Bytes) -> Response {
    let answer = async { demo.shards.status(parse(&body)?).await };
    respond(&answer.await)
}

/// Another shard of this process, and of no other: visitors say its name and nothing else.
async fn add(State(demo): State<Arc<Demo>>, _: Admitted, body: Bytes) -> Response {
    let answer = async {
        let Remove { name } = parse(&body)?;
        if demo.shards.list().await?.shards.len() >= MAX_SHARDS {
            return Err(Refusal::wrong_state(format!(
                "{MAX_SHARDS} shards are enough for one process; remove one first"
            )));
        }
        let add = Add {
            name,
            url: String::new(),
            weight: 1,
            durable: false,
        };
        demo.shards.change(Change::Add(add)).await
    };
    respond(&answer.await)
}

async fn drain(State(demo): State<Arc<Demo>>, _: Admitted, body: Bytes) -> Response {
    respond(&demo.change(parse::<Drain>(&body).map(Change::Drain)).await)
}

async fn remove(State(demo): State<Arc<Demo>>, _: Admitted, body: Bytes) -> Response {
    respond(&demo.change(parse::<Remove>(&body).map(Change::Remove)).await)
}

/// A caller at this machine who has a token of this process.
struct Admitted;

impl FromRequestParts<Arc<Demo>> for Admitted {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, demo: &Arc<Demo>) -> Result<Self, StatusCode> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        if !peer.is_some_and(|peer| comes_from_here(peer.0, &parts.headers)) {
            return Err(StatusCode::FORBIDDEN);
        }
        if !demo.issued_token_of(&parts.headers) {
            return Err(StatusCode::UNAUTHORIZED);
        }
        Ok(Self)
    }
}

impl Demo {
    fn issued_token_of(&self, headers: &HeaderMap) -> bool {
        let token = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "));
        token.is_some_and(|token| self.authenticator.connection(token, self.clock.now()).is_ok())
    }

    async fn change(&self, change: Result<Change, Refusal>) -> Result<PlanReport, Refusal> {
        self.shards.change(change?).await
    }
}

/// In the form of the server API.
fn respond(answer: &Result<impl Serialize, Refusal>) -> Response {
    let answer = match answer {
        Ok(result) => json!({ "result": result }),
        Err(refusal) => json!({ "error": { "code": refusal.code.code(), "message": refusal.message } }),
    };
    ([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response()
}
