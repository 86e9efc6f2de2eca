//! Why a state was entered.

use std::borrow::Cow;
use std::fmt;

/// Why a connection or a subscription is in its state: a number and a text.
///
/// Numbers from 100 on are the server's: error codes, unsubscribe codes, disconnect codes. Those below are this
/// client's own, the same as in other SDKs of the protocol: [`connecting`], [`disconnected`], [`subscribing`],
/// [`unsubscribed`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reason {
    /// The number.
    pub code: u32,
    /// The text, for logs.
    pub text: Cow<'static, str>,
}

impl Reason {
    /// The reason of that number and text.
    pub fn new(code: u32, text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            text: text.into(),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.text, self.code)
    }
}

macro_rules! codes {
    ($($(#[$meta:meta])* $name:ident { $($(#[$code_meta:meta])* $code:ident = $value:literal: $text:literal,)* })*) => { $(
        $(#[$meta])*
        pub mod $name {
            $( $(#[$code_meta])* pub const $code: u32 = $value; )*

            pub(crate) fn reason(code: u32) -> super::Reason {
                super::Reason::new(code, match code {
                    $( $code => $text, )*
                    _ => "",
                })
            }
        }
    )* };
}

codes! {
    /// Why the client is connecting, where it was not the server that said so.
    connecting {
        /// The application called for it.
        CONNECT_CALLED = 0: "connect called",
        /// The transport broke.
        TRANSPORT_CLOSED = 1: "transport closed",
        /// The server has been silent for longer than it had promised.
        NO_PING = 2: "no ping",
        /// A subscribe was not answered.
        SUBSCRIBE_TIMEOUT = 3: "subscribe timeout",
        /// An unsubscribe was not answered, or failed.
        UNSUBSCRIBE_ERROR = 4: "unsubscribe error",
        /// More came for subscriptions whose answer was still under way than this client keeps.
        EARLY_PUSHES = 5: "too many early pushes",
    }
    /// Why the client has given up its connection, where it was not the server that said so.
    disconnected {
        /// The application called for it.
        DISCONNECT_CALLED = 0: "disconnect called",
        /// There is no valid token, and there will be none.
        UNAUTHORIZED = 1: "unauthorized",
        /// The server sent what is not of this protocol.
        BAD_PROTOCOL = 2: "bad protocol",
        /// A message was larger than the other side takes.
        MESSAGE_SIZE_LIMIT = 3: "message size limit exceeded",
    }
    /// Why a subscription is subscribing, where it was not the server that said so.
    subscribing {
        /// The application called for it.
        SUBSCRIBE_CALLED = 0: "subscribe called",
        /// The connection is gone. It follows by itself once there is another.
        TRANSPORT_CLOSED = 1: "transport closed",
    }
    /// Why a subscription has ended, where it was not the server that said so.
    unsubscribed {
        /// The application called for it, or let go of the subscription.
        UNSUBSCRIBE_CALLED = 0: "unsubscribe called",
        /// There is no valid token, and there will be none.
        UNAUTHORIZED = 1: "unauthorized",
        /// The client itself has ended.
        CLIENT_CLOSED = 2: "client closed",
    }
}
