//! How a session travels: in a cookie that scripts cannot read and that no other site's request carries.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};

use super::Port;

/// The cookie's name.
pub(super) const NAME: &str = "campanile_admin";

/// Every value that the request has for the cookie: several, where another path of the same host has set one too.
pub(super) fn values(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(header::COOKIE)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter_map(|(name, value)| (name == NAME).then_some(value))
}

/// Sets the cookie; an empty value takes it away.
pub(super) fn set(value: &str, path: &str, ttl: Duration, is_secure: bool) -> HeaderValue {
    let seconds = ttl.as_secs();
    let secure = if is_secure { "; Secure" } else { "" };
    let cookie = format!("{NAME}={value}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
    HeaderValue::from_str(&cookie).expect("a token and a path that was checked are plain ASCII")
}

/// Whether the browser speaks TLS, to this port or to a proxy that says so. Whoever lies about it only keeps a cookie of their own
/// from being sent.
pub(super) fn is_secure(port: Port, headers: &HeaderMap) -> bool {
    let forwarded = headers.get("x-forwarded-proto");
    let forwarded = forwarded.and_then(|value| value.to_str().ok());
    let first = forwarded.and_then(|value| value.split(',').next());
    port.tls || first.is_some_and(|scheme| scheme.trim().eq_ignore_ascii_case("https"))
}
