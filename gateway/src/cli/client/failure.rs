//! What can go wrong, and what to do about it.

use std::error::Error;
use std::fmt::Display;

use campanile_client::{Reason, RequestError, disconnected};
use serde_json::{Value, json};

use crate::cli::Exit;
use crate::cli::trust::chain;

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// What was typed makes no sense.
    #[error("{0}")]
    Usage(String),
    /// There is no connection, or no answer.
    #[error("{0}")]
    Unreachable(String),
    /// The gateway said no.
    #[error("{what}: {reason}{}", hint(.reason.code))]
    Refused {
        /// What it said no to.
        what: String,
        /// Its number and its words.
        reason: Reason,
    },
    /// It ended before everything had come that was asked for.
    #[error("{came} of {wanted} publications came")]
    Incomplete {
        /// Publications that came.
        came: u64,
        /// Publications that were to come.
        wanted: u64,
    },
}

impl Failure {
    /// How the process ends.
    pub(super) const fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::Unreachable(_) => Exit::Failure,
            Self::Refused { .. } => Exit::Refused,
            Self::Incomplete { .. } => Exit::Incomplete,
        }
    }

    /// For scripts.
    pub(super) fn json(&self) -> Value {
        let code = match self {
            Self::Refused { reason, .. } => Some(reason.code),
            _ => None,
        };
        json!({ "type": "error", "code": code, "message": self.to_string() })
    }

    /// No connection could be opened.
    pub(super) fn unreachable(error: &(dyn Error + 'static)) -> Self {
        Self::Unreachable(format!(
            "{}. Is a gateway running there, and is --url its address?",
            chain(error)
        ))
    }

    /// `what` did not work.
    pub(super) fn of_request(what: impl Display, error: RequestError) -> Self {
        let what = what.to_string();
        match error {
            RequestError::Refused(error) => Self::Refused {
                what,
                reason: Reason::new(error.code, error.message),
            },
            RequestError::Unsubscribed(reason) => Self::Refused { what, reason },
            error => Self::Unreachable(format!("{what}: {}", chain(&error))),
        }
    }
}

/// What to do about the gateway's refusals.
const fn hint(code: u32) -> &'static str {
    match code {
        102 => {
            ". The name of a channel begins with that of a configured namespace and a colon, or has no colon"
        }
        103 => {
            ". Give a --token of a user who may, or allow it in the channel's namespace: allow_subscribe_for_client, \
             allow_publish_for_client, and …_for_anonymous without a user"
        }
        109 | 110 | 3005 => ". The token has expired: `campanile gentoken` makes another",
        101 | 3500 | disconnected::UNAUTHORIZED => {
            ". Give a valid --token; `campanile gentoken` with the gateway's configuration makes one"
        }
        _ => "",
    }
}
