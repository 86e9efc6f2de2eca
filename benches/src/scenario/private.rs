//! `private`: a channel for each client.

use futures_util::future::BoxFuture;

use super::{Figure, Scenario, delivery, demand};
use crate::Failure;
use crate::measure::Outcome;
use crate::plan::Load;
use crate::run::Run;

/// `private`.
pub(super) struct Private;

impl Scenario for Private {
    fn name(&self) -> &'static str {
        "private"
    }

    fn about(&self) -> &'static str {
        "a channel for each client; --channels does not count"
    }

    fn defaults(&self) -> Load {
        Load {
            connections: 1_000,
            rate: 1_000.0,
            ..Load::default()
        }
    }

    fn channels(&self, load: &Load) -> usize {
        load.connections
    }

    fn check(&self, load: &Load) -> Result<(), Failure> {
        demand::connections(self.name(), load, 1)?;
        demand::publications(self.name(), load)
    }

    fn run<'a>(&'a self, run: &'a Run) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(delivery::deliver(run, run.plan().load.connections))
    }

    fn figures(&self, outcome: &Outcome) -> Vec<Figure> {
        delivery::figures(outcome)
    }
}
