//! Why a connection ended.

use std::borrow::Cow;
use std::fmt;

/// The end of a connection as the client is told: a number, and a text for its log.
///
/// Applications may choose their own through the server API and proxies; the ones that this system uses
/// itself are [`DisconnectCode`]s.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Disconnect {
    /// The number, also that of a WebSocket close frame.
    pub code: u32,
    /// The text.
    pub reason: Cow<'static, str>,
}

impl Disconnect {
    /// An end of the application's choosing.
    pub fn new(code: u32, reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            reason: reason.into(),
        }
    }

    /// Whether the client connects again by itself: everywhere but in 3500–3999 and 4500–4999.
    #[must_use]
    pub const fn reconnects(&self) -> bool {
        !matches!(self.code, 3500..=3999 | 4500..=4999)
    }

    /// The well-known end of that number, if it is one.
    #[must_use]
    pub fn well_known(&self) -> Option<DisconnectCode> {
        DisconnectCode::ALL
            .into_iter()
            .find(|known| known.code() == self.code)
    }
}

impl From<DisconnectCode> for Disconnect {
    fn from(code: DisconnectCode) -> Self {
        Self {
            code: code.code(),
            reason: Cow::Borrowed(code.reason()),
        }
    }
}

impl fmt::Display for Disconnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.reason, self.code)
    }
}

/// The ends of a connection that this system itself brings about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DisconnectCode {
    /// The connection was closed without a particular reason.
    Closed,
    /// The gateway is going away.
    Shutdown,
    /// Something failed on this side.
    InternalError,
    /// The connection's time is over and it was not refreshed.
    Expired,
    /// A subscription's time is over and it was not refreshed.
    SubscriptionExpired,
    /// The client does not read what is sent to it.
    Slow,
    /// Writing to the transport failed.
    WriteError,
    /// Publications of a server-side subscription are missing that the stream cannot supply.
    InsufficientState,
    /// The server API asked the client to connect anew.
    ForceReconnect,
    /// A ping was not answered in time.
    NoPong,
    /// The client sends more than it may.
    TooManyRequests,
    /// What the client knows of a server-side subscription is no longer valid.
    StateInvalidated,
    /// The connection token is forged or malformed.
    InvalidToken,
    /// What the client sent makes no sense.
    BadRequest,
    /// The connection was not authenticated in time.
    Stale,
    /// The server API threw the client out.
    ForceDisconnect,
    /// There are too many connections.
    ConnectionLimit,
    /// The connection has too many subscriptions.
    ChannelLimit,
    /// The transport cannot carry the codec that was asked for.
    InappropriateProtocol,
    /// The connection is not allowed.
    PermissionDenied,
    /// The feature is not switched on.
    NotAvailable,
    /// The client made too many failing requests.
    TooManyErrors,
}

impl DisconnectCode {
    /// Every one, in the order of the numbers.
    pub const ALL: [Self; 22] = [
        Self::Closed,
        Self::Shutdown,
        Self::InternalError,
        Self::Expired,
        Self::SubscriptionExpired,
        Self::Slow,
        Self::WriteError,
        Self::InsufficientState,
        Self::ForceReconnect,
        Self::NoPong,
        Self::TooManyRequests,
        Self::StateInvalidated,
        Self::InvalidToken,
        Self::BadRequest,
        Self::Stale,
        Self::ForceDisconnect,
        Self::ConnectionLimit,
        Self::ChannelLimit,
        Self::InappropriateProtocol,
        Self::PermissionDenied,
        Self::NotAvailable,
        Self::TooManyErrors,
    ];

    /// The number on the wire.
    #[must_use]
    pub const fn code(self) -> u32 {
        match self {
            Self::Closed => 3000,
            Self::Shutdown => 3001,
            Self::InternalError => 3004,
            Self::Expired => 3005,
            Self::SubscriptionExpired => 3006,
            Self::Slow => 3008,
            Self::WriteError => 3009,
            Self::InsufficientState => 3010,
            Self::ForceReconnect => 3011,
            Self::NoPong => 3012,
            Self::TooManyRequests => 3013,
            Self::StateInvalidated => 3014,
            Self::InvalidToken => 3500,
            Self::BadRequest => 3501,
            Self::Stale => 3502,
            Self::ForceDisconnect => 3503,
            Self::ConnectionLimit => 3504,
            Self::ChannelLimit => 3505,
            Self::InappropriateProtocol => 3506,
            Self::PermissionDenied => 3507,
            Self::NotAvailable => 3508,
            Self::TooManyErrors => 3509,
        }
    }

    /// The text on the wire.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Closed => "connection closed",
            Self::Shutdown => "shutdown",
            Self::InternalError => "internal server error",
            Self::Expired => "connection expired",
            Self::SubscriptionExpired => "subscription expired",
            Self::Slow => "slow",
            Self::WriteError => "write error",
            Self::InsufficientState => "insufficient state",
            Self::ForceReconnect => "force reconnect",
            Self::NoPong => "no pong",
            Self::TooManyRequests => "too many requests",
            Self::StateInvalidated => "state invalidated",
            Self::InvalidToken => "invalid token",
            Self::BadRequest => "bad request",
            Self::Stale => "stale",
            Self::ForceDisconnect => "force disconnect",
            Self::ConnectionLimit => "connection limit",
            Self::ChannelLimit => "channel limit",
            Self::InappropriateProtocol => "inappropriate protocol",
            Self::PermissionDenied => "permission denied",
            Self::NotAvailable => "not available",
            Self::TooManyErrors => "too many errors",
        }
    }

    /// The value of a metric's label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Closed => "connection_closed",
            Self::Shutdown => "shutdown",
            Self::InternalError => "internal_server_error",
            Self::Expired => "connection_expired",
            Self::SubscriptionExpired => "subscription_expired",
            Self::Slow => "slow",
            Self::WriteError => "write_error",
            Self::InsufficientState => "insufficient_state",
            Self::ForceReconnect => "force_reconnect",
            Self::NoPong => "no_pong",
            Self::TooManyRequests => "too_many_requests",
            Self::StateInvalidated => "state_invalidated",
            Self::InvalidToken => "invalid_token",
            Self::BadRequest => "bad_request",
            Self::Stale => "stale",
            Self::ForceDisconnect => "force_disconnect",
            Self::ConnectionLimit => "connection_limit",
            Self::ChannelLimit => "channel_limit",
            Self::InappropriateProtocol => "inappropriate_protocol",
            Self::PermissionDenied => "permission_denied",
            Self::NotAvailable => "not_available",
            Self::TooManyErrors => "too_many_errors",
        }
    }

    /// Whether the client connects again by itself.
    #[must_use]
    pub const fn reconnects(self) -> bool {
        !matches!(self.code(), 3500..=3999)
    }
}

impl fmt::Display for DisconnectCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.reason(), self.code())
    }
}
