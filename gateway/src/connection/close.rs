//! Why a connection ended.

use campanile_common::{Disconnect, DisconnectCode};

use crate::transport::{End, Farewell};

/// The end of a connection: what the client is told, and how it is counted.
#[derive(Debug)]
pub enum CloseReason {
    /// This side ended it.
    Disconnect(Disconnect),
    /// The transport did.
    End(End),
    /// Its task was torn down.
    Aborted,
}

impl CloseReason {
    /// Labels of the reasons that have no code of the protocol.
    const OTHERS: [&str; 5] = ["client", "gone", "violation", "application", "aborted"];

    /// Every label, for registering metrics.
    pub fn labels() -> impl Iterator<Item = &'static str> {
        DisconnectCode::ALL
            .into_iter()
            .map(DisconnectCode::label)
            .chain(Self::OTHERS)
    }

    /// The value of a metric's label.
    #[must_use]
    pub fn label(&self) -> &'static str {
        let [client, gone, violation, application, aborted] = Self::OTHERS;
        match self {
            Self::Disconnect(disconnect) => {
                disconnect.well_known().map_or(application, DisconnectCode::label)
            }
            Self::End(End::Closed) => client,
            Self::End(End::Gone(_)) => gone,
            Self::End(End::WriteTimeout) => DisconnectCode::WriteError.label(),
            Self::End(End::Violation(_)) => violation,
            Self::Aborted => aborted,
        }
    }

    /// What the client is told.
    #[must_use]
    pub fn farewell(&self) -> Farewell {
        match self {
            Self::Disconnect(disconnect) => Farewell::Disconnect(disconnect.clone()),
            Self::End(End::Closed) => Farewell::Echo,
            Self::End(End::Violation(violation)) => Farewell::Violation(*violation),
            Self::End(End::Gone(_) | End::WriteTimeout) | Self::Aborted => Farewell::Nothing,
        }
    }
}
