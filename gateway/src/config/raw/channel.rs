//! Channels: the syntax of their names, and what each namespace's channels are.

use campanile_common::{ChannelSyntax, HumanDuration};
use serde::{Deserialize, Serialize};

use super::super::describe::section;

section! {
    /// `channel`: all channels.
    #[derive(Clone, Debug, Serialize, Deserialize)]
    #[serde(default)]
    pub struct Channel {
        /// The rules of channels whose name has no namespace: the keys of `channel.namespaces[]`, without a `name`.
        pub without_namespace: Namespace,
        /// The namespaces. In each, nothing is kept and nobody may do anything unless it says so.
        pub namespaces: Vec<Namespace>,
        /// How long a stream's epoch and top offset outlive the last touch, where the namespace does not say.
        pub history_meta_ttl: HumanDuration,
        /// What payloads of clients must be, where the namespace does not say: `json`, `json_object`, `binary` (anything);
        /// empty: anything but nothing.
        pub publication_data_format: String,
        /// Longest name of a channel.
        pub max_length: u16 as "bytes",
        /// Begins the name of a channel that demands a subscription token.
        pub private_prefix: String,
        /// Ends the namespace in a name.
        pub namespace_boundary: String,
        /// Begins the users that a channel is limited to.
        pub user_boundary: String,
        /// Stands between those users.
        pub user_separator: String,
    }
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

section! {
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
        /// Sends these announcements also to subscribers who did not ask.
        pub force_push_join_leave: bool,
        /// How many publications are kept; together with `history_ttl` it makes a stream. 0: none.
        pub history_size: u32 as "publications",
        /// How long they are kept after the last one; `0s`: not.
        pub history_ttl: HumanDuration,
        /// How long a stream's epoch and top offset outlive the last touch; `0s`: `channel.history_meta_ttl`.
        pub history_meta_ttl: HumanDuration,
        /// Watches over the position of every subscription.
        pub force_positioning: bool,
        /// Lets subscribers ask for that.
        pub allow_positioning: bool,
        /// Lets every subscription recover what it missed.
        pub force_recovery: bool,
        /// Lets subscribers ask for that.
        pub allow_recovery: bool,
        /// `stream` (or empty): everything missed; `cache`: the latest publication.
        pub force_recovery_mode: String,
        /// Clients without a user may subscribe without a subscription token.
        pub allow_subscribe_for_anonymous: bool,
        /// Clients with a user may subscribe without a subscription token.
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
        /// What the name after the namespace must match, a regular expression; empty: anything.
        pub channel_regex: String,
        /// What payloads of clients must be; empty: as `channel.publication_data_format` says.
        pub publication_data_format: String,
        /// Sends publications as datagrams to QUIC clients that take them: late or lost ones are not repeated. Refused for a
        /// namespace with a stream.
        pub quic_datagrams: bool,
    }
}
