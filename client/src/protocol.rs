//! The client's side of the protocol, without sockets, clock, randomness or tasks.
//!
//! A [`Machine`] is told what happens — the application's wishes, what a transport brings, tokens, the time — and says what is
//! to be done: open or close a transport, ask for a token, tell the application. It holds what outlives a connection: which
//! state is wished for, positions in streams, tokens, waits between attempts. The driver joins it to the world.
//!
//! # Parts
//!
//! - [`machine`]: what goes in and comes out; [`link`]: the connection; [`subscription`], [`server_side`]: both kinds of
//!   subscriptions; [`refresh`]: tokens; [`replies`]: what the server sends.
//! - [`position`]: what a subscription has seen; [`lanes`]: numbers that stand for subscriptions; [`calls`]: commands on
//!   their way; [`timers`]; [`backoff`].

mod backoff;
mod calls;
mod lanes;
mod link;
mod machine;
mod output;
mod position;
mod refresh;
mod replies;
mod server_side;
mod settings;
mod subscription;
mod timers;

pub(crate) use machine::Machine;
pub(crate) use output::{Attempt, CallId, CallResult, NoToken, Output, SubscriptionId, Ticket, TokenOwner};
pub(crate) use settings::{Delays, Settings, SubscriptionSettings};

#[cfg(test)]
mod tests;
