//! Why a run came to nothing, and what a run found broken.

use serde::{Deserialize, Serialize};

/// Why there is no result, as one clear line. It travels from workers to the controller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Failure {
    /// What was asked for makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The run could not be carried out: the target is unreachable, a process has died.
    #[error("{0}")]
    Run(String),
    /// The user has had enough.
    #[error("interrupted")]
    Interrupted,
}

impl Failure {
    /// What was asked for makes no sense.
    pub fn usage(line: impl Into<String>) -> Self {
        Self::Usage(line.into())
    }

    /// The run could not be carried out.
    pub fn run(line: impl Into<String>) -> Self {
        Self::Run(line.into())
    }

    /// The same failure, with what was being done in front of it.
    #[must_use]
    pub fn during(self, what: &str) -> Self {
        match self {
            Self::Usage(line) => Self::Usage(format!("{what}: {line}")),
            Self::Run(line) => Self::Run(format!("{what}: {line}")),
            Self::Interrupted => Self::Interrupted,
        }
    }

    /// The exit code of the process.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Run(_) | Self::Interrupted => 3,
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Run(error.to_string())
    }
}

/// A promise that the server broke.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// Which promise.
    pub kind: Promise,
    /// Where, and what exactly: the subscriber, the channel, the sequence numbers.
    pub detail: String,
}

/// What a server promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Promise {
    /// What was accepted arrives.
    NothingLost,
    /// It arrives once.
    NothingDoubled,
    /// It arrives in the order in which it was published.
    InOrder,
    /// It arrives in its own channel.
    RightChannel,
    /// `recovered` says the truth.
    HonestRecovery,
    /// Another one, which the detail names.
    Other,
}

impl Promise {
    /// What is said of a run that broke it.
    #[must_use]
    pub const fn broken(self) -> &'static str {
        match self {
            Self::NothingLost => "lost",
            Self::NothingDoubled => "doubled",
            Self::InOrder => "out of order",
            Self::RightChannel => "in a wrong channel",
            Self::HonestRecovery => "recovered wrongly",
            Self::Other => "broken",
        }
    }
}

impl Violation {
    /// `kind` was broken as `detail` says.
    pub fn new(kind: Promise, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
        }
    }
}
