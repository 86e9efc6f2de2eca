//! What two sides of a Campanile wire agree on.
//!
//! Clients and gateways exchange messages; gateways and shards, and one gateway and another, speak of
//! channels, positions and times. Whatever more than one part of the system must understand in the same way
//! is defined here, once, and nothing else is: this crate knows no sockets, no Redis, no runtime and no
//! clock.
//!
//! # Parts
//!
//! - [`message`]: every message of the client protocol as one Rust struct, from which its JSON, Protobuf and
//!   MessagePack forms derive.
//! - [`codec`]: [`Codec`] turns messages into bytes and frames into messages.
//! - [`native`]: what the native protocol over QUIC has beside messages.
//! - [`code`]: the numbers of the protocol, as types that know whether the client may come back.
//! - [`channel`]: [`ChannelName`], and the syntax within names.
//! - [`position`]: [`Offset`], [`Epoch`] and [`Position`] in a stream.
//! - [`time`] and [`duration`]: points in time, and durations as people write them.
//!
//! # The way of data
//!
//! Upwards, a transport hands over the bytes of a frame:
//!
//! ```text
//! Bytes ─ Codec::decode_commands ─▶ Command ─ Command::into_request ─▶ (id, Request)
//! ```
//!
//! Downwards, an answer or a push becomes bytes once, which any number of receivers share:
//!
//! ```text
//! Answer, Push ─▶ Reply ─ Codec::encode_reply ─▶ Bytes ─ joined with what else waits ─▶ a frame
//! ```
//!
//! ```
//! use campanile_common::message::{PingResult, Reply, Request};
//! use campanile_common::{Bytes, Codec};
//!
//! let frame = Bytes::from_static(br#"{"id":7,"ping":{}}"#);
//! for command in Codec::Json.decode_commands(&frame) {
//!     let (id, request) = command?.into_request()?;
//!     assert!(matches!(request, Some(Request::Ping(_))));
//!     let reply = Codec::Json.encode_reply(&Reply::answer(id, PingResult {}));
//!     assert_eq!(reply, "{\"id\":7,\"ping\":{}}\n");
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod channel;
pub mod code;
pub mod codec;
pub mod duration;
pub mod message;
pub mod native;
pub mod position;
pub mod time;

pub use bytes::Bytes;
pub use channel::{ChannelName, ChannelNameError, ChannelSyntax};
pub use code::{Disconnect, DisconnectCode, ErrorCode, UnsubscribeCode};
pub use codec::{Codec, CommandFrames, DecodeError, ReplyFrames, StreamDecoder, StreamError};
pub use duration::HumanDuration;
pub use position::{Epoch, Offset, Position};
pub use time::Timestamp;
