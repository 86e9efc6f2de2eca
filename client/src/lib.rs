//! Rust client for realtime messages over the Campanile protocol, which is also Centrifugo's.
//!
//! It connects to a server over WebSocket (`ws://`, `wss://`) or QUIC (`quic://`), subscribes to channels, publishes, calls
//! the application, and stays connected: a connection that is lost is replaced, tokens are renewed, and what was published in
//! the meantime is recovered where the server keeps it. Over WebSocket it needs nothing that a Centrifugo server does not
//! have.
//!
//! ```no_run
//! use campanile_client::{Client, SubscriptionEvent};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::builder("ws://localhost:8000/connection/websocket").build()?;
//! let news = client.subscription("news").build()?;
//! let mut events = news.events();
//! client.connect();
//! news.subscribe();
//!
//! news.publish(r#"{"text":"hello"}"#).await?;
//! while let Some(event) = events.recv().await {
//!     if let SubscriptionEvent::Publication(publication) = event {
//!         println!("{}", String::from_utf8_lossy(&publication.data));
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # States
//!
//! A [`Client`] is disconnected, connecting or connected, a [`Subscription`] unsubscribed, subscribing or subscribed, as in the
//! other SDKs of the protocol. [`Client::connect`] and [`Subscription::subscribe`] say what is *wanted* and return at once; the
//! client then does what it takes for as long as it takes, over any number of connections. It gives up only when told to, or
//! when the server or a token source says that trying again is of no use. [`Client::ready`] and [`Subscription::ready`] wait,
//! events tell of each change and its [`Reason`].
//!
//! # Recovery
//!
//! Where a channel keeps a stream, a subscription remembers the last publication that it was given. When it is subscribed
//! again, the server sends what was missed, and says in [`Subscribed::recovered`] whether that is all. Publications
//! are given in order, none twice. If `was_recovering` is true and `recovered` is not, the stream did not reach back far enough
//! or was lost, and the application reads its state anew from wherever it has it:
//!
//! ```
//! # use campanile_client::SubscriptionEvent;
//! fn must_reload(event: &SubscriptionEvent) -> bool {
//!     match event {
//!         SubscriptionEvent::Subscribed(subscribed) => subscribed.was_recovering && !subscribed.recovered,
//!         SubscriptionEvent::Lagged(_) => true,
//!         _ => false,
//!     }
//! }
//! ```
//!
//! # Tokens
//!
//! A token that never expires is given to the builder. Others come from a token source, an async function that is called
//! when there is no token, or when it has expired or soon will. An error means that there is none for the moment;
//! [`TokenError::unauthorized`] that there will be none, which ends the client or the subscription.
//!
//! ```no_run
//! # use campanile_client::{Client, TokenError};
//! # async fn fetch(path: &str) -> std::io::Result<Option<String>> { Ok(None) }
//! # fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::builder("wss://example.com")
//!     .token_source(|| async { fetch("/token").await?.ok_or_else(TokenError::unauthorized) })
//!     .build()?;
//! # Ok(())
//! # }
//! ```
//!
//! # Slow readers
//!
//! Each stream of events has a buffer with a limit in bytes ([`ClientBuilder::event_buffer`]). A reader that is too slow loses
//! the oldest events, and gets [`SubscriptionEvent::Lagged`] in their place, with their number and the position from which
//! [`Subscription::history`] has them. The client never waits for a reader: one forgotten stream would silence all others.
//!
//! # Cancelling and dropping
//!
//! Waiting for events and for states is cancel safe. The future of a request may be dropped, too; it then is not known
//! whether the request was carried out. Handles are cheap to clone; dropping the last handle of a
//! subscription, streams included, unsubscribes it, and dropping the last handle of any kind closes the connection.
//!
//! # Several transports
//!
//! QUIC makes connections faster, keeps them when the network changes, and lets a lost packet delay the one channel to which it
//! belongs; but some networks block it. With a fallback both are tried, and the first to open is taken:
//!
//! ```no_run
//! # use campanile_client::Client;
//! # fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::builder("quic://example.com:8443").fallback("wss://example.com:8443").build()?;
//! # Ok(())
//! # }
//! ```
//!
//! # Parts
//!
//! - [`Client`], [`Subscription`] and their builders: handles, which change and ask the *machine* under a lock.
//! - `protocol`: the machine, which knows the protocol, and neither sockets nor clock nor tasks. It says what is to be done.
//! - `driver`: the one task of a client, which does it: opens a transport, moves commands and replies, keeps the time, asks
//!   token sources.
//! - [`transport`]: what the connections run over. [`transport::Dial`] can be implemented elsewhere.
//! - [`Connection`]: one connection by hand, for tests and load generators: commands out, replies in, and nothing by itself.
//!
//! # The way of data
//!
//! A wish of the application goes into the machine, which answers with commands; the driver takes as many as there is room
//! for, and writes them as one frame. What the transport brings goes into the machine, which turns replies into the ends of
//! requests and pushes into events; those wait in the queue of each reader.

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

/// The examples of the README compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
