//! `client.token.*` and `client.subscription_token.*`: which tokens are believed.

use std::fmt;
use std::sync::Arc;

use campanile_common::Timestamp;
use regex::Regex;

/// How tokens are verified.
#[derive(Clone, Debug, Default)]
pub struct AuthOptions {
    /// For connection tokens.
    pub connection: TokenOptions,
    /// For subscription tokens; `None`: the same as for connection tokens.
    pub subscription: Option<TokenOptions>,
}

impl AuthOptions {
    /// The rules for subscription tokens.
    #[must_use]
    pub fn subscription(&self) -> &TokenOptions {
        self.subscription.as_ref().unwrap_or(&self.connection)
    }
}

/// Which tokens of one kind are believed. The default believes none.
#[derive(Clone, Debug, Default)]
pub struct TokenOptions {
    /// The keys of HS256, HS384 and HS512; `None`: such tokens are refused.
    pub hmac: Option<HmacKeys>,
    /// What one of the token's audiences must be; `None`: anything.
    pub audience: Option<Expected>,
    /// What the token's issuer must be; `None`: anything.
    pub issuer: Option<Expected>,
    /// The claim that names the user; `None`: `sub`.
    pub user_id_claim: Option<String>,
}

/// The present key, and the one before it while tokens signed with it are still around.
#[derive(Clone, Debug)]
pub struct HmacKeys {
    /// Signs new tokens.
    pub current: SecretKey,
    /// Verifies old ones.
    pub previous: Option<PreviousKey>,
}

/// A key that was replaced.
#[derive(Clone, Debug)]
pub struct PreviousKey {
    /// The key.
    pub key: SecretKey,
    /// Until when it is believed; `None`: as long as it is configured.
    pub valid_until: Option<Timestamp>,
}

/// A key that never shows in logs. Cloning shares it.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretKey(Arc<[u8]>);

impl SecretKey {
    /// The key of these bytes; `None` if there are none, since everybody knows that key.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        (!bytes.is_empty()).then(|| Self(bytes.into()))
    }

    /// The bytes to sign and verify with.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(…)")
    }
}

/// What a claim must be.
#[derive(Clone, Debug)]
pub enum Expected {
    /// Exactly this.
    Exactly(String),
    /// Something in which this pattern is found; anchors are the pattern's business.
    Matching(Regex),
}

impl Expected {
    /// Whether `value` is as expected.
    #[must_use]
    pub fn accepts(&self, value: &str) -> bool {
        match self {
            Self::Exactly(expected) => expected == value,
            Self::Matching(pattern) => pattern.is_match(value),
        }
    }
}
