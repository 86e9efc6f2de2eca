//! From messages to bytes and back, in each of the three codecs.
//!
//! A frame is a sequence of messages. Encoding makes one message at a time, in a form whose concatenation is
//! a frame: JSON ends each with a line break, Protobuf and MessagePack begin each with its length as a
//! varint. So whoever writes to a connection joins what waits, and the same bytes serve every receiver. A
//! transport of JSON text may leave out the last line break.
//!
//! Decoding goes through a frame message by message, and stops at the first that is wrong. It never
//! allocates more than a small multiple of the frame, whatever the frame claims, and takes linear time.

mod error;
mod frame;
mod json;
mod length;
mod messagepack;
mod protobuf;
mod scratch;
mod stream;

use bytes::Bytes;

use crate::message::{Command, Publication, Push, Reply};

pub use error::DecodeError;
pub use frame::{CommandFrames, Frames, ReplyFrames};
pub use stream::{StreamDecoder, StreamError};

/// One of the three forms in which messages go over the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// One JSON object a line.
    Json,
    /// Protobuf, each message preceded by its length.
    Protobuf,
    /// MessagePack maps with the field names of JSON, each message preceded by its length.
    MessagePack,
}

impl Codec {
    /// Every codec.
    pub const ALL: [Self; 3] = [Self::Json, Self::Protobuf, Self::MessagePack];

    /// The value of a metric's label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Protobuf => "protobuf",
            Self::MessagePack => "msgpack",
        }
    }

    /// The position of this codec in [`Codec::ALL`], for tables with an entry per codec.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The WebSocket subprotocol that chooses this codec. JSON needs none.
    #[must_use]
    pub const fn subprotocol(self) -> Option<&'static str> {
        match self {
            Self::Json => None,
            Self::Protobuf => Some("centrifuge-protobuf"),
            Self::MessagePack => Some("campanile-msgpack"),
        }
    }

    /// The codec that a WebSocket subprotocol chooses.
    #[must_use]
    pub fn from_subprotocol(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|codec| codec.subprotocol() == Some(name))
    }

    /// The codec that the value of the query parameter `cf_protocol` chooses.
    #[must_use]
    pub fn from_query(value: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.label() == value)
    }

    /// Whether frames are binary, not text.
    #[must_use]
    pub const fn is_binary(self) -> bool {
        !matches!(self, Self::Json)
    }

    /// Goes through the commands of a frame. The iterator ends after the first error.
    #[must_use]
    pub fn decode_commands(self, frame: &Bytes) -> CommandFrames {
        Frames::new(self, frame.clone())
    }

    /// Goes through the replies of a frame. The iterator ends after the first error.
    #[must_use]
    pub fn decode_replies(self, frame: &Bytes) -> ReplyFrames {
        Frames::new(self, frame.clone())
    }

    /// One command, ready to be joined with others to a frame.
    #[must_use]
    pub fn encode_command(self, command: &Command) -> Bytes {
        frame::encode(self, command)
    }

    /// One reply, ready to be joined with others to a frame.
    #[must_use]
    pub fn encode_reply(self, reply: &Reply) -> Bytes {
        frame::encode(self, reply)
    }

    /// The push of a publication in `channel`, ready to be joined with others to a frame.
    #[must_use]
    pub fn encode_publication(self, channel: &str, publication: Publication) -> Bytes {
        self.encode_reply(&Reply::push(Push::publication(channel, publication)))
    }

    /// The server's ping, an empty reply; also the client's pong, an empty command.
    #[must_use]
    pub const fn encode_ping(self) -> Bytes {
        Bytes::from_static(match self {
            Self::Json => b"{}\n",
            Self::Protobuf => &[0],
            // The length, and a map without entries.
            Self::MessagePack => &[1, 0x80],
        })
    }
}

#[cfg(test)]
mod tests;
