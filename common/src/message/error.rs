//! The error of a reply.

use super::define::messages;
use crate::code::ErrorCode;

messages! {
    /// Why a command failed. The codes that this system uses itself are [`ErrorCode`]s.
    pub struct Error {
        /// The number.
        #[prost(uint32, tag = "1")]
        pub code: u32,
        /// The text.
        #[prost(string, tag = "2")]
        pub message: String,
        /// Whether the same command may succeed later.
        #[prost(bool, tag = "3")]
        pub temporary: bool,
    }
}

impl From<ErrorCode> for Error {
    fn from(code: ErrorCode) -> Self {
        Self {
            code: code.code(),
            message: code.message().into(),
            temporary: code.temporary(),
        }
    }
}
