//! Why a token is refused, in words for whoever configures gateways: more than its bearer is ever told.
//!
//! The verdict is that of the [`Authenticator`]; here is only looked for what led to it.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use campanile_common::{HumanDuration, Timestamp};
use jsonwebtoken::DecodingKey;
use serde_json::Value;

use super::claims::{NumericDate, RegisteredClaims};
use super::verify::{Authenticator, TokenError, TokenFault, is_signed_with};
use crate::config::options::{AuthOptions, Expected, TokenOptions};

/// What there is to say about a token.
#[derive(Clone, Debug)]
pub struct Explained {
    /// Which kind it is, by its own account.
    pub kind: TokenKind,
    /// The algorithm that it names, if that can be read.
    pub algorithm: Option<String>,
    /// What it says, if that can be read. Not to be believed unless it is accepted.
    pub claims: Option<Value>,
    /// Whether a gateway accepts it.
    pub verdict: Result<Accepted, Refusal>,
}

/// The two kinds of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// Says whose connection it is.
    Connection,
    /// Says that a user may subscribe to a channel.
    Subscription,
}

/// What an accepted token gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// To whom; empty: to nobody in particular.
    pub user: String,
    /// The channel of a subscription token.
    pub channel: Option<String>,
    /// Until when; `None`: for ever.
    pub expires_at: Option<Timestamp>,
}

/// Why a token is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What clients are told.
    pub error: TokenError,
    /// What it is exactly, with the key of the configuration that demands it.
    pub why: String,
}

impl fmt::Display for TokenKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connection => "connection",
            Self::Subscription => "subscription",
        })
    }
}

/// Verifies `token`, which must be for `channel` if one is given, and says what came of it.
#[must_use]
pub fn explain(options: &AuthOptions, token: &str, channel: Option<&str>, now: Timestamp) -> Explained {
    let parts = Parts::of(token);
    let claims = parts.json(1);
    let named = claims.as_ref().and_then(|claims| claims["channel"].as_str());
    let kind = match named {
        Some(named) if !named.is_empty() => TokenKind::Subscription,
        _ => TokenKind::Connection,
    };
    let verdict = verify(options, token, kind, now).map_err(|error| Refusal {
        error,
        why: Inquiry::new(options, kind, token, now).reason(error),
    });
    let verdict = verdict.and_then(|accepted| match channel {
        Some(channel) if accepted.channel.as_deref() != Some(channel) => Err(Refusal {
            error: TokenFault::Kind.into(),
            why: match &accepted.channel {
                Some(other) => format!("it is for channel {other}"),
                None => "it is a connection token; a subscription token has a claim channel".to_owned(),
            },
        }),
        _ => Ok(accepted),
    });
    let header = parts.json(0);
    let algorithm = header.and_then(|header| header["alg"].as_str().map(str::to_owned));
    Explained {
        kind,
        algorithm,
        claims,
        verdict,
    }
}

fn verify(
    options: &AuthOptions,
    token: &str,
    kind: TokenKind,
    now: Timestamp,
) -> Result<Accepted, TokenError> {
    let authenticator = Authenticator::new(options);
    Ok(match kind {
        TokenKind::Connection => {
            let token = authenticator.connection(token, now)?;
            Accepted {
                user: token.user,
                channel: None,
                expires_at: token.expires_at,
            }
        }
        TokenKind::Subscription => {
            let token = authenticator.subscription(token, now)?;
            Accepted {
                user: token.user,
                channel: Some(token.subscription.channel),
                expires_at: token.expires_at,
            }
        }
    })
}

/// The three parts of a token.
struct Parts<'a>(Vec<&'a str>);

impl<'a> Parts<'a> {
    fn of(token: &'a str) -> Self {
        Self(token.split('.').collect())
    }

    /// What a part says, if it is what it should be.
    fn json(&self, part: usize) -> Option<Value> {
        let decoded = URL_SAFE_NO_PAD.decode(self.0.get(part)?).ok()?;
        serde_json::from_slice(&decoded).ok()
    }
}

/// Looks for what is wrong with a token that was refused.
struct Inquiry<'a> {
    /// The section of the configuration with its rules.
    section: &'static str,
    rules: &'a TokenOptions,
    token: &'a str,
    now: Timestamp,
}

impl<'a> Inquiry<'a> {
    fn new(options: &'a AuthOptions, kind: TokenKind, token: &'a str, now: Timestamp) -> Self {
        let (section, rules) = match (kind, &options.subscription) {
            (TokenKind::Subscription, Some(rules)) => ("client.subscription_token", rules),
            _ => ("client.token", &options.connection),
        };
        Self {
            section,
            rules,
            token,
            now,
        }
    }

