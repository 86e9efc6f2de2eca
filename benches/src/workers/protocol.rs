//! What controller and workers say to each other.

use serde::{Deserialize, Serialize};

use crate::Failure;
use crate::check::Ledger;
use crate::measure::Recording;
use crate::run::{Assignment, Stamp};

/// Of these messages. Both sides must have the same.
pub const VERSION: u32 = 2;

/// What a worker says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub enum FromWorker {
    /// The first thing.
    Join {
        /// Its [`VERSION`].
        version: u32,
        /// The word that the controller has printed.
        token: String,
    },
    /// What its clock says.
    Time {
        /// Now.
        now: Stamp,
    },
    /// It waits for the others at this phase or mark.
    Arrived {
        /// The name.
        at: String,
    },
    /// It waits for the others' ledgers.
    Ledger(Ledger),
    /// How far it is.
    Progress {
        /// So many are done.
        done: u64,
        /// Of so many.
        of: u64,
        /// What they are.
        what: String,
    },
    /// It has carried its share out.
    Finished {
        /// What it recorded.
        recording: Box<Recording>,
    },
    /// It cannot go on.
    Failed {
        /// Why.
        failure: Failure,
    },
}

/// What the controller says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub enum ToWorker {
    /// Asks for the time.
    Time,
    /// What to do.
    Begin {
        /// The share.
        assignment: Box<Assignment>,
        /// By how much the controller's clock is ahead of the worker's, in nanoseconds.
        ahead: i64,
    },
    /// All have come: go on at this time.
    Go {
        /// By the controller's clock.
        at: Stamp,
    },
    /// All ledgers as one.
    Ledger(Ledger),
    /// It is over.
    Stop,
    /// Whoever wanted to join may not.
    Refused {
        /// Why.
        why: String,
    },
}
