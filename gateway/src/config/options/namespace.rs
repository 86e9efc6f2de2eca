//! `channel.namespaces[]` and `channel.without_namespace`: what channels of one namespace are and who may use them.

use std::time::Duration;

use campanile_shard_router::shard::StreamLimits;
use regex::Regex;

/// The rules of the channels of one namespace. The default allows nothing and keeps nothing.
#[derive(Clone, Debug)]
pub struct NamespaceOptions {
    /// Whether the shards keep who is subscribed. Off; costs about 200 bytes plus the client's info for each
    /// subscriber on the shard, and its refreshing.
    pub presence: bool,
    /// Whether a subscriber's coming and going is announced. Off: in a channel of n subscribers who all come
    /// and go that is n² messages.
    pub join_leave: bool,
    /// Whether subscribers get these announcements without asking. Off.
    pub force_push_join_leave: bool,
    /// Publications kept in the stream at most; zero: no stream. Zero. The worst cost in memory on the shard is this
    /// times the largest publication, for each channel that was published to within `history_ttl`.
    pub history_size: u32,
    /// How long a stream is kept after its last publication; zero: no stream. Zero.
    pub history_ttl: Duration,
    /// How long a stream's epoch and top offset are kept after the last touch. 720 h: it outlives the content so
    /// that a client that returns late is told the truth. Costs about 200 bytes a channel on the shard.
    pub history_meta_ttl: Duration,
    /// Whether every subscription's position is watched over: a loss between shard and client is noticed. Off.
    pub force_positioning: bool,
    /// Whether a client may ask for that. Off.
    pub allow_positioning: bool,
    /// Whether every subscription may recover what it missed. Off; implies positioning.
    pub force_recovery: bool,
    /// Whether a client may ask for that. Off.
    pub allow_recovery: bool,
    /// What is recovered: everything missed, or the latest publication.
    pub recovery_mode: RecoveryMode,
    /// Who may subscribe without a token. Nobody. (`subscriber` has no meaning here.)
    pub allow_subscribe: Allow,
    /// Which clients may publish. None: applications publish through the server API.
    pub allow_publish: Allow,
    /// Which clients may ask who is subscribed. None.
    pub allow_presence: Allow,
    /// Which clients may read the stream. None.
    pub allow_history: Allow,
    /// Whether a channel `name#user1,user2` is open to these users without a token. Off.
    pub allow_user_limited_channels: bool,
    /// What the part of the name after the namespace must match; `None`: anything.
    pub channel_regex: Option<Regex>,
    /// What a publication's payload must be.
    pub publication_format: PublicationFormat,
    /// Publications may be sent as datagrams, and so be lost, to clients that take them. Never with a stream.
    pub quic_datagrams: bool,
}

impl Default for NamespaceOptions {
    fn default() -> Self {
        Self {
            presence: false,
            join_leave: false,
            force_push_join_leave: false,
            history_size: 0,
            history_ttl: Duration::ZERO,
            history_meta_ttl: Duration::from_secs(720 * 60 * 60),
            force_positioning: false,
            allow_positioning: false,
            force_recovery: false,
            allow_recovery: false,
            recovery_mode: RecoveryMode::Stream,
            allow_subscribe: Allow::default(),
            allow_publish: Allow::default(),
            allow_presence: Allow::default(),
            allow_history: Allow::default(),
            allow_user_limited_channels: false,
            channel_regex: None,
            publication_format: PublicationFormat::NotEmpty,
            quic_datagrams: false,
        }
    }
}

impl NamespaceOptions {
    /// The stream that channels of this namespace keep; `None`: they keep none.
    #[must_use]
    pub fn stream(&self) -> Option<StreamLimits> {
        (self.history_size > 0 && !self.history_ttl.is_zero()).then(|| StreamLimits {
            size: self.history_size,
            ttl: self.history_ttl,
            meta_ttl: self.history_meta_ttl.max(self.history_ttl),
        })
    }
}

/// Which clients may do something; any of the three is enough.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allow {
    /// Those with a user.
    pub client: bool,
    /// Those subscribed to the channel.
    pub subscriber: bool,
    /// Those without a user.
    pub anonymous: bool,
}

/// What a returning subscriber is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RecoveryMode {
    /// Every publication that it missed.
    #[default]
    Stream,
    /// The latest publication: the channel carries a value, not a sequence.
    Cache,
}

/// What the payload of a client's publication must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PublicationFormat {
    /// Anything but nothing.
    #[default]
    NotEmpty,
    /// One JSON value.
    Json,
    /// One JSON object.
    JsonObject,
    /// Anything, also nothing.
    Binary,
}
