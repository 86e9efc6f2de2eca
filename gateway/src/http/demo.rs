//! What the page's visitors may do without a key: get a token, look at the shards, add and drain some.
//!
//! Only whoever sits at this machine may, and only while the gateway's keys were made up at this start. Both calls come
//! from this machine and are addressed to it as such; a call about shards carries a token besides, which a foreign page
//! in the same browser can neither read nor send.

mod shards;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, DefaultBodyLimit, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use crate::auth::{Authenticator, TokenRequest, generate_token};
use crate::clock::Clock;
use crate::config::options::{AuthOptions, HmacKeys, SecretKey, TokenOptions};
use crate::shards::ShardAdmin;

/// Longest name of a visitor in bytes.
const MAX_NAME: usize = 32;

/// How long a visitor's token is valid: the page fetches a new one when it connects again.
const TOKEN_TTL: Duration = Duration::from_secs(10 * 60);

/// Longest body of a call about shards in bytes.
const MAX_BODY: usize = 1024;

/// What the visitors' endpoints need. To be made only while the token key was made up at this start, so that it opens
/// nothing else.
pub struct Demo {
    key: SecretKey,
    authenticator: Authenticator,
    clock: Clock,
    shards: Arc<ShardAdmin>,
}

impl Demo {
    /// Signs and verifies tokens with `key`, and lets those who have one change `shards`.
    #[must_use]
    pub fn new(key: SecretKey, clock: Clock, shards: Arc<ShardAdmin>) -> Self {
        let hmac = HmacKeys {
            current: key.clone(),
            previous: None,
        };
        let authenticator = Authenticator::new(&AuthOptions {
            connection: TokenOptions {
                hmac: Some(hmac),
                ..TokenOptions::default()
            },
            subscription: None,
        });
        Self {
            key,
            authenticator,
            clock,
            shards,
        }
    }

    pub(super) fn routes(self) -> Router {
        let demo = Arc::new(self);
        Router::new()
            .route("/demo/token", get(token).with_state(Arc::clone(&demo)))
            .merge(shards::routes(demo))
            .layer(DefaultBodyLimit::max(MAX_BODY))
    }
}

#[derive(Debug, Deserialize)]
struct Visitor {
    name: String,
}

async fn token(
    State(demo): State<Arc<Demo>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Query(visitor): Query<Visitor>,
) -> Response {
    if !comes_from_here(peer, &headers) {
        return StatusCode::FORBIDDEN.into_response();
    }
    if visitor.name.is_empty() || visitor.name.len() > MAX_NAME {
        return StatusCode::BAD_REQUEST.into_response();
    }
    let now = demo.clock.now();
    let token = generate_token(
        &demo.key,
        &TokenRequest {
            user: &visitor.name,
            issued_at: now,
            expires_at: Some(now + TOKEN_TTL),
            ..TokenRequest::default()
        },
    );
    (
        [(header::CACHE_CONTROL, "no-store")],
        Json(json!({ "token": token })),
    )
        .into_response()
}

/// Whether somebody at this machine asks, and means it.
fn comes_from_here(peer: SocketAddr, headers: &HeaderMap) -> bool {
    peer.ip().is_loopback() && names_this_machine(headers)
}

/// Whether the request was addressed to this machine as such. A foreign page whose name was made to lead here
/// would name itself.
fn names_this_machine(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let Some(host) = host else { return false };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    matches!(name, "localhost" | "127.0.0.1" | "[::1]")
}
