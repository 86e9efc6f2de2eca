//! Making tokens, for trying things out: `campanile gentoken` and the page at `/`.

use campanile_common::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;

use crate::config::options::SecretKey;

/// What a token should say.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokenRequest<'a> {
    /// The user; empty: anonymous.
    pub user: &'a str,
    /// The channel of a subscription token; `None`: a connection token.
    pub channel: Option<&'a str>,
    /// When it is issued.
    pub issued_at: Timestamp,
    /// When it expires; `None`: never.
    pub expires_at: Option<Timestamp>,
    /// Who it is for, if the configuration demands that.
    pub audience: Option<&'a str>,
    /// Who issues it, if the configuration demands that.
    pub issuer: Option<&'a str>,
}

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'a str>,
    iat: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
}

/// A token signed with HS256.
#[must_use]
pub fn generate_token(key: &SecretKey, request: &TokenRequest<'_>) -> String {
    let claims = Claims {
        sub: request.user,
        channel: request.channel,
        iat: request.issued_at.as_secs(),
        exp: request.expires_at.map(Timestamp::as_secs),
        aud: request.audience,
        iss: request.issuer,
    };
    let key = EncodingKey::from_secret(key.expose());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key)
        .expect("strings and numbers are JSON, and HMAC signs with any key")
}
