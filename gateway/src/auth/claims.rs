//! The claims of tokens as applications write them.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use campanile_common::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// What a subscription does differently from its namespace. In JSON: `{"presence": {"value": true}}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SubscriptionOverride {
    /// Whether the subscriber is present.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub presence: Option<Switch>,
    /// Whether its coming and going is announced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub join_leave: Option<Switch>,
    /// Whether it gets such announcements.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub force_push_join_leave: Option<Switch>,
    /// Whether its position is watched over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub force_positioning: Option<Switch>,
    /// Whether it may recover.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub force_recovery: Option<Switch>,
}

/// On or off, as opposed to not said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Switch {
    /// Whether it is on.
    pub value: bool,
}

/// The claims that every token may have.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RegisteredClaims {
    pub(super) sub: Option<String>,
    pub(super) aud: Option<Audience>,
    pub(super) iss: Option<String>,
    pub(super) exp: Option<NumericDate>,
    pub(super) nbf: Option<NumericDate>,
    pub(super) iat: Option<NumericDate>,
}

/// The claims of a connection token besides the registered ones.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ConnectionClaims {
    pub(super) expire_at: Option<NumericDate>,
    pub(super) info: Option<Box<RawValue>>,
    pub(super) b64info: Option<String>,
    pub(super) channels: Vec<String>,
    pub(super) subs: BTreeMap<String, SubscriptionClaims>,
    /// Only subscription tokens name a channel; this one must not pass for the other kind.
    pub(super) channel: Option<String>,
}

/// The claims of a subscription token besides the registered ones, and each of a connection token's `subs`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct SubscriptionClaims {
    pub(super) channel: Option<String>,
    pub(super) client: Option<String>,
    pub(super) expire_at: Option<NumericDate>,
    pub(super) info: Option<Box<RawValue>>,
    pub(super) b64info: Option<String>,
    pub(super) data: Option<Box<RawValue>>,
    pub(super) b64data: Option<String>,
    #[serde(rename = "override")]
    pub(super) overrides: Option<SubscriptionOverride>,
}

/// One audience or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Audience {
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        match self {
            Self::One(audience) => std::slice::from_ref(audience).iter(),
            Self::Several(audiences) => audiences.iter(),
        }
        .map(String::as_str)
    }
}

/// Seconds since the Unix epoch, possibly with a fraction.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct NumericDate(f64);

impl NumericDate {
    /// The time itself; before 1970 is 1970, beyond what a timestamp can say is never.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the cast saturates, as wanted"
    )]
    pub(super) fn timestamp(self) -> Timestamp {
        Timestamp::from_millis((self.0 * 1000.0) as u64)
    }
}

/// When a connection or subscription expires: `expire_at` where it is there (0: never), else with its token.
pub(super) fn expiry(expire_at: Option<NumericDate>, exp: Option<NumericDate>) -> Option<Timestamp> {
    expire_at
        .or(exp)
        .map(NumericDate::timestamp)
        .filter(|time| *time > Timestamp::ZERO)
}

/// A payload that is given as JSON or, with precedence, in base64. `None`: the base64 is none.
pub(super) fn payload(json: Option<Box<RawValue>>, base64: Option<&str>) -> Option<Bytes> {
    match base64 {
        Some(text) if !text.is_empty() => STANDARD.decode(text).ok().map(Bytes::from),
        _ => Some(json.map_or_else(Bytes::new, |json| {
            Bytes::from(Box::<str>::from(json).into_boxed_bytes())
        })),
    }
}
