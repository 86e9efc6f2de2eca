//! What a run came to, for people and for programs.

pub mod html;
pub mod json;
pub mod progress;
pub mod table;

use serde::{Deserialize, Serialize};

use crate::measure::Outcome;
use crate::scenario::Figure;

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The numbers that matter.
    pub figures: Vec<Figure>,
    /// Everything.
    pub outcome: Outcome,
}
