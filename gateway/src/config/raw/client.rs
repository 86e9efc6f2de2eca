//! Client connections and the tokens they present.

use campanile_common::HumanDuration;
use serde::{Deserialize, Serialize};

use crate::config::options::ClientOptions;

/// `client`: what every connection may do. Defaults and their reasons are those of [`ClientOptions`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Client {
    /// Origins of web pages that may connect, `*` for any part of a host or for all; empty: only pages of this host.
    pub allowed_origins: Vec<String>,
    /// How connection tokens are verified.
    pub token: Token,
    /// How subscription tokens are verified, where that differs.
    pub subscription_token: SubscriptionToken,
    /// Connects clients without a token, with an empty user.
    pub allow_anonymous_connect_without_token: bool,
    /// Refuses tokens with an empty user.
    pub disallow_anonymous_connection_tokens: bool,
    /// Time between pings; `0s`: none.
    pub ping_interval: HumanDuration,
    /// How long a pong may take; `0s`: pongs are not asked for.
    pub pong_timeout: HumanDuration,
    /// How long an expired connection may go on.
    pub expired_close_delay: HumanDuration,
    /// How long an expired subscription may go on.
    pub expired_sub_close_delay: HumanDuration,
    /// How long a connection may exist without having connected.
    pub stale_close_delay: HumanDuration,
    /// Subscriptions of one connection at most.
    pub channel_limit: u32,
    /// Bytes that may wait for one connection before it is closed as slow.
    pub queue_max_size: u32,
    /// How often presence entries are refreshed.
    pub presence_update_interval: HumanDuration,
    /// Commands of one connection under way at a time at most; 0: the default.
    pub concurrency: u32,
    /// How often an idle channel with a stream is compared with its shard.
    pub channel_position_check_delay: HumanDuration,
    /// Over how long the subscribers of lost streams are told.
    pub resubscribe_spread: HumanDuration,
    /// Connections of this gateway at most; 0: any number.
    pub connection_limit: u32,
    /// Connections of one user on this gateway at most; 0: any number.
    pub user_connection_limit: u32,
    /// New connections a second on this gateway at most; 0: any number.
    pub connection_rate_limit: u32,
    /// Tells clients the server's time when they connect.
    pub connect_include_server_time: bool,
    /// Publications in one answer to a history command at most.
    pub history_max_publication_limit: u32,
    /// Publications that one subscribe command recovers at most.
    pub recovery_max_publication_limit: u32,
    /// Switches all checks off. Only for development.
    pub insecure: bool,
    /// Subscribes each user to a channel of their own.
    pub subscribe_to_user_personal_channel: PersonalChannel,
    /// How fast one connection may send commands.
    pub rate_limit: RateLimit,
}

impl Default for Client {
    fn default() -> Self {
        let options = ClientOptions::default();
        Self {
            allowed_origins: Vec::new(),
            token: Token::default(),
            subscription_token: SubscriptionToken::default(),
            allow_anonymous_connect_without_token: options.allow_anonymous_connect_without_token,
            disallow_anonymous_connection_tokens: options.disallow_anonymous_connection_tokens,
            ping_interval: options.ping_interval.into(),
            pong_timeout: options.pong_timeout.into(),
            expired_close_delay: options.expired_close_delay.into(),
            expired_sub_close_delay: options.expired_sub_close_delay.into(),
            stale_close_delay: options.stale_close_delay.into(),
            channel_limit: saturate(options.channel_limit),
            queue_max_size: saturate(options.queue_max_size),
            presence_update_interval: options.presence_update_interval.into(),
            concurrency: 0,
            channel_position_check_delay: options.channel_position_check_delay.into(),
            resubscribe_spread: options.resubscribe_spread.into(),
            connection_limit: options.connection_limit,
            user_connection_limit: options.user_connection_limit,
            connection_rate_limit: options.connection_rate_limit,
            connect_include_server_time: options.connect_include_server_time,
            history_max_publication_limit: options.history_max_publication_limit,
            recovery_max_publication_limit: options.recovery_max_publication_limit,
            insecure: options.insecure,
            subscribe_to_user_personal_channel: PersonalChannel::default(),
            rate_limit: RateLimit::default(),
        }
    }
}

fn saturate(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// `client.token`: which connection tokens are believed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Token {
    /// The key of HS256, HS384 and HS512 signatures.
    pub hmac_secret_key: String,
    /// The key before it, while its tokens are still around.
    pub hmac_previous_secret_key: String,
    /// Until when that is believed, in seconds since the Unix epoch; 0: as long as it is configured.
    pub hmac_previous_secret_key_valid_until: i64,
    /// What `aud` must contain.
    pub audience: String,
    /// The same as a regular expression.
    pub audience_regex: String,
    /// What `iss` must be.
    pub issuer: String,
    /// The same as a regular expression.
    pub issuer_regex: String,
    /// The claim that names the user; empty: `sub`.
    pub user_id_claim: String,
}

/// `client.subscription_token`: which subscription tokens are believed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SubscriptionToken {
    /// Whether these rules apply; else those of `client.token` do.
    pub enabled: bool,
    /// As in `client.token`.
    pub hmac_secret_key: String,
    /// As in `client.token`.
    pub hmac_previous_secret_key: String,
    /// As in `client.token`.
    pub hmac_previous_secret_key_valid_until: i64,
    /// As in `client.token`.
    pub audience: String,
    /// As in `client.token`.
    pub audience_regex: String,
    /// As in `client.token`.
    pub issuer: String,
    /// As in `client.token`.
    pub issuer_regex: String,
    /// As in `client.token`.
    pub user_id_claim: String,
}

impl SubscriptionToken {
    /// The rules themselves.
    #[must_use]
    pub fn into_token(self) -> Token {
        Token {
            hmac_secret_key: self.hmac_secret_key,
            hmac_previous_secret_key: self.hmac_previous_secret_key,
            hmac_previous_secret_key_valid_until: self.hmac_previous_secret_key_valid_until,
            audience: self.audience,
            audience_regex: self.audience_regex,
            issuer: self.issuer,
            issuer_regex: self.issuer_regex,
            user_id_claim: self.user_id_claim,
        }
    }
}

/// `client.subscribe_to_user_personal_channel`: the channel `#user` that a connected user is subscribed to.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PersonalChannel {
    /// Whether there is one.
    pub enabled: bool,
    /// Its namespace; empty: none.
    pub personal_channel_namespace: String,
}

/// `client.rate_limit`: how fast one connection may send commands before it is closed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct RateLimit {
    /// In the long run; 0: as fast as it can.
    pub commands_per_second: u32,
    /// At once.
    pub burst: u32,
}

impl Default for RateLimit {
    fn default() -> Self {
        let limit = crate::config::options::RateLimit::default();
        Self {
            commands_per_second: limit.per_second.get(),
            burst: limit.burst.get(),
        }
    }
}
