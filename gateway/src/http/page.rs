//! The page at `/`, on which two browser tabs talk to each other, and the tokens for its visitors.

use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::{ConnectInfo, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use crate::auth::{TokenRequest, generate_token};
use crate::clock::Clock;
use crate::config::options::SecretKey;

const PAGE: &str = include_str!("../page/index.html");

/// The page needs nothing from elsewhere and nobody may frame it.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
                      connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Longest name of a visitor in bytes.
const MAX_NAME: usize = 32;

/// How long a visitor's token is valid: the page fetches a new one when it connects again.
const TOKEN_TTL: Duration = Duration::from_secs(10 * 60);

/// Hands out tokens to whoever sits at this machine. Exists only while the token key was made up at this start, so
/// that it opens nothing else.
#[derive(Clone, Debug)]
pub struct DemoTokens {
    /// Signs them.
    pub key: SecretKey,
    /// Tells when they expire.
    pub clock: Clock,
}

/// The page, and its tokens if any are to be had.
pub fn page(tokens: Option<DemoTokens>) -> Router {
    let router = Router::new().route("/", get(index));
    match tokens {
        Some(tokens) => router.route("/demo/token", get(token).with_state(tokens)),
        None => router,
    }
}

async fn index() -> Response {
    let headers = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, Html(PAGE)).into_response()
}

#[derive(Debug, Deserialize)]
struct Visitor {
    name: String,
}

async fn token(
    State(tokens): State<DemoTokens>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Query(visitor): Query<Visitor>,
) -> Response {
    if !peer.ip().is_loopback() || !names_this_machine(&headers) {
        return StatusCode::FORBIDDEN.into_response();
    }
    if visitor.name.is_empty() || visitor.name.len() > MAX_NAME {
        return StatusCode::BAD_REQUEST.into_response();
    }
    let now = tokens.clock.now();
    let token = generate_token(
        &tokens.key,
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
