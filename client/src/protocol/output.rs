//! What the machine wants done.

use std::sync::Arc;
use std::time::Instant;

use campanile_common::message::{Answer, Command};

use crate::{ClientEvent, Closed, RequestError, SubscriptionEvent};

macro_rules! ids {
    ($($(#[$meta:meta])* $name:ident,)*) => { $(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) struct $name(pub(crate) u64);

        impl $name {
            /// The one after the last that was given out.
            pub(super) const fn next(&mut self) -> Self {
                self.0 += 1;
                *self
            }
        }
    )* };
}

ids! {
    /// A subscription of the application.
    SubscriptionId,
    /// A request of the application.
    CallId,
    /// An attempt to open a transport.
    Attempt,
    /// A question for a token. An answer to an older one is of no use any more.
    Ticket,
}

/// Whose token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum TokenOwner {
    Connection,
    Subscription(SubscriptionId),
}

/// Why there is no token.
#[derive(Clone, Debug)]
pub(crate) enum NoToken {
    /// There will never be one.
    Unauthorized,
    /// Not now.
    Failed(Arc<dyn std::error::Error + Send + Sync>),
}

/// How a request ended: without an answer where none was to come.
pub(crate) type CallResult = Result<Option<Answer>, RequestError>;

/// Something for the driver to do, or for the application to know.
#[derive(Debug)]
pub(crate) enum Output {
    /// Open a transport, with this first command. Whatever was being opened is no longer wanted.
    Dial {
        attempt: Attempt,
        deadline: Instant,
        connect: Box<Command>,
    },
    /// Close the transport, or give up opening it.
    Close(Closed),
    /// Ask the application for a token.
    FetchToken(TokenOwner, Ticket),
    /// A request has ended.
    Complete(CallId, CallResult),
    /// Something happened to the client.
    Client(ClientEvent),
    /// Something happened to a subscription.
    Subscription(SubscriptionId, SubscriptionEvent),
}
