//! Client connections and the tokens they present.

use campanile_common::HumanDuration;
use serde::{Deserialize, Serialize};

use super::super::describe::section;
use crate::config::options::ClientOptions;

section! {
    /// `client`: what every connection may do. Defaults and their reasons are those of [`ClientOptions`].
    #[derive(Clone, Debug, Serialize, Deserialize)]
    #[serde(default)]
    pub struct Client {
        /// Origins of the pages that may connect; `*` stands for any text. Empty: pages of the gateway's own host.
        pub allowed_origins: Vec<String>,
        /// Which connection tokens are believed.
        pub token: Token,
        /// Rules of their own for subscription tokens.
        pub subscription_token: SubscriptionToken,
        /// Connects clients without a token, with an empty user.
        pub allow_anonymous_connect_without_token: bool,
        /// Refuses tokens with an empty user.
        pub disallow_anonymous_connection_tokens: bool,
        /// Time between pings; `0s`: none.
        pub ping_interval: HumanDuration,
        /// How long a pong may take; shorter than `client.ping_interval`. `0s`: pongs are not asked for.
        pub pong_timeout: HumanDuration,
        /// How long an expired connection may go on.
        pub expired_close_delay: HumanDuration,
        /// How long an expired subscription may go on.
        pub expired_sub_close_delay: HumanDuration,
        /// How long a connection may exist without having connected.
        pub stale_close_delay: HumanDuration,
        /// Subscriptions of one connection at most.
        pub channel_limit: u32 as "subscriptions",
        /// What may wait for one connection before it is closed as slow (3008).
        pub queue_max_size: u32 as "bytes",
        /// How often presence entries are refreshed; well below `engine.redis.presence_ttl`.
        pub presence_update_interval: HumanDuration,
        /// Commands of one connection under way at a time; 0: 64.
        pub concurrency: u32 as "commands",
        /// How often an idle channel with a stream is compared with its shard.
        pub channel_position_check_delay: HumanDuration,
        /// Over how long the subscribers of all channels that lost continuity together (such as those of a lost shard) are told
        /// to subscribe again, so that they do not return at once; 1000 a second on each gateway at least.
        pub resubscribe_spread: HumanDuration,
        /// Connections of one gateway at most; 0: no limit.
        pub connection_limit: u32 as "connections",
        /// Connections of one user on one gateway at most; 0: no limit.
        pub user_connection_limit: u32 as "connections",
        /// New connections on one gateway at most; 0: no limit.
        pub connection_rate_limit: u32 as "connections a second",
        /// Tells clients the server's time when they connect.
        pub connect_include_server_time: bool,
        /// What one answer to a history command holds at most.
        pub history_max_publication_limit: u32 as "publications",
        /// What one subscription recovers at most; more missed ones mean `recovered=false`.
        pub recovery_max_publication_limit: u32 as "publications",
        /// Switches every check off. Only for development.
        pub insecure: bool,
        /// Subscribes each user to a channel of their own, `#user`.
        pub subscribe_to_user_personal_channel: PersonalChannel,
        /// How fast one connection may send commands before it is closed.
        pub rate_limit: RateLimit,
    }
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

section! {
    /// `client.token`: which connection tokens are believed.
    #[derive(Clone, Debug, Default, Serialize, Deserialize)]
    #[serde(default)]
    pub struct Token {
        /// The key of HS256, HS384 and HS512 signatures, 16 bytes or more; empty: no such token is believed.
        pub hmac_secret_key: String,
        /// The key before it, while its tokens are still around.
        pub hmac_previous_secret_key: String,
        /// Until when that is believed; 0: as long as it is configured.
        pub hmac_previous_secret_key_valid_until: i64 as "seconds since the Unix epoch",
        /// What `aud` must contain; empty: anything.
        pub audience: String,
        /// The same as a regular expression.
        pub audience_regex: String,
        /// What `iss` must be; empty: anything.
        pub issuer: String,
        /// The same as a regular expression.
        pub issuer_regex: String,
        /// The claim that names the user; empty: `sub`.
        pub user_id_claim: String,
    }
}

section! {
    /// `client.subscription_token`: which subscription tokens are believed.
    #[derive(Clone, Debug, Default, Serialize, Deserialize)]
    #[serde(default)]
    pub struct SubscriptionToken {
        /// Whether subscription tokens have these rules; else they have those of `client.token`.
        pub enabled: bool,
        /// As in `client.token`.
        pub hmac_secret_key: String,
        /// As in `client.token`.
        pub hmac_previous_secret_key: String,
        /// As in `client.token`.
        pub hmac_previous_secret_key_valid_until: i64 as "seconds since the Unix epoch",
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

section! {
    /// `client.subscribe_to_user_personal_channel`: the channel `#user` that a connected user is subscribed to.
    #[derive(Clone, Debug, Default, Serialize, Deserialize)]
    #[serde(default)]
    pub struct PersonalChannel {
        /// Whether there is one.
        pub enabled: bool,
        /// Its namespace; empty: none.
        pub personal_channel_namespace: String,
    }
}

section! {
    /// `client.rate_limit`: how fast one connection may send commands before it is closed.
    #[derive(Clone, Debug, Serialize, Deserialize)]
    #[serde(default)]
    pub struct RateLimit {
        /// In the long run; 0: as fast as it can.
        pub commands_per_second: u32 as "commands a second",
        /// At once.
        pub burst: u32 as "commands",
    }
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
