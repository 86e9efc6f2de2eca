//! The names of keys and channels.

use redis::Cmd;

use crate::store::GatewayId;

/// Generation and change id of the stored topology.
pub(super) type Version = (Option<u64>, Option<u64>);

/// All names under one prefix.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    pub(super) topology: String,
    pub(super) gateways: String,
    pub(super) reports: String,
    pub(super) lease: String,
    pub(super) token: String,
    /// Channel: the topology has changed.
    pub(super) changes: String,
    /// Channel: messages to every gateway.
    pub(super) messages: String,
}

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        Self {
            topology: format!("{prefix}:topology"),
            gateways: format!("{prefix}:gateways"),
            reports: format!("{prefix}:gateways:reports"),
            lease: format!("{prefix}:lease"),
            token: format!("{prefix}:token"),
            changes: format!("{prefix}:changes"),
            messages: format!("{prefix}:messages"),
        }
    }

    /// The command that asks for the topology's [`Version`].
    pub(super) fn version(&self) -> Cmd {
        let mut command = redis::cmd("HMGET");
        command.arg(&self.topology).arg("generation").arg("change_id");
        command
    }

    /// The channel of messages to one gateway.
    pub(super) fn messages_to(&self, gateway: &GatewayId) -> String {
        format!("{}:{}", self.messages, gateway.0)
    }
}
