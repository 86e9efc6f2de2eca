//! What can go wrong, by operation.

use std::fmt;

use campanile_common::Disconnect;
use campanile_common::message;
use tokio_tungstenite::tungstenite;
use tungstenite::protocol::CloseFrame;

use crate::Reason;

/// The connection has ended.
///
/// The code is that of the server's close frame, or one of those that WebSocket reserves for ends without
/// one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// Why, as a number.
    pub code: u32,
    /// Why, as text.
    pub reason: String,
}

impl Closed {
    /// This side is done with the connection.
    pub const LEAVING: u32 = 0;
    /// The server's close frame carried no code.
    pub const NO_CODE: u32 = 1005;
    /// The connection broke without a close frame.
    pub const BROKEN: u32 = 1006;
    /// The server sent what is not a frame of replies.
    pub const MALFORMED: u32 = 1007;
    /// The inbox was full: this side did not take what the server sent.
    pub const INBOX_FULL: u32 = 1008;

    /// The end with this code, for this reason.
    pub fn new(code: u32, reason: impl Into<String>) -> Self {
        Self {
            code,
            reason: reason.into(),
        }
    }

    /// Whether the server expects the client back.
    #[must_use]
    pub fn reconnects(&self) -> bool {
        Disconnect::new(self.code, "").reconnects()
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connection closed: {} ({})", self.reason, self.code)
    }
}

impl std::error::Error for Closed {}

impl From<Option<CloseFrame>> for Closed {
    fn from(frame: Option<CloseFrame>) -> Self {
        match frame {
            Some(frame) => Self::new(u16::from(frame.code).into(), frame.reason.as_str()),
            None => Self::new(Self::NO_CODE, "no code"),
        }
    }
}

impl From<tungstenite::Error> for Closed {
    fn from(error: tungstenite::Error) -> Self {
        Self::new(Self::BROKEN, error.to_string())
    }
}

/// Why a connection could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The address is not one that this dialer can open, or a header is malformed.
    #[error("not an address that this client can open: {0}")]
    Address(String),
    /// Nobody answers there.
    #[error("cannot connect to {address}")]
    Connect {
        /// Host and port.
        address: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The server answered, but not with a WebSocket.
    #[error("the server refused the WebSocket with HTTP status {0}")]
    Refused(u16),
    /// The handshake went wrong otherwise, for example because the server does not speak the codec.
    #[error("the handshake failed")]
    Handshake(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It took too long.
    #[error("no connection in time")]
    Timeout,
    /// Nobody could be reached by any of several ways; in the order in which they failed.
    #[error("{}", every(.0))]
    Every(Vec<OpenError>),
}

/// Each error with its reasons, because there is no one source to ask for them.
fn every(errors: &[OpenError]) -> String {
    let whole = |error: &OpenError| {
        let chain = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
        chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
    };
    errors.iter().map(whole).collect::<Vec<_>>().join("; ")
}

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RequestError {
    /// The connection ended before the answer came. Whether the command was carried out is not known.
    #[error(transparent)]
    Closed(#[from] Closed),
    /// The server answered with an error.
    #[error("{} ({})", .0.message, .0.code)]
    Refused(message::Error),
    /// The server answered another request than this one.
    #[error("the reply does not answer the request")]
    Unexpected,
    /// No answer came in time. Whether the command was carried out is not known.
    #[error("no answer in time")]
    Timeout,
    /// The client is disconnected, or gave up connecting: the command was not sent.
    #[error("the client is disconnected")]
    Disconnected,
    /// The subscription has ended, or was never begun: the command was not sent.
    #[error("not subscribed: {0}")]
    Unsubscribed(Reason),
}

impl RequestError {
    /// The code of the server's error, if it answered with one.
    #[must_use]
    pub fn code(&self) -> Option<u32> {
        match self {
            Self::Refused(error) => Some(error.code),
            _ => None,
        }
    }
}

/// The client does not connect any more: it was told not to, or the server does not want it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("disconnected: {0}")]
pub struct DisconnectedError(pub Reason);

/// The subscription has ended: the application ended it, or the server does not want it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unsubscribed: {0}")]
pub struct UnsubscribedError(pub Reason);

/// The client has a subscription to that channel already: [`Client::get_subscription`](crate::Client::get_subscription).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is a subscription to {channel:?} already")]
pub struct DuplicateSubscription {
    /// The channel.
    pub channel: String,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The address is of no use.
    #[error("cannot connect there")]
    Open(#[from] OpenError),
    /// The client's task has nothing to run on.
    #[error("a client is built within a tokio runtime")]
    NoRuntime,
}
