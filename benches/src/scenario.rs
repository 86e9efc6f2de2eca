//! What can be measured: each scenario is a file of its own.

mod arrivals;
mod broken;
mod churn;
mod connect;
mod delivery;
mod demand;
mod fanout;
mod figures;
mod idle;
mod key;
mod mixed;
mod one_channel;
mod private;
mod publish;
mod recover;
mod reshard;
mod rooms;
mod slow;
mod steady;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::Failure;
use crate::measure::Outcome;
use crate::plan::Load;
use crate::run::Run;
use crate::stack::StackOptions;

pub use key::{Key, Kind, defaults};

/// A kind of load, and what is told from it.
pub trait Scenario: Send + Sync {
    /// What it is called on the command line.
    fn name(&self) -> &'static str;

    /// One line about it.
    fn about(&self) -> &'static str;

    /// How much of what, unless the user says otherwise.
    fn defaults(&self) -> Load;

    /// How many channels are in use under this load.
    fn channels(&self, load: &Load) -> usize {
        load.channels
    }

    /// Whether this load needs more of a server than to fan out: the [bare](crate::bare) one does not do.
    fn needs_broker(&self, load: &Load) -> bool {
        load.stream
    }

    /// What a local stack is made of, unless the user says otherwise.
    fn stack(&self) -> StackOptions {
        StackOptions::default()
    }

    /// What it knows beside what every load says.
    fn keys(&self) -> &'static [Key] {
        &[]
    }

    /// What is wrong with this load, for this scenario, beside keys that are unknown and values that cannot be read. Ask
    /// [`check`], which looks for those, too.
    fn check(&self, load: &Load) -> Result<(), Failure> {
        let _ = load;
        Ok(())
    }

    /// Carries out a worker's share. Broken promises go to [`Run::violation`]; an error means that there is no result.
    fn run<'a>(&'a self, run: &'a Run) -> BoxFuture<'a, Result<(), Failure>>;

    /// The numbers that matter, from what all workers recorded.
    fn figures(&self, outcome: &Outcome) -> Vec<Figure>;
}

/// Every scenario, in the order in which they are listed.
pub const ALL: &[&dyn Scenario] = &[
    &idle::Idle,
    &connect::Connect,
    &fanout::Fanout,
    &rooms::Rooms,
    &private::Private,
    &publish::Publish,
    &recover::Recover,
    &reshard::Reshard,
    &mixed::Mixed,
    &churn::Churn,
    &slow::Slow,
];

/// What is wrong with this load, for this scenario. To be asked before anything begins.
pub fn check(scenario: &dyn Scenario, load: &Load) -> Result<(), Failure> {
    key::check(scenario, load)?;
    scenario.check(load)
}

/// The scenario of this name.
pub fn find(name: &str) -> Result<&'static dyn Scenario, Failure> {
    let found = ALL.iter().find(|scenario| scenario.name() == name);
    found.copied().ok_or_else(|| {
        let names: Vec<_> = ALL.iter().map(|scenario| scenario.name()).collect();
        Failure::usage(format!("no scenario {name:?}; there are {}", names.join(", ")))
    })
}

/// One number that a run comes to, which can be compared with that of another run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// What it is, in words, the same in every run of the scenario.
    pub name: String,
    /// How much.
    pub value: f64,
    /// Of what.
    pub unit: Unit,
    /// Which direction is the better one.
    pub better: Better,
}

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Pieces.
    Count,
    /// Seconds, whatever they are shown in.
    Seconds,
    /// Bytes, whatever they are shown in.
    Bytes,
    /// Pieces a second.
    PerSecond,
    /// Pieces for a second of CPU time.
    PerCpuSecond,
    /// A part of a whole, or a multiple of something.
    Ratio,
}

/// Which direction of a figure is the better one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// Less.
    Lower,
    /// More.
    Higher,
    /// It says something and is neither good nor bad.
    Neither,
}

impl Figure {
    /// A figure.
    pub fn new(name: impl Into<String>, value: f64, unit: Unit, better: Better) -> Self {
        Self {
            name: name.into(),
            value,
            unit,
            better,
        }
    }
}

#[cfg(test)]
mod tests;
