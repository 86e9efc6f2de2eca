//! Why the server ended a subscription.

/// The reason for an unsubscription that the client did not ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnsubscribeCode {
    /// The server API asked for it.
    Server,
    /// Publications are missing that the stream cannot supply.
    InsufficientState,
    /// The subscription's time is over.
    Expired,
    /// What the client knows of the channel is no longer valid.
    StateInvalidated,
}

impl UnsubscribeCode {
    /// Every reason, in the order of the numbers.
    pub const ALL: [Self; 4] = [
        Self::Server,
        Self::InsufficientState,
        Self::Expired,
        Self::StateInvalidated,
    ];

    /// The first number at which clients subscribe again by themselves.
    const RESUBSCRIBE_FROM: u32 = 2500;

    /// The number on the wire.
    #[must_use]
    pub const fn code(self) -> u32 {
        match self {
            Self::Server => 2000,
            Self::InsufficientState => 2500,
            Self::Expired => 2501,
            Self::StateInvalidated => 2502,
        }
    }

    /// The text on the wire.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Server => "server unsubscribe",
            Self::InsufficientState => "insufficient state",
            Self::Expired => "subscription expired",
            Self::StateInvalidated => "state invalidated",
        }
    }

    /// Whether the client subscribes again by itself.
    #[must_use]
    pub const fn resubscribes(self) -> bool {
        self.code() >= Self::RESUBSCRIBE_FROM
    }
}
