//! What the machine is told once, when it is made.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use campanile_common::Position;

/// The shortest and the longest wait between attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Delays {
    pub(crate) min: Duration,
    pub(crate) max: Duration,
}

/// Of a client.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The first connection token; empty for none.
    pub(crate) token: String,
    /// Whether the application can be asked for connection tokens.
    pub(crate) has_token_source: bool,
    /// What the application sends along with each connect.
    pub(crate) data: Bytes,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) headers: BTreeMap<String, String>,
    /// Between attempts to connect.
    pub(crate) reconnect: Delays,
    /// For opening a transport, and for each command to be answered.
    pub(crate) timeout: Duration,
    /// How much later than announced a ping of the server may come; zero: pings are not waited for.
    pub(crate) max_ping_delay: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            token: String::new(),
            has_token_source: false,
            data: Bytes::new(),
            name: "rust".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            headers: BTreeMap::new(),
            reconnect: Delays {
                min: Duration::from_millis(500),
                max: Duration::from_secs(20),
            },
            timeout: Duration::from_secs(5),
            max_ping_delay: Duration::from_secs(10),
        }
    }
}

/// Of a subscription.
#[derive(Clone, Debug)]
pub(crate) struct SubscriptionSettings {
    pub(crate) channel: String,
    /// The first subscription token; empty for none.
    pub(crate) token: String,
    /// Whether the application can be asked for tokens of this subscription.
    pub(crate) has_token_source: bool,
    /// What the application sends along with each subscribe.
    pub(crate) data: Bytes,
    pub(crate) positioned: bool,
    pub(crate) recoverable: bool,
    pub(crate) join_leave: bool,
    /// The position from which the first subscribe recovers.
    pub(crate) since: Option<Position>,
    /// Between attempts to subscribe.
    pub(crate) resubscribe: Delays,
}

impl SubscriptionSettings {
    pub(crate) fn new(channel: impl Into<String>) -> Self {
        Self {
            channel: channel.into(),
            token: String::new(),
            has_token_source: false,
            data: Bytes::new(),
            positioned: false,
            recoverable: false,
            join_leave: false,
            since: None,
            resubscribe: Delays {
                min: Duration::from_millis(500),
                max: Duration::from_secs(20),
            },
        }
    }
}
