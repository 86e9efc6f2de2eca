//! What sessions are allowed and told, validated: no combination of values in here is contradictory.
//!
//! Names follow the configuration keys of Centrifugo v6 (`client.*`, `client.token.*`, `channel.*`); durations are
//! [`Duration`](std::time::Duration)s, sizes are bytes, counts are counts. A [`Default`] is what an empty
//! configuration means.

mod channel;
mod client;
mod namespace;
mod token;

#[cfg(test)]
mod tests;

pub use channel::{ChannelOptions, UnknownNamespace};
pub use client::{ClientOptions, PersonalChannel, RateLimit};
pub use namespace::{Allow, NamespaceOptions, PublicationFormat, RecoveryMode};
pub use token::{AuthOptions, Expected, HmacKeys, PreviousKey, SecretKey, TokenOptions};
