//! Connection tokens.

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;

/// How long a token is good for: longer than any run.
const SECONDS: u64 = 24 * 3600;

#[derive(Serialize)]
struct Claims {
    sub: String,
    exp: u64,
}

/// A connection token of the user `bench-NUMBER`, signed with HS256.
pub(super) fn connection(secret: &str, client: usize) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let claims = Claims {
        sub: format!("bench-{client}"),
        exp: now.as_secs() + SECONDS,
    };
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key)
        .expect("a text and a number are JSON, and HMAC signs with any key")
}
