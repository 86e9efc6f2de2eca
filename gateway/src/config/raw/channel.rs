//! Channels: the syntax of their names, and what each namespace's channels are.

use campanile_common::{ChannelSyntax, HumanDuration};
use serde::{Deserialize, Serialize};

/// `channel`: all channels.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Channel {
    /// The rules of channels whose name has no namespace.
    pub without_namespace: Namespace,
    /// The rules of the others.
    pub namespaces: Vec<Namespace>,
    /// How long a stream's epoch and top offset are kept, where the namespace does not say.
    pub history_meta_ttl: HumanDuration,
    /// What a client's publication must be, where the namespace does not say.
    pub publication_data_format: String,
    /// Longest name in bytes.
    pub max_length: u16,
    /// Begins the name of a channel that demands a subscription token.
    pub private_prefix: String,
    /// Ends the namespace in a name.
    pub namespace_boundary: String,
    /// Begins the users that a channel is limited to.
    pub user_boundary: String,
    /// Stands between those users.
    pub user_separator: String,
}

impl Default for Channel {
    fn default() -> Self {
        let syntax = ChannelSyntax::default();
        Self {
            without_namespace: Namespace::default(),
            namespaces: Vec::new(),
            history_meta_ttl: HumanDuration::from_secs(720 * 60 * 60),
            publication_data_format: String::new(),
            max_length: u16::try_from(syntax.max_length).unwrap_or(u16::MAX),
            private_prefix: syntax.private_prefix,
            namespace_boundary: syntax.namespace_boundary,
            user_boundary: syntax.user_boundary,
            user_separator: syntax.user_separator,
        }
    }
}

/// `channel.namespaces[]` and `channel.without_namespace`: nothing is kept and nobody may do anything unless said here.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Namespace {
    /// What stands before the boundary in the names of its channels.
    pub name: String,
    /// Keeps who is subscribed.
    pub presence: bool,
    /// Announces who comes and goes.
    pub join_leave: bool,
    /// Sends these announcements to subscribers who did not ask.
    pub force_push_join_leave: bool,
    /// Publications kept at most; 0: none.
    pub history_size: u32,
    /// How long they are kept after the last one; `0s`: not.
    pub history_ttl: HumanDuration,
    /// How long epoch and top offset are kept; `0s`: `channel.history_meta_ttl`.
    pub history_meta_ttl: HumanDuration,
    /// Watches over every subscription's position.
    pub force_positioning: bool,
    /// Lets clients ask for that.
    pub allow_positioning: bool,
    /// Makes every subscription recoverable.
    pub force_recovery: bool,
    /// Lets clients ask for that.
    pub allow_recovery: bool,
    /// `stream`: what was missed; `cache`: the latest publication.
    pub force_recovery_mode: String,
    /// Clients without a user may subscribe.
    pub allow_subscribe_for_anonymous: bool,
    /// Clients with a user may subscribe.
    pub allow_subscribe_for_client: bool,
    /// Clients without a user may publish.
    pub allow_publish_for_anonymous: bool,
    /// Subscribers may publish.
    pub allow_publish_for_subscriber: bool,
    /// Clients with a user may publish.
    pub allow_publish_for_client: bool,
    /// Clients without a user may ask who is there.
    pub allow_presence_for_anonymous: bool,
    /// Subscribers may ask who is there.
    pub allow_presence_for_subscriber: bool,
    /// Clients with a user may ask who is there.
    pub allow_presence_for_client: bool,
    /// Clients without a user may read the history.
    pub allow_history_for_anonymous: bool,
    /// Subscribers may read the history.
    pub allow_history_for_subscriber: bool,
    /// Clients with a user may read the history.
    pub allow_history_for_client: bool,
    /// Opens channels `name#user1,user2` to these users.
    pub allow_user_limited_channels: bool,
    /// What the name after the namespace must match; empty: anything.
    pub channel_regex: String,
    /// `json`, `json_object`, `binary`; empty: `channel.publication_data_format`.
    pub publication_data_format: String,
    /// Sends publications as datagrams, which may be lost, to QUIC clients that take them.
    pub quic_datagrams: bool,
}
