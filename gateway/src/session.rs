//! One client connection's protocol state.

mod command;
mod effect;
mod outcome;

pub use command::{ServerCommand, ServerRefresh, ServerSubscribe, SubscriptionSettings};
pub use effect::{Effect, HistorySpec, Output, PublishSpec, Recover, RequestId, SubscribeSpec};
pub use outcome::{Joined, Outcome, Recovery};
