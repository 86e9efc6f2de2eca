//! Why a change of the shards is not made.

use std::fmt;

use campanile_shard_router::coordinator::SubmitError;
use campanile_shard_router::topology::RequestError;

/// A request that changes nothing, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// What kind of reason it is, for programs.
    pub code: RefusalCode,
    /// The reason and what to do, for people.
    pub message: String,
}

/// The kinds of reasons, as the API numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusalCode {
    /// No shard has that name.
    UnknownShard,
    /// A shard has that name already.
    ShardExists,
    /// The server cannot be taken into use: not reachable, or used otherwise.
    UnusableShard,
    /// No shard would be left to hold the channels.
    NoShardLeft,
    /// An earlier plan is not done yet.
    MovesUnderWay,
    /// The list is managed elsewhere, by the configuration's word.
    ManagedElsewhere,
    /// The shard's state does not allow it.
    WrongState,
    /// The shards have changed since the plan was made that is to be carried out. No method of the API names a plan.
    Outdated,
    /// What is asked for makes no sense.
    Nonsense,
    /// It cannot be decided now; the same may work a little later.
    NotNow,
}

impl RefusalCode {
    /// Every code that only the methods about shards answer with.
    pub const OWN: [Self; 7] = [
        Self::UnknownShard,
        Self::ShardExists,
        Self::UnusableShard,
        Self::NoShardLeft,
        Self::MovesUnderWay,
        Self::ManagedElsewhere,
        Self::WrongState,
    ];

    /// The number in answers: away from those of the client protocol, except where these say the same.
    #[must_use]
    pub const fn code(self) -> u32 {
        match self {
            Self::NotNow => 100,
            Self::Nonsense => 107,
            Self::UnknownShard => 300,
            Self::ShardExists => 301,
            Self::UnusableShard => 302,
            Self::NoShardLeft => 303,
            Self::MovesUnderWay => 304,
            Self::ManagedElsewhere => 305,
            Self::WrongState => 306,
            Self::Outdated => 307,
        }
    }

    /// With a message.
    pub(super) fn because(self, message: impl Into<String>) -> Refusal {
        Refusal {
            code: self,
            message: message.into(),
        }
    }
}

impl Refusal {
    /// The present state does not allow it.
    pub fn wrong_state(message: impl Into<String>) -> Self {
        RefusalCode::WrongState.because(message)
    }

    /// It makes no sense.
    pub fn nonsense(message: impl Into<String>) -> Self {
        RefusalCode::Nonsense.because(message)
    }
}

impl From<SubmitError> for Refusal {
    fn from(error: SubmitError) -> Self {
        let code = match &error {
            SubmitError::Refused(refused) => code_of(refused),
            SubmitError::Unfit(_) => RefusalCode::UnusableShard,
            SubmitError::Outdated => RefusalCode::Outdated,
            SubmitError::NoTopology | SubmitError::Store(_) | SubmitError::Contended => RefusalCode::NotNow,
        };
        code.because(error.to_string())
    }
}

fn code_of(refused: &RequestError) -> RefusalCode {
    match refused {
        RequestError::UnknownShard(_) => RefusalCode::UnknownShard,
        RequestError::Exists(_) => RefusalCode::ShardExists,
        RequestError::NoWeight(_) => RefusalCode::Nonsense,
        RequestError::NobodyLeft => RefusalCode::NoShardLeft,
        RequestError::UnderWay(_) => RefusalCode::MovesUnderWay,
        RequestError::Lost(_) | RequestError::Already(_) => RefusalCode::WrongState,
        // The document was read just now, so it is changed a moment later.
        RequestError::Transition(_) => RefusalCode::NotNow,
    }
}

impl fmt::Display for RefusalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.code().fmt(f)
    }
}
