//! Verifying tokens.

use std::time::Duration;

use bytes::Bytes;
use campanile_common::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::claims::{
    ConnectionClaims, NumericDate, RegisteredClaims, SubscriptionClaims, SubscriptionOverride, expiry,
    payload,
};
use crate::config::options::{AuthOptions, TokenOptions};

/// How far the clock of whoever issues tokens may be ahead of this gateway's.
const CLOCK_SKEW: Duration = Duration::from_secs(60);

/// Verifies the tokens of clients.
pub struct Authenticator {
    connection: Verifier,
    subscription: Verifier,
}

/// What a connection token says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConnectionToken {
    /// Whose connection it is; empty: nobody's in particular.
    pub user: String,
    /// When the connection expires; `None`: never.
    pub expires_at: Option<Timestamp>,
    /// What other clients may know about it; empty: nothing.
    pub info: Bytes,
    /// Channels that the connection is subscribed to by the server.
    pub subscriptions: Vec<ServerSubscription>,
}

/// A server-side subscription of a connection token.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServerSubscription {
    /// The channel, not yet checked.
    pub channel: String,
    /// What other subscribers may know about this one; empty: nothing.
    pub info: Bytes,
    /// Anything for the client; empty: nothing.
    pub data: Bytes,
    /// What differs from the namespace's rules.
    pub overrides: SubscriptionOverride,
}

/// What a subscription token says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SubscriptionToken {
    /// Who may subscribe.
    pub user: String,
    /// The one connection that may, if it is limited to one.
    pub client: Option<String>,
    /// When the subscription expires; `None`: never.
    pub expires_at: Option<Timestamp>,
    /// The channel, what is known of the subscriber, and the exceptions made for it.
    pub subscription: ServerSubscription,
}

/// Why a token is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Its time is over or has not come; another token may do.
    #[error("the token is not valid at this time")]
    Expired,
    /// It is not believed, and never will be.
    #[error("the token is not valid: {0}")]
    Invalid(TokenFault),
}

/// What is wrong with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// It is no token, or its claims are not what they should be.
    #[error("malformed")]
    Malformed,
    /// No configured key signed it, or with an algorithm that is not believed.
    #[error("signature or algorithm")]
    Signature,
    /// It is meant for someone else.
    #[error("audience")]
    Audience,
    /// It is issued by someone else.
    #[error("issuer")]
    Issuer,
    /// A subscription token where a connection token is wanted, or the reverse.
    #[error("wrong kind of token")]
    Kind,
}

impl From<TokenFault> for TokenError {
    fn from(fault: TokenFault) -> Self {
        Self::Invalid(fault)
    }
}

impl Authenticator {
    /// Verifies by these rules.
    #[must_use]
    pub fn new(options: &AuthOptions) -> Self {
        Self {
            connection: Verifier::new(&options.connection),
            subscription: Verifier::new(options.subscription()),
        }
    }

    /// Verifies a connection token.
    pub fn connection(&self, token: &str, now: Timestamp) -> Result<ConnectionToken, TokenError> {
        let verified = self.connection.verify(token, now)?;
        let claims: ConnectionClaims = verified.parse()?;
        if claims.channel.is_some_and(|channel| !channel.is_empty()) {
            return Err(TokenFault::Kind.into());
        }
        let mut subscriptions = Vec::with_capacity(claims.subs.len().max(claims.channels.len()));
        for (channel, claims) in claims.subs {
            subscriptions.push(subscription(channel, claims)?);
        }
        if subscriptions.is_empty() {
            let plain = |channel| ServerSubscription {
                channel,
                ..ServerSubscription::default()
            };
            subscriptions.extend(claims.channels.into_iter().map(plain));
        }
        Ok(ConnectionToken {
            user: self.connection.user(&verified)?,
            expires_at: expiry(claims.expire_at, verified.registered.exp),
            info: payload(claims.info, claims.b64info.as_deref()).ok_or(TokenFault::Malformed)?,
            subscriptions,
        })
    }

    /// Verifies a subscription token. Whether it is for this user, client and channel is left to the caller.
    pub fn subscription(&self, token: &str, now: Timestamp) -> Result<SubscriptionToken, TokenError> {
        let verified = self.subscription.verify(token, now)?;
        let mut claims: SubscriptionClaims = verified.parse()?;
        let channel = claims.channel.take().unwrap_or_default();
        if channel.is_empty() {
            return Err(TokenFault::Kind.into());
        }
        Ok(SubscriptionToken {
            user: self.subscription.user(&verified)?,
            client: claims.client.take().filter(|client| !client.is_empty()),
            expires_at: expiry(claims.expire_at, verified.registered.exp),
            subscription: subscription(channel, claims)?,
        })
    }
}

