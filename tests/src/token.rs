//! Connection and subscription tokens.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

/// The secret of the gateways in every test.
pub const SECRET: &str = "a-token-secret-of-the-tests-that-is-long-enough-for-each-algorithm-of-the-family";

/// Signs `claims` with HS256 and `secret`.
pub fn sign(claims: &Value, secret: &str) -> String {
    sign_with(Algorithm::HS256, claims, secret)
}

/// Signs `claims` with an algorithm of the HMAC family and `secret`.
pub fn sign_with(algorithm: Algorithm, claims: &Value, secret: &str) -> String {
    jsonwebtoken::encode(
        &Header::new(algorithm),
        claims,
        &EncodingKey::from_secret(secret.as_bytes()),
    )
    .expect("claims are JSON and the key fits the algorithm")
}

/// A connection token of `user`, good for an hour.
pub fn connection(user: &str) -> String {
    sign(&json!({ "sub": user, "exp": seconds_from_now(3600) }), SECRET)
}

/// A subscription token of `user` for `channel`, good for an hour.
pub fn subscription(user: &str, channel: &str) -> String {
    sign(
        &json!({ "sub": user, "channel": channel, "exp": seconds_from_now(3600) }),
        SECRET,
    )
}

/// A point in time as the claims have it, `seconds` from now or ago.
pub fn seconds_from_now(seconds: i64) -> i64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    i64::try_from(now.as_secs())
        .unwrap_or(i64::MAX)
        .saturating_add(seconds)
}
