//! How a client may break the rules of WebSocket.

/// A breach of RFC 6455, or of this server's limits; it ends the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Violation {
    /// A reserved bit is set, though no extension was agreed upon.
    #[error("a reserved bit is set")]
    ReservedBit,
    /// The opcode has no meaning.
    #[error("the opcode is reserved")]
    ReservedOpcode,
    /// The payload is not masked.
    #[error("the frame is not masked")]
    Unmasked,
    /// A length is not in its shortest form, or has its highest bit set.
    #[error("the length is malformed")]
    Length,
    /// A control frame is fragmented or too long.
    #[error("the control frame is fragmented or longer than 125 bytes")]
    Control,
    /// A continuation without a beginning, or a new message within another.
    #[error("the fragments are out of order")]
    Fragments,
    /// A close frame with a code that must not be sent.
    #[error("the close frame is malformed")]
    Close,
    /// Text that is not UTF-8.
    #[error("the text is not UTF-8")]
    Utf8,
    /// The message is longer than `websocket.message_size_limit`.
    #[error("the message is too long")]
    TooLong,
}

impl Violation {
    /// The code of the close frame that answers it (RFC 6455 §7.4.1).
    #[must_use]
    pub const fn close_code(self) -> u16 {
        match self {
            Self::Utf8 => 1007,
            Self::TooLong => 1009,
            _ => 1002,
        }
    }
}
