//! What a session is given: what it shares with all others, and what is its own.

use campanile_common::Timestamp;

use crate::auth::Authenticator;
use crate::config::options::{AuthOptions, ChannelOptions, ClientOptions};

/// The rules that all sessions of a gateway share.
pub struct SessionContext {
    /// What a connection may do.
    pub client: ClientOptions,
    /// What channels are, and who may use them.
    pub channels: ChannelOptions,
    /// Who is believed.
    pub authenticator: Authenticator,
    /// The server's version as clients are told.
    pub version: String,
}

impl SessionContext {
    /// The rules of this configuration.
    #[must_use]
    pub fn new(client: ClientOptions, channels: ChannelOptions, auth: &AuthOptions) -> Self {
        Self {
            client,
            channels,
            authenticator: Authenticator::new(auth),
            version: env!("CARGO_PKG_VERSION").into(),
        }
    }
}

/// The beginning of one connection.
#[derive(Clone, Debug)]
pub struct Start {
    /// The name of the connection, unique among all gateways and not guessable.
    pub client: String,
    /// The present.
    pub now: Timestamp,
    /// Where the session's randomness comes from. It only spreads load.
    pub seed: u64,
}
