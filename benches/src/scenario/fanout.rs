//! `fanout`: one channel with many subscribers.

use futures_util::future::BoxFuture;

use super::{Figure, Scenario, delivery, demand};
use crate::Failure;
use crate::measure::Outcome;
use crate::plan::Load;
use crate::run::Run;

/// `fanout`.
pub(super) struct Fanout;

impl Scenario for Fanout {
    fn name(&self) -> &'static str {
        "fanout"
    }

    fn about(&self) -> &'static str {
        "one channel with many subscribers; --burst 32 --batch 32: messages that wait together"
    }

    fn defaults(&self) -> Load {
        Load {
            connections: 1_000,
            rate: 20.0,
            ..Load::default()
        }
    }

    fn check(&self, load: &Load) -> Result<(), Failure> {
        demand::connections(self.name(), load, 1)?;
        demand::publications(self.name(), load)
    }

    fn run<'a>(&'a self, run: &'a Run) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(delivery::deliver(run, run.plan().load.channels))
    }

    fn figures(&self, outcome: &Outcome) -> Vec<Figure> {
        delivery::figures(outcome)
    }
}