    fn reason(&self, error: TokenError) -> String {
        match error {
            TokenError::Expired => self.time(),
            TokenError::Invalid(TokenFault::Signature) => self.signature(),
            TokenError::Invalid(TokenFault::Audience) => self.party("aud", "audience", self.rules.audience.as_ref()),
            TokenError::Invalid(TokenFault::Issuer) => self.party("iss", "issuer", self.rules.issuer.as_ref()),
            TokenError::Invalid(TokenFault::Malformed) => {
                "a claim is not what it should be: sub, iss and user are texts, exp, nbf, iat and expire_at numbers of \
                 seconds, b64info and b64data base64"
                    .to_owned()
            }
            TokenError::Invalid(TokenFault::Kind) => "it is of the other kind".to_owned(),
        }
    }

    fn claims(&self) -> RegisteredClaims {
        let claims = Parts::of(self.token).json(1);
        let claims = claims.and_then(|claims| serde_json::from_value(claims).ok());
        claims.unwrap_or_default()
    }

    fn signature(&self) -> String {
        let parts = Parts::of(self.token);
        if parts.0.len() != 3 {
            let count = parts.0.len();
            return format!("it is no token: it has {count} parts with dots between them, not 3");
        }
        let algorithm = parts
            .json(0)
            .and_then(|header| header["alg"].as_str().map(str::to_owned));
        let Some(algorithm) = algorithm else {
            return "it is no token: its first part is not a header in base64".to_owned();
        };
        if !matches!(algorithm.as_str(), "HS256" | "HS384" | "HS512") {
            return format!("it is signed with {algorithm}; only HS256, HS384 and HS512 are believed");
        }
        let section = self.section;
        let Some(keys) = &self.rules.hmac else {
            return format!("{section}.hmac_secret_key is not set, so no token is believed");
        };
        let previous = keys.previous.as_ref();
        match previous
            .filter(|previous| is_signed_with(self.token, &DecodingKey::from_secret(previous.key.expose())))
        {
            Some(previous) => {
                let until = previous.valid_until.map_or(0, Timestamp::as_secs);
                format!(
                    "it is signed with {section}.hmac_previous_secret_key, which was believed until {until} \
                     ({section}.hmac_previous_secret_key_valid_until)"
                )
            }
            None => format!("it is not signed with {section}.hmac_secret_key, or was changed afterwards"),
        }
    }

    fn party(&self, claim: &str, key: &str, expected: Option<&Expected>) -> String {
        let claims = self.claims();
        let said: Vec<&str> = match claim {
            "aud" => claims.aud.iter().flat_map(|audience| audience.iter()).collect(),
            _ => claims.iss.as_deref().into_iter().collect(),
        };
        let said = match said.as_slice() {
            [] => format!("it has no {claim}"),
            said => format!("its {claim} is {}", said.join(", ")),
        };
        let section = self.section;
        match expected {
            Some(Expected::Exactly(text)) => format!("{said}; {section}.{key} is {text}"),
            Some(Expected::Matching(pattern)) => format!("{said}; {section}.{key}_regex is {pattern}"),
            None => said,
        }
    }

    fn time(&self) -> String {
        let claims = self.claims();
        let now = self.now;
        let ahead = |date: Option<NumericDate>| {
            let date = date.map(NumericDate::timestamp);
            date.map(|date| date.saturating_since(now))
                .filter(|ahead| !ahead.is_zero())
        };
        let exp = claims.exp.map(NumericDate::timestamp);
        if let Some(exp) = exp.filter(|exp| *exp <= now) {
            return format!(
                "it expired {} ago (exp {})",
                rounded(now.saturating_since(exp)),
                exp.as_secs()
            );
        }
        if let Some(ahead) = ahead(claims.nbf) {
            return format!("it is valid in {} only (nbf)", rounded(ahead));
        }
        match ahead(claims.iat) {
            Some(ahead) => format!("it will be issued in {} (iat): is a clock wrong?", rounded(ahead)),
            None => "it is not valid at this time".to_owned(),
        }
    }
}

