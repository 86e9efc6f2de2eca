//! What client connections may do and which tokens are believed: validated.

use std::num::NonZeroU32;

use campanile_common::Timestamp;
use regex::Regex;

use super::options::{
    AuthOptions, ClientOptions, Expected, HmacKeys, PersonalChannel, PreviousKey, RateLimit, SecretKey,
    TokenOptions,
};
use super::raw::{self, Raw};
use super::report::Report;

/// A key of fewer bytes can be found out by trying, from a single token.
const SHORT_SECRET: usize = 16;

pub(super) fn client(raw: &Raw, report: &mut Report) -> ClientOptions {
    let client = &raw.client;
    check_times(raw, report);
    check_access(client, report);
    let defaults = ClientOptions::default();
    ClientOptions {
        ping_interval: client.ping_interval.get(),
        pong_timeout: client.pong_timeout.get(),
        stale_close_delay: client.stale_close_delay.get(),
        expired_close_delay: client.expired_close_delay.get(),
        expired_sub_close_delay: client.expired_sub_close_delay.get(),
        channel_limit: client.channel_limit as usize,
        in_flight_limit: match client.concurrency {
            0 => defaults.in_flight_limit,
            some => some as usize,
        },
        queue_max_size: client.queue_max_size as usize,
        history_max_publication_limit: client.history_max_publication_limit,
        recovery_max_publication_limit: client.recovery_max_publication_limit,
        insecure: client.insecure,
        allow_anonymous_connect_without_token: client.allow_anonymous_connect_without_token,
        disallow_anonymous_connection_tokens: client.disallow_anonymous_connection_tokens,
        user_connection_limit: client.user_connection_limit,
        connection_limit: client.connection_limit,
        connection_rate_limit: client.connection_rate_limit,
        connect_include_server_time: client.connect_include_server_time,
        presence_update_interval: client.presence_update_interval.get(),
        channel_position_check_delay: client.channel_position_check_delay.get(),
        resubscribe_spread: client.resubscribe_spread.get(),
        rate_limit: rate_limit(&client.rate_limit, report),
        personal_channel: personal_channel(&client.subscribe_to_user_personal_channel),
    }
}

fn check_times(raw: &Raw, report: &mut Report) {
    let client = &raw.client;
    if !client.ping_interval.is_zero() && client.pong_timeout >= client.ping_interval {
        report.error(format!(
            "client.pong_timeout: {} is not shorter than client.ping_interval, {}; write a shorter one",
            client.pong_timeout, client.ping_interval
        ));
    }
    let ttl = raw.engine.redis.presence_ttl;
    if client.presence_update_interval.is_zero() || client.presence_update_interval >= ttl {
        report.error(format!(
            "client.presence_update_interval: {} does not fit engine.redis.presence_ttl, {ttl}, within which entries \
             must be refreshed; write less than half of it",
            client.presence_update_interval
        ));
    }
    if client.queue_max_size == 0 {
        report.error("client.queue_max_size: 0 closes every connection; write bytes, such as 1048576");
    }
    for (key, delay) in [
        ("client.stale_close_delay", client.stale_close_delay),
        (
            "client.channel_position_check_delay",
            client.channel_position_check_delay,
        ),
    ] {
        if delay.is_zero() {
            report.error(format!(
                "{key}: 0s means all the time; write a duration, such as \"10s\""
            ));
        }
    }
}

fn check_access(client: &raw::Client, report: &mut Report) {
    if client.insecure {
        report.security("client.insecure: everybody may connect and do everything; only for development");
    } else if client.token.hmac_secret_key.is_empty() && !client.allow_anonymous_connect_without_token {
        report.warning(
            "client.token.hmac_secret_key: not set, so no client can connect; `campanile genconfig` makes one",
        );
    }
    if client.allowed_origins.iter().any(|origin| origin == "*") {
        report.warning(
            "client.allowed_origins: * lets every web page connect with what its visitor's browser has",
        );
    }
}

fn rate_limit(raw: &raw::RateLimit, report: &mut Report) -> Option<RateLimit> {
    let per_second = NonZeroU32::new(raw.commands_per_second)?;
    let burst = NonZeroU32::new(raw.burst).or_else(|| {
        report.error("client.rate_limit.burst: 0 lets no command in; write how many may come at once");
        None
    })?;
    Some(RateLimit { per_second, burst })
}

fn personal_channel(raw: &raw::PersonalChannel) -> Option<PersonalChannel> {
    raw.enabled.then(|| PersonalChannel {
        namespace: some_text(&raw.personal_channel_namespace),
    })
}

pub(super) fn auth(client: &raw::Client, report: &mut Report) -> AuthOptions {
    let subscription = client.subscription_token.enabled.then(|| {
        let rules = client.subscription_token.clone().into_token();
        token("client.subscription_token", &rules, report)
    });
    AuthOptions {
        connection: token("client.token", &client.token, report),
        subscription,
    }
}

fn token(section: &str, raw: &raw::Token, report: &mut Report) -> TokenOptions {
    TokenOptions {
        hmac: hmac(section, raw, report),
        audience: expected(section, "audience", (&raw.audience, &raw.audience_regex), report),
        issuer: expected(section, "issuer", (&raw.issuer, &raw.issuer_regex), report),
        user_id_claim: some_text(&raw.user_id_claim),
    }
}

fn hmac(section: &str, raw: &raw::Token, report: &mut Report) -> Option<HmacKeys> {
    let current = SecretKey::new(raw.hmac_secret_key.as_bytes())?;
    if current.expose().len() < SHORT_SECRET {
        report.security(format!(
            "{section}.hmac_secret_key: a key this short can be found out by trying; write {SHORT_SECRET} bytes or more"
        ));
    }
    let until = u64::try_from(raw.hmac_previous_secret_key_valid_until);
    let previous = SecretKey::new(raw.hmac_previous_secret_key.as_bytes()).map(|key| PreviousKey {
        key,
        valid_until: until
            .ok()
            .filter(|seconds| *seconds > 0)
            .map(Timestamp::from_secs),
    });
    Some(HmacKeys { current, previous })
}

fn expected(section: &str, claim: &str, rules: (&str, &str), report: &mut Report) -> Option<Expected> {
    match rules {
        ("", "") => None,
        (text, "") => Some(Expected::Exactly(text.to_owned())),
        ("", pattern) => regex(&format!("{section}.{claim}_regex"), pattern, report).map(Expected::Matching),
        _ => {
            report.error(format!(
                "{section}: both {claim} and {claim}_regex are set; write one of them"
            ));
            None
        }
    }
}

/// The regular expression `pattern`, the value of `key`.
pub(super) fn regex(key: &str, pattern: &str, report: &mut Report) -> Option<Regex> {
    Regex::new(pattern)
        .inspect_err(|error| {
            // The rest of the lines shows the pattern and points into it.
            let error = error.to_string();
            let what = error
                .lines()
                .last()
                .unwrap_or_default()
                .trim_start_matches("error: ");
            report.error(format!("{key}: not a regular expression: {what}"));
        })
        .ok()
}

/// An empty text is none.
pub(super) fn some_text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
