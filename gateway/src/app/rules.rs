//! The rules that running parts go by and that a new version of the configuration replaces.

use crate::config::options::ChannelOptions;
use crate::config::{ApiAccess, Config};
use crate::live::Live;
use crate::logging::LogLevel;
use crate::session::SessionContext;
use crate::transport::origin::AllowedOrigins;

/// All of them, each shared with the parts that go by it.
#[derive(Clone)]
pub(super) struct Rules {
    /// What sessions may do, and who is believed.
    pub(super) sessions: Live<SessionContext>,
    /// What channels are, for the server API.
    pub(super) channels: Live<ChannelOptions>,
    /// Which pages may connect.
    pub(super) origins: Live<AllowedOrigins>,
    /// Who may call the server API.
    pub(super) access: Live<ApiAccess>,
    level: LogLevel,
}

impl Rules {
    /// Those of the configuration with which the gateway starts.
    pub(super) fn of(config: &Config, level: LogLevel) -> Self {
        let sessions = SessionContext::new(config.client.clone(), config.channel.clone(), &config.auth);
        Self {
            sessions: Live::new(sessions),
            channels: Live::new(config.channel.clone()),
            origins: Live::new(AllowedOrigins::new(&config.allowed_origins)),
            access: Live::new(access(config)),
            level,
        }
    }

    /// Goes by another configuration from here on. Each rule is replaced whole. What else `client` says stays: connections were
    /// made by it, and have told their clients.
    pub(super) fn replace(&self, config: &Config) {
        let client = self.sessions.look().client.clone();
        let sessions = SessionContext::new(client, config.channel.clone(), &config.auth);
        self.sessions.replace(sessions);
        self.channels.replace(config.channel.clone());
        self.origins.replace(AllowedOrigins::new(&config.allowed_origins));
        self.access.replace(access(config));
        self.level.set(config.log.level);
    }
}

/// Where there is no API nobody asks.
fn access(config: &Config) -> ApiAccess {
    let options = config.api.as_ref();
    options.map_or(ApiAccess::Nobody, |options| options.access.clone())
}