/// Without what nobody reads.
fn rounded(duration: Duration) -> HumanDuration {
    HumanDuration::from_secs(duration.as_secs())
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{Algorithm, EncodingKey, Header};
    use regex::Regex;
    use serde_json::json;

    use super::*;
    use crate::config::options::{HmacKeys, PreviousKey, SecretKey};

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn options() -> AuthOptions {
        let key = |text: &str| SecretKey::new(text.as_bytes()).unwrap();
        let previous = PreviousKey {
            key: key("old"),
            valid_until: Some(Timestamp::from_secs(1_700_000_000)),
        };
        AuthOptions {
            connection: TokenOptions {
                hmac: Some(HmacKeys {
                    current: key("new"),
                    previous: Some(previous),
                }),
                audience: Some(Expected::Exactly("chat".to_owned())),
                issuer: Some(Expected::Matching(Regex::new("^app-").unwrap())),
                user_id_claim: None,
            },
            subscription: None,
        }
    }

    fn sign(secret: &str, claims: &Value) -> String {
        let key = EncodingKey::from_secret(secret.as_bytes());
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &key).unwrap()
    }

    fn why(token: &str) -> (TokenError, String) {
        let refusal = explain(&options(), token, None, NOW).verdict.unwrap_err();
        (refusal.error, refusal.why)
    }

    #[test]
    fn a_good_token_says_what_it_gives() {
        let claims = json!({ "sub": "ann", "aud": "chat", "iss": "app-1", "exp": 1_800_000_060 });
        let explained = explain(&options(), &sign("new", &claims), None, NOW);
        let accepted = explained.verdict.unwrap();
        assert_eq!((accepted.user.as_str(), accepted.channel), ("ann", None));
        assert_eq!(accepted.expires_at, Some(NOW + Duration::from_secs(60)));
        assert_eq!(explained.kind, TokenKind::Connection);
        assert_eq!(explained.algorithm.as_deref(), Some("HS256"));
        assert_eq!(explained.claims, Some(claims));
    }

    #[test]
    fn every_reason_is_told_apart() {
        let good = json!({ "sub": "ann", "aud": "chat", "iss": "app-1" });
        let with = |key: &str, value: Value| {
            let mut claims = good.clone();
            claims[key] = value;
            sign("new", &claims)
        };
        let rsa = URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256"}"#);
        for (token, words) in [
            ("nonsense".to_owned(), "it has 1 parts"),
            ("a.b.c".to_owned(), "its first part is not a header"),
            (format!("{rsa}.e30.c2ln"), "it is signed with RS256"),
            (
                sign("other", &good),
                "it is not signed with client.token.hmac_secret_key",
            ),
            (sign("old", &good), "which was believed until 1700000000"),
            (
                with("aud", json!(["a", "b"])),
                "its aud is a, b; client.token.audience is chat",
            ),
            (
                with("aud", Value::Null),
                "it has no aud; client.token.audience is chat",
            ),
            (
                with("iss", json!("my-app-1")),
                "its iss is my-app-1; client.token.issuer_regex is ^app-",
            ),
            (with("sub", json!(7)), "a claim is not what it should be"),
        ] {
            let (error, why) = why(&token);
            assert!(
                matches!(error, TokenError::Invalid(_)) && why.contains(words),
                "{why}"
            );
        }
        for (key, seconds, words) in [
            ("exp", 1_799_999_990, "it expired 10s ago (exp 1799999990)"),
            ("nbf", 1_800_007_200, "it is valid in 2h0m0s only (nbf)"),
            ("iat", 1_800_000_090, "it will be issued in 1m30s (iat)"),
        ] {
            let (error, why) = why(&with(key, json!(seconds)));
            assert!(error == TokenError::Expired && why.contains(words), "{why}");
        }
        let none = explain(&AuthOptions::default(), &sign("new", &good), None, NOW);
        let why = none.verdict.unwrap_err().why;
        assert_eq!(
            why,
            "client.token.hmac_secret_key is not set, so no token is believed"
        );
    }

    #[test]
    fn a_subscription_token_is_for_its_channel() {
        let claims = json!({ "sub": "ann", "aud": "chat", "iss": "app-1", "channel": "news" });
        let (subscription, channel) = (sign("new", &claims), |name| Some(name));
        let explained = explain(&options(), &subscription, channel("news"), NOW);
        assert_eq!(explained.kind, TokenKind::Subscription);
        assert_eq!(explained.verdict.unwrap().channel.as_deref(), Some("news"));
        let refusal = explain(&options(), &subscription, channel("other"), NOW)
            .verdict
            .unwrap_err();
        assert_eq!(refusal.why, "it is for channel news");
        let connection = sign("new", &json!({ "sub": "ann", "aud": "chat", "iss": "app-1" }));
        let refusal = explain(&options(), &connection, channel("news"), NOW)
            .verdict
            .unwrap_err();
        assert!(
            refusal.why.starts_with("it is a connection token"),
            "{}",
            refusal.why
        );
    }
}
