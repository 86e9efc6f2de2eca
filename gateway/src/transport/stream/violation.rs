//! How a client may break the rules of a stream.

use campanile_common::StreamError;

/// What cannot be cut into messages, or goes beyond this server's limits; it ends the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Violation {
    /// A message is longer than the transport's `message_size_limit`.
    #[error("the message is too long")]
    TooLong,
    /// The length of a message is not a varint of 64 bits.
    #[error("the length is malformed")]
    Length,
    /// The stream does not begin as it must.
    #[error("the stream begins with what is no codec")]
    Preface,
    /// There is another stream than the one that may be.
    #[error("one stream is all there may be")]
    SecondStream,
    /// More came beside the stream than can mean anything.
    #[error("too much came beside the messages")]
    Flood,
}

impl From<StreamError> for Violation {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::TooLong => Self::TooLong,
            StreamError::Length => Self::Length,
        }
    }
}
