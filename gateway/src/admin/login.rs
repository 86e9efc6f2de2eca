//! The begin and the end of a session.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse as _;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::error::{Answer, Failure};
use super::session::Session;
use super::{Admin, Port, cookie};

#[derive(Deserialize)]
struct Credentials {
    password: String,
}

/// What the page has to know of its session.
#[derive(Serialize)]
pub(super) struct About {
    /// Goes with every call that may change something.
    csrf: String,
    /// When the session ends, in milliseconds since 1970.
    expires_at: u64,
}

/// Begins a session for whoever knows the password.
pub(super) async fn login(
    State(admin): State<Arc<Admin>>,
    Extension(port): Extension<Port>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let credentials: Credentials = serde_json::from_slice(&body)
        .map_err(|_| Failure::new(StatusCode::BAD_REQUEST, "a password is expected"))?;
    let now = admin.parts.clock.now();
    admin.attempts.take(peer.ip(), now).map_err(|wait| {
        admin.meters.too_often.increment(1);
        Failure::too_often(wait)
    })?;
    if !admin.sessions.is_password(credentials.password.as_bytes()) {
        admin.meters.wrong_password.increment(1);
        tracing::warn!(peer = %peer.ip(), "a wrong password for the administration page");
        return Err(Failure::new(StatusCode::UNAUTHORIZED, "that is not the password"));
    }
    admin.attempts.succeeded(peer.ip());
    admin.meters.logged_in.increment(1);
    tracing::info!(peer = %peer.ip(), "somebody has logged in to the administration page");
    let session = admin.sessions.begin(now);
    let token = admin.sessions.token(&session);
    let is_secure = cookie::is_secure(port, &headers);
    let cookie = cookie::set(&token, &admin.prefix, admin.sessions.ttl(), is_secure);
    Ok(([(header::SET_COOKIE, cookie)], Json(admin.about(&session))).into_response())
}

/// Takes the session's cookie from the browser.
pub(super) async fn logout(
    State(admin): State<Arc<Admin>>,
    Extension(port): Extension<Port>,
    headers: HeaderMap,
) -> Answer {
    let is_secure = cookie::is_secure(port, &headers);
    let cookie = cookie::set("", &admin.prefix, Duration::ZERO, is_secure);
    Ok(([(header::SET_COOKIE, cookie)], Json(json!({}))).into_response())
}

/// What a page that was loaded anew has to know; `null`: there is no session.
pub(super) async fn session(State(admin): State<Arc<Admin>>, headers: HeaderMap) -> Json<Option<About>> {
    let session = admin.session(&headers);
    Json(session.map(|session| admin.about(&session)))
}

impl Admin {
    fn about(&self, session: &Session) -> About {
        About {
            csrf: self.sessions.csrf(session),
            expires_at: session.expires_at.as_millis(),
        }
    }
}
