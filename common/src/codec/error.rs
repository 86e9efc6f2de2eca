//! What can be wrong with a frame.

/// Why a frame could not be decoded. The sender is at fault, and trying again does not help.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// A line of a JSON frame is not the message that it should be.
    #[error("malformed JSON message")]
    Json(#[source] serde_json::Error),
    /// A message of a Protobuf frame is malformed.
    #[error("malformed Protobuf message")]
    Protobuf(#[source] prost::DecodeError),
    /// A message of a MessagePack frame is malformed.
    #[error("malformed MessagePack message")]
    MessagePack(#[source] rmp_serde::decode::Error),
    /// The length before a message is not a varint.
    #[error("malformed length of a message")]
    Length,
    /// The length before a message reaches beyond the frame.
    #[error("message of {length} bytes in the last {remaining} bytes of a frame")]
    Truncated {
        /// What the frame claims.
        length: u64,
        /// What is left of the frame.
        remaining: usize,
    },
    /// Something follows the message within its length.
    #[error("{0} bytes left over after a message")]
    Trailing(usize),
}
