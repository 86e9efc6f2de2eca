//! How a session travels: in a cookie that scripts cannot read and that no other site's request carries.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};

use super::Port;

/// The name of a session's cookie.
pub(super) const SESSION: &str = "campanile_admin";

/// The name of the cookie by which a browser is known.
pub(super) const BROWSER: &str = "campanile_admin_browser";

/// A cookie to be set; an empty value takes it away.
pub(super) struct Cookie<'a> {
    pub(super) name: &'static str,
    pub(super) value: &'a str,
    /// Where it is sent to, and below.
    pub(super) path: &'a str,
    pub(super) ttl: Duration,
}

/// Every value that the request has for a cookie: several, where another path of the same host has set one too.
pub(super) fn values<'a>(headers: &'a HeaderMap, name: &'static str) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(header::COOKIE)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter_map(move |(known, value)| (known == name).then_some(value))
}

impl Cookie<'_> {
    /// The header's value.
    pub(super) fn header(&self, is_secure: bool) -> HeaderValue {
        let Self {
            name, value, path, ..
        } = self;
        let seconds = self.ttl.as_secs();
        let secure = if is_secure { "; Secure" } else { "" };
        let cookie =
            format!("{name}={value}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
        HeaderValue::from_str(&cookie).expect("a token and a path that was checked are plain ASCII")
    }
}

/// Whether the browser speaks TLS, to this port or to a proxy that says so. Whoever lies about it only keeps a cookie of their own
/// from being sent.
pub(super) fn is_secure(port: Port, headers: &HeaderMap) -> bool {
    let forwarded = headers.get("x-forwarded-proto");
    let forwarded = forwarded.and_then(|value| value.to_str().ok());
    let first = forwarded.and_then(|value| value.split(',').next());
    port.tls || first.is_some_and(|scheme| scheme.trim().eq_ignore_ascii_case("https"))
}
