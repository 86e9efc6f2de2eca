//! `campanile gentoken` and `campanile checktoken`: tokens as the configuration would have them.

use std::fmt;
use std::io;
use std::time::SystemTime;

use campanile_common::{HumanDuration, Timestamp};
use clap::Args;
use serde_json::{Value, json};

use super::output::{answer, complain, fail, refuse, say};
use super::{ConfigArguments, Exit};
use crate::auth::{Explained, TokenError, TokenRequest, explain, generate_token as sign};
use crate::config::Config;
use crate::config::options::Expected;

/// What the token is to say.
#[derive(Debug, Args)]
pub struct TokenArguments {
    /// The user; empty for an anonymous client
    #[arg(short, long, default_value = "")]
    user: String,
    /// Makes a subscription token for this channel instead of a connection token
    #[arg(long)]
    channel: Option<String>,
    /// How long the token is valid, for example 15m; 0s for ever
    #[arg(short, long, default_value = "1h")]
    ttl: HumanDuration,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArguments,
}

/// Which token.
#[derive(Args)]
pub struct CheckTokenArguments {
    /// The token; `-` reads it from standard input
    #[arg(env = "CAMPANILE_TOKEN", hide_env_values = true)]
    token: String,
    /// It must be a subscription token for this channel
    #[arg(long)]
    channel: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArguments,
}

// The token is nobody's business.
impl fmt::Debug for CheckTokenArguments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckTokenArguments")
            .field("channel", &self.channel)
            .finish_non_exhaustive()
    }
}

/// `gentoken`: prints a token.
#[must_use]
pub fn generate_token(arguments: TokenArguments) -> Exit {
    let config = match Config::load(&arguments.config.sources()) {
        Ok((config, _)) => config,
        Err(invalid) => return refuse(&invalid, arguments.json),
    };
    let rules = match arguments.channel {
        Some(_) => config.auth.subscription(),
        None => &config.auth.connection,
    };
    // A key that was made up for this very process opens nothing.
    let Some(keys) = rules.hmac.as_ref().filter(|_| config.demo.is_none()) else {
        return fail(Exit::Configuration, arguments.json, None, NO_KEY);
    };
    let now = now();
    let ttl = arguments.ttl.get();
    let request = TokenRequest {
        user: &arguments.user,
        channel: arguments.channel.as_deref(),
        issued_at: now,
        expires_at: (!ttl.is_zero()).then(|| now + ttl),
        audience: exactly(rules.audience.as_ref()),
        issuer: exactly(rules.issuer.as_ref()),
    };
    let token = sign(&keys.current, &request);
    let expires_at = request.expires_at.map(Timestamp::as_secs);
    answer(
        arguments.json,
        || json!({ "token": token, "user": request.user, "channel": request.channel, "expires_at": expires_at }),
        || token.clone(),
    )
}

/// What is said where there is no key.
const NO_KEY: &str = "client.token.hmac_secret_key: not set, so there is nothing to sign or to verify with; name a file with --config";

/// What the rules demand, where they name one text.
fn exactly(expected: Option<&Expected>) -> Option<&str> {
    match expected {
        Some(Expected::Exactly(text)) => Some(text),
        Some(Expected::Matching(_)) | None => None,
    }
}

/// `checktoken`: prints what a token says, or why a gateway would refuse it.
#[must_use]
pub fn check_token(arguments: CheckTokenArguments) -> Exit {
    let token = match arguments.token.as_str() {
        "-" => match io::read_to_string(io::stdin()) {
            Ok(text) => text.trim().to_owned(),
            Err(error) => {
                return fail(
                    Exit::Usage,
                    arguments.json,
                    None,
                    &format!("standard input: {error}"),
                );
            }
        },
        _ => arguments.token,
    };
    let config = match Config::load(&arguments.config.sources()) {
        Ok((config, _)) => config,
        Err(invalid) => return refuse(&invalid, arguments.json),
    };
    if config.demo.is_some() {
        return fail(Exit::Configuration, arguments.json, None, NO_KEY);
    }
    let now = now();
    let explained = explain(&config.auth, &token, arguments.channel.as_deref(), now);
    let outcome = explained.verdict.as_ref().map(|_| ());
    if arguments.json {
        say(object(&explained, now).to_string());
    }
    match outcome {
        Ok(()) if arguments.json => Exit::Success,
        Ok(()) => answer(false, || Value::Null, || words(&explained, now)),
        Err(refusal) => {
            complain(&format!(
                "the {} token is refused: {}",
                explained.kind, refusal.why
            ));
            match refusal.error {
                TokenError::Expired => Exit::TokenExpired,
                TokenError::Invalid(_) => Exit::TokenRefused,
            }
        }
    }
}

fn object(explained: &Explained, now: Timestamp) -> Value {
    let mut object = json!({
        "valid": explained.verdict.is_ok(),
        "kind": explained.kind.to_string(),
        "algorithm": explained.algorithm,
        "claims": explained.claims,
    });
    match &explained.verdict {
        Ok(accepted) => {
            object["user"] = json!(accepted.user);
            object["channel"] = json!(accepted.channel);
            object["expires_at"] = json!(accepted.expires_at.map(Timestamp::as_secs));
            let left = accepted.expires_at.map(|at| at.saturating_since(now).as_secs());
            object["expires_in"] = json!(left);
        }
        Err(refusal) => object["reason"] = json!(refusal.why),
    }
    object
}

fn words(explained: &Explained, now: Timestamp) -> String {
    let Ok(accepted) = &explained.verdict else {
        return String::new();
    };
    let who = match accepted.user.as_str() {
        "" => "without a user".to_owned(),
        user => format!("of user {user}"),
    };
    let place = accepted
        .channel
        .as_ref()
        .map(|channel| format!(" for channel {channel}"));
    let expires = match accepted.expires_at {
        None => "never".to_owned(),
        Some(at) => format!("in {} (at {})", seconds(at, now), at.as_secs()),
    };
    let claims = explained.claims.as_ref().map(ToString::to_string);
    format!(
        "valid: a {} token {who}{}\nexpires: {expires}\nclaims: {}",
        explained.kind,
        place.unwrap_or_default(),
        claims.unwrap_or_default()
    )
}

/// The time from `now` to `at`, in whole seconds.
fn seconds(at: Timestamp, now: Timestamp) -> HumanDuration {
    HumanDuration::from_secs(at.saturating_since(now).as_secs())
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Timestamp::ZERO + since.unwrap_or_default()
}
