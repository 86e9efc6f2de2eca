//! The other server of a comparison.

use std::path::PathBuf;
use std::str::FromStr;

use super::{Failure, Order, Progress, Report, Target, execute};
use crate::bare::Bare;
use crate::plan::PublishVia;
use crate::scenario::Scenario;
use crate::secrets;
use crate::stack::StackOptions;

/// What a load is compared on.
#[derive(Clone, Debug, PartialEq)]
pub enum Side {
    /// The bare reference loop, started for each run, with so many messages in a write at most.
    Bare(usize),
    /// A local stack with another gateway's program, started for each run.
    Stack(PathBuf),
    /// A server that runs.
    Server(Box<Target>),
}

impl FromStr for Side {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        let wrong = || {
            Failure::usage(format!(
                "{text}: neither a URL, nor stack:FILE, nor bare, nor bare:N"
            ))
        };
        if text == "bare" {
            Ok(Self::Bare(1))
        } else if let Some(count) = text.strip_prefix("bare:") {
            let count = count.parse().ok().filter(|count| *count > 0);
            count.map(Self::Bare).ok_or_else(wrong)
        } else if let Some(path) = text.strip_prefix("stack:") {
            Ok(Self::Stack(path.into()))
        } else if text.contains("://") {
            Ok(Self::Server(Box::new(Target {
                urls: vec![text.to_owned()],
                ..Target::default()
            })))
        } else {
            Err(wrong())
        }
    }
}

impl Side {
    /// Whether this order can be carried out here: asked before the first server is loaded.
    pub fn check(&self, scenario: &dyn Scenario, order: &Order) -> Result<(), Failure> {
        match self {
            Self::Bare(_) if scenario.needs_broker(&order.plan.load) => Err(Failure::usage(format!(
                "{} cannot be compared with the bare loop, which has no streams, no shards and no limits",
                scenario.name()
            ))),
            Self::Server(target)
                if target.apis.is_empty() && order.plan.load.publish_via == PublishVia::Api =>
            {
                let hint = "publishing through the HTTP API needs --compare-api, or say --publish-via client";
                Err(Failure::usage(hint))
            }
            _ => Ok(()),
        }
    }

    /// Whether it runs already, and remembers what it did.
    #[must_use]
    pub const fn lasts(&self) -> bool {
        matches!(self, Self::Server(_))
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Bare(1) => "the bare loop".to_owned(),
            Self::Bare(count) => format!("the bare loop, {count} messages in a write"),
            Self::Stack(path) => format!("local stack of {}", path.display()),
            Self::Server(target) => secrets::urls(&target.urls.join(", ")),
        }
    }

    /// What the server of an order is called.
    #[must_use]
    pub fn name_of(order: &Order) -> String {
        match (&order.target, &order.stack.gateway_binary) {
            (Some(target), _) => secrets::urls(&target.urls.join(", ")),
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
            Self::Server(target) => {
                order.target = Some(target.as_ref().clone());
                execute(&order, progress).await
            }
            Self::Bare(count) => {
                // The same program, as another process: its CPU time is its own.
                let program = std::env::current_exe()?;
                let bare = Bare::start(&program, *count, None, order.stack.codec).await?;
                order.target = Some(bare.target().clone());
                execute(&order, progress).await
            }
        }
    }
}
