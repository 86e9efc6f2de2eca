//! The begin and the end of a session.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse as _, Response};
use axum::{Extension, Json};
use campanile_common::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::cookie::{self, Cookie};
use super::error::{Answer, Failure};
use super::session::{BROWSER_TTL, Browser, Session};
use super::{Admin, Operator, Port};

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
    let browser = admin.browser(&headers, now);
    let place = admin.attempts.take(browser.clone(), peer.ip(), now);
    let place = place.map_err(|wait| {
        admin.meters.too_often.increment(1);
        Failure::too_often(wait)
    })?;
    if !admin.sessions.is_password(credentials.password.as_bytes()) {
        admin.meters.wrong_password.increment(1);
        tracing::warn!(peer = %peer.ip(), "a wrong password for the administration page");
        return Err(Failure::new(StatusCode::UNAUTHORIZED, "that is not the password"));
    }
    admin.attempts.give_back(&place);
    admin.meters.logged_in.increment(1);
    let session = admin.sessions.begin(now);
    let Operator { session: name, peer } = admin.operator(&session, peer.ip());
    tracing::info!(session = name, %peer, "an operator has logged in to the administration page");
    let browser = browser.unwrap_or_else(Browser::new);
    Ok(admin.welcome(&session, browser, now, cookie::is_secure(port, &headers)))
}

/// Takes the session's cookie from the browser, also that of one that is over.
pub(super) async fn logout(
    State(admin): State<Arc<Admin>>,
    Extension(port): Extension<Port>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Answer {
    if let Some(session) = admin.session(&headers) {
        let Operator { session, peer } = admin.operator(&session, peer.ip());
        tracing::info!(session, %peer, "an operator has logged out of the administration page");
    }
    let gone = admin.session_cookie("", Duration::ZERO);
    let gone = gone.header(cookie::is_secure(port, &headers));
    Ok(([(header::SET_COOKIE, gone)], Json(json!({}))).into_response())
}

/// What a page that was loaded anew has to know; `null`: there is no session.
pub(super) async fn session(State(admin): State<Arc<Admin>>, headers: HeaderMap) -> Json<Option<About>> {
    let session = admin.session(&headers);
    Json(session.map(|session| admin.about(&session)))
}

impl Admin {
    /// The answer to the right password.
    fn welcome(&self, session: &Session, browser: Browser, now: Timestamp, is_secure: bool) -> Response {
        let token = self.sessions.token(session);
        let known = Cookie {
            name: cookie::BROWSER,
            value: &self.sessions.browser_token(browser, now),
            path: &format!("{}/api/login", self.prefix),
            ttl: BROWSER_TTL,
        };
        let cookies = [self.session_cookie(&token, self.sessions.ttl()), known];
        let cookies = cookies.map(|cookie| (header::SET_COOKIE, cookie.header(is_secure)));
        (AppendHeaders(cookies), Json(self.about(session))).into_response()
    }

    fn session_cookie<'a>(&'a self, value: &'a str, ttl: Duration) -> Cookie<'a> {
        Cookie {
            name: cookie::SESSION,
            value,
            path: &self.prefix,
            ttl,
        }
    }

    /// The browser, if somebody has logged in there before.
    fn browser(&self, headers: &HeaderMap, now: Timestamp) -> Option<Browser> {
        let mut tokens = cookie::values(headers, cookie::BROWSER);
        tokens.find_map(|token| self.sessions.recognise_browser(token, now))
    }

    fn about(&self, session: &Session) -> About {
        About {
            csrf: self.sessions.csrf(session),
            expires_at: session.expires_at().as_millis(),
        }
    }
}
