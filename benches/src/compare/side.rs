//! The other server of a comparison.

use std::path::PathBuf;
use std::str::FromStr;

use super::{Failure, Order, Progress, Report, Target, execute};
use crate::bare::Bare;
use crate::plan::PublishVia;
use crate::stack::StackOptions;

/// What a load is compared on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Side {
    /// The bare reference loop, started for each run.
    Bare,
    /// A local stack with another gateway's program, started for each run.
    Stack(PathBuf),
    /// A server that runs.
    Server(Server),
}

/// A server that runs, and what differs from how the first one is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Server {
    /// Where clients connect.
    pub url: String,
    /// The base of its HTTP API.
    pub api: Option<String>,
    /// The key of that; `None`: the same as of the first server's.
    pub api_key: Option<String>,
}

impl FromStr for Side {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        if text == "bare" {
            Ok(Self::Bare)
        } else if let Some(path) = text.strip_prefix("stack:") {
            Ok(Self::Stack(path.into()))
        } else if text.contains("://") {
            let url = text.to_owned();
            Ok(Self::Server(Server {
                url,
                ..Server::default()
            }))
        } else {
            Err(Failure::usage(format!(
                "{text}: neither a URL, nor stack:FILE, nor bare"
            )))
        }
    }
}

impl Side {
    /// What it is called.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Bare => "the bare loop".to_owned(),
            Self::Stack(path) => format!("local stack of {}", path.display()),
            Self::Server(server) => server.url.clone(),
        }
    }

    /// What the server of an order is called.
    #[must_use]
    pub fn name_of(order: &Order) -> String {
        match (&order.target, &order.stack.gateway_binary) {
            (Some(target), _) => target.urls.join(", "),
            (None, Some(path)) => format!("local stack of {}", path.display()),
            (None, None) => "local stack".to_owned(),
        }
    }

    /// Carries out the order on this server instead.
    pub(super) async fn execute(&self, order: &Order, progress: &mut Progress) -> Result<Report, Failure> {
        let mut order = order.clone();
        match self {
            Self::Stack(path) => {
                order.target = None;
                order.stack = StackOptions {
                    gateway_binary: Some(path.clone()),
                    ..order.stack
                };
                execute(&order, progress).await
            }
            Self::Server(server) => {
                order.target = Some(server.target(&order)?);
                execute(&order, progress).await
            }
            Self::Bare => {
                // The same program, as another process: its CPU time is its own.
                let program = std::env::current_exe()?;
                let bare = Bare::start(&program, 1, None, order.stack.codec).await?;
                order.target = Some(bare.target().clone());
                execute(&order, progress).await
            }
        }
    }
}

impl Server {
    /// How it is reached: with the same credentials and namespaces as the first server. What is known of that one's parts and
    /// processes says nothing of this.
    pub(super) fn target(&self, order: &Order) -> Result<Target, Failure> {
        if self.api.is_none() && order.plan.load.publish_via == PublishVia::Api {
            let hint = "publishing through the HTTP API needs --compare-api, or say --publish-via client";
            return Err(Failure::usage(hint));
        }
        let first = order.target.clone().unwrap_or_default();
        Ok(Target {
            urls: vec![self.url.clone()],
            codec: order.stack.codec,
            apis: self.api.iter().cloned().collect(),
            api_key: self.api_key.clone().unwrap_or(first.api_key),
            shards: Vec::new(),
            spares: Vec::new(),
            metrics: Vec::new(),
            processes: Vec::new(),
            ..first
        })
    }
}
