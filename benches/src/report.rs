//! What a run came to, for people and for programs.
//!
//! - [`table`]: text for terminals.
//! - [`json`]: everything, for programs; [`html`] makes its page from it, at once or later.
//! - [`html`]: one page with plots that needs no other file.
//! - [`progress`]: how far a run is, while it goes on.
//! - [`Output`]: where results go; [`Outlet`]: the same, opened.
//! - [`words`]: how numbers, options and command lines are written.

pub mod html;
pub mod json;
mod output;
pub mod progress;
pub mod table;
pub mod words;

#[cfg(test)]
pub(crate) mod example;
#[cfg(test)]
mod tests;

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

pub use output::{Outlet, Output};

use crate::compare::Comparison;
use crate::measure::{BELOW_ZERO, Outcome};
use crate::scenario::{Figure, Scenario};
use crate::secrets;

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// One line about the scenario.
    pub about: String,
    /// The version of the program that made it.
    pub program: String,
    /// When the report was made: seconds since the Unix epoch.
    pub made: u64,
    /// The command that made it, word by word, without its secrets.
    pub command: Vec<String>,
    /// The numbers that matter.
    pub figures: Vec<Figure>,
    /// Everything.
    pub outcome: Outcome,
}

/// What can be kept and shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Document {
    /// A run.
    Run(Box<Report>),
    /// Two servers under the same load, in turns.
    Comparison(Box<Comparison>),
}

impl Report {
    /// Of what a run of this scenario came to.
    #[must_use]
    pub fn new(scenario: &dyn Scenario, outcome: Outcome) -> Self {
        let mut figures = scenario.figures(&outcome);
        // A cost per something of which there was nothing is no number, and JSON has no word for it.
        figures.retain(|figure| figure.value.is_finite());
        Self {
            about: scenario.about().to_owned(),
            program: env!("CARGO_PKG_VERSION").to_owned(),
            made: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_secs()),
            command: secrets::command(std::env::args()),
            figures,
            outcome,
        }
    }

    /// What a reader should know beside the numbers: what could not be measured or checked, and which processes ended.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let outcome = &self.outcome;
        let mut notes: Vec<_> = outcome
            .unseen
            .iter()
            .map(|what| format!("not measured: {what}"))
            .collect();
        notes.extend(outcome.notes.iter().cloned());
        let below = outcome.counter(BELOW_ZERO);
        if below > 0 {
            let below = words::count(below);
            notes.push(format!(
                "{below} durations were below zero by the clocks, and count as zero"
            ));
        }
        for (name, histogram) in &outcome.recording.histograms {
            if histogram.beyond() > 0 {
                let count = words::count(histogram.beyond());
                notes.push(format!(
                    "{count} of {name} took longer than five minutes, and count as that"
                ));
            }
        }
        let begin = outcome.marks.first().map(|mark| mark.at);
        for process in &outcome.processes {
            if let Some(ended) = process.ended {
                let after = ended.since(begin.unwrap_or(ended)).as_secs_f64();
                notes.push(format!("{} ended after {}", process.name, words::seconds(after)));
            }
        }
        notes
    }
}

impl Document {
    /// Whether every promise was kept, in every run.
    #[must_use]
    pub fn held(&self) -> bool {
        match self {
            Self::Run(report) => report.outcome.held(),
            Self::Comparison(comparison) => comparison.held(),
        }
    }
}
