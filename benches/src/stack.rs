//! The local stack: Redis servers and gateways, started for a run and ended with it.

use crate::Failure;
use crate::target::{CodecName, Target};

/// What a local stack is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackOptions {
    /// Redis servers that are shards; 0: the gateway holds the channels itself.
    pub shards: usize,
    /// Redis servers that run and are no shards yet.
    pub spares: usize,
    /// Gateways.
    pub gateways: usize,
    /// The gateway's binary; `None`: `campanile` beside this program.
    pub gateway_binary: Option<std::path::PathBuf>,
    /// More configuration of the gateways: dotted keys and values in JSON.
    pub settings: Vec<(String, String)>,
    /// The codec of the clients.
    pub codec: CodecName,
}

impl Default for StackOptions {
    fn default() -> Self {
        Self {
            shards: 1,
            spares: 0,
            gateways: 1,
            gateway_binary: None,
            settings: Vec::new(),
            codec: CodecName::default(),
        }
    }
}

/// A running stack. It ends when it is dropped.
#[derive(Debug)]
pub struct Stack {
    target: Target,
}

impl Stack {
    /// Starts everything and waits until it is ready.
    pub async fn start(options: &StackOptions) -> Result<Self, Failure> {
        let _ = options;
        std::future::ready(Err(Failure::run("no local stack yet"))).await
    }

    /// How it is reached.
    #[must_use]
    pub const fn target(&self) -> &Target {
        &self.target
    }
}
