//! The protocol's numbers: errors of commands, ends of subscriptions, ends of connections.
//!
//! Each is a type that knows its number, its text, and whether the client may come back.

mod disconnect;
mod error;
mod unsubscribe;

pub use disconnect::{Disconnect, DisconnectCode};
pub use error::ErrorCode;
pub use unsubscribe::UnsubscribeCode;

#[cfg(test)]
mod tests;
