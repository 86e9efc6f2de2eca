//! Rust client for the Campanile protocol.
//!
//! What is here so far is the low-level connection of the coming SDK: one transport, one codec, commands out,
//! replies and pushes in, in order. It does not reconnect, refresh tokens or recover by itself; each of those
//! is a command that its user sends. Tests and load harnesses want exactly that.
//!
//! # Parts
//!
//! - [`Connection`]: opening, sending, receiving; it answers the server's pings.
//! - its requests ([`Connection::connect`], [`Connection::subscribe`], …): one method per command, that
//!   waits for the answer.
//! - [`transport`]: what a connection runs over; [`transport::Dial`] opens it.
//! - [`TlsOptions`]: whom to believe to be the server.
//! - [`Closed`], [`OpenError`], [`RequestError`]: what can go wrong, by operation.
//!
//! # The way of data
//!
//! A command is given a number, encoded and written at once. What comes in is a frame of replies, which are
//! decoded one by one: a ping is answered, the reply that a request waits for is handed to it, everything
//! else waits in the *inbox*, which is bounded, until [`Connection::recv`] or [`Connection::next_push`] takes
//! it.
//!
//! ```no_run
//! use campanile_client::Connection;
//! use campanile_common::Codec;
//! use campanile_common::message::{ConnectRequest, SubscribeRequest};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let mut connection = Connection::open("ws://localhost:8000/connection/websocket", Codec::Protobuf).await?;
//! connection.connect(ConnectRequest::default()).await?;
//! connection.subscribe(SubscribeRequest { channel: "news".into(), ..Default::default() }).await?;
//! connection.publish("news", r#"{"text":"hello"}"#).await?;
//! let push = connection.next_push().await?;
//! assert_eq!(push.channel, "news");
//! # Ok(())
//! # }
//! ```

mod builder;
mod client;
mod connection;
mod driver;
mod error;
mod event;
mod events;
mod inbox;
mod protocol;
mod reason;
mod requests;
mod shared;
mod subscription;
mod tls;
mod token;
pub mod transport;

pub use builder::ClientBuilder;
pub use campanile_common::message::ClientInfo;
pub use campanile_common::{Codec, Epoch, Offset, Position};
pub use client::{Client, HistoryQuery};
pub use connection::Connection;
pub use error::{
    BuildError, Closed, DisconnectedError, DuplicateSubscription, OpenError, RequestError, UnsubscribedError,
};
pub use event::{
    ClientError, ClientEvent, Connected, History, Lagged, PresenceStats, Publication, State, Subscribed,
    SubscriptionError, SubscriptionEvent, SubscriptionState,
};
pub use events::{ClientEvents, SubscriptionEvents};
pub use reason::{Reason, connecting, disconnected, subscribing, unsubscribed};
pub use subscription::{Subscription, SubscriptionBuilder};
pub use tls::{AuthorityError, CertificateHash, NotAHash, TlsOptions};
pub use token::TokenError;
pub use transport::TransportKind;