fn subscription(channel: String, claims: SubscriptionClaims) -> Result<ServerSubscription, TokenFault> {
    Ok(ServerSubscription {
        channel,
        info: payload(claims.info, claims.b64info.as_deref()).ok_or(TokenFault::Malformed)?,
        data: payload(claims.data, claims.b64data.as_deref()).ok_or(TokenFault::Malformed)?,
        overrides: claims.overrides.unwrap_or_default(),
    })
}

/// The rules for one kind of token, ready for use.
struct Verifier {
    options: TokenOptions,
    current: Option<DecodingKey>,
    previous: Option<DecodingKey>,
    validation: Validation,
}

/// The claims of a token whose signature, time, audience and issuer are right.
struct Verified {
    text: Box<RawValue>,
    registered: RegisteredClaims,
}

impl Verified {
    fn parse<T: DeserializeOwned>(&self) -> Result<T, TokenFault> {
        serde_json::from_str(self.text.get()).map_err(|_| TokenFault::Malformed)
    }
}

impl Verifier {
    fn new(options: &TokenOptions) -> Self {
        let hmac = options.hmac.as_ref();
        let previous = hmac.and_then(|keys| keys.previous.as_ref());
        Self {
            current: hmac.map(|keys| DecodingKey::from_secret(keys.current.expose())),
            previous: previous.map(|previous| DecodingKey::from_secret(previous.key.expose())),
            validation: signature_only(),
            options: options.clone(),
        }
    }

    fn verify(&self, token: &str, now: Timestamp) -> Result<Verified, TokenError> {
        let text = self.check_signature(token, now)?;
        let registered = serde_json::from_str(text.get()).map_err(|_| TokenFault::Malformed)?;
        let verified = Verified { text, registered };
        self.check_parties(&verified.registered)?;
        check_time(&verified.registered, now)?;
        Ok(verified)
    }

    fn check_signature(&self, token: &str, now: Timestamp) -> Result<Box<RawValue>, TokenFault> {
        let decode = |key: &DecodingKey| {
            jsonwebtoken::decode::<Box<RawValue>>(token, key, &self.validation)
                .map(|token| token.claims)
                .map_err(|_| TokenFault::Signature)
        };
        let first = decode(self.current.as_ref().ok_or(TokenFault::Signature)?);
        match &self.previous {
            Some(previous) if first.is_err() && self.previous_is_believed(now) => decode(previous),
            _ => first,
        }
    }

    fn previous_is_believed(&self, now: Timestamp) -> bool {
        let previous = self.options.hmac.as_ref().and_then(|keys| keys.previous.as_ref());
        previous.is_some_and(|previous| previous.valid_until.is_none_or(|end| now < end))
    }

    fn check_parties(&self, claims: &RegisteredClaims) -> Result<(), TokenFault> {
        if let Some(expected) = &self.options.audience {
            let mut audiences = claims.aud.iter().flat_map(|audience| audience.iter());
            if !audiences.any(|audience| expected.accepts(audience)) {
                return Err(TokenFault::Audience);
            }
        }
        match &self.options.issuer {
            Some(expected)
                if !claims
                    .iss
                    .as_deref()
                    .is_some_and(|issuer| expected.accepts(issuer)) =>
            {
                Err(TokenFault::Issuer)
            }
            _ => Ok(()),
        }
    }

    fn user(&self, verified: &Verified) -> Result<String, TokenFault> {
        let Some(claim) = &self.options.user_id_claim else {
            return Ok(verified.registered.sub.clone().unwrap_or_default());
        };
        let mut claims: serde_json::Map<String, serde_json::Value> = verified.parse()?;
        match claims.remove(claim) {
            None | Some(serde_json::Value::Null) => Ok(String::new()),
            Some(serde_json::Value::String(user)) => Ok(user),
            Some(serde_json::Value::Number(user)) => Ok(user.to_string()),
            Some(_) => Err(TokenFault::Malformed),
        }
    }
}

/// Whether `key` has signed the token.
pub(super) fn is_signed_with(token: &str, key: &DecodingKey) -> bool {
    jsonwebtoken::decode::<Box<RawValue>>(token, key, &signature_only()).is_ok()
}

/// The library checks the signature; time, audience and issuer are checked here, with a clock and patterns that it
/// does not know.
fn signature_only() -> Validation {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.algorithms = vec![Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}

fn check_time(claims: &RegisteredClaims, now: Timestamp) -> Result<(), TokenError> {
    let over = claims.exp.is_some_and(|exp| exp.timestamp() <= now);
    let ahead = |date: Option<NumericDate>| date.is_some_and(|date| date.timestamp() > now + CLOCK_SKEW);
    if over || ahead(claims.nbf) || ahead(claims.iat) {
        return Err(TokenError::Expired);
    }
    Ok(())
}
