//! `idle`: connections that do nothing: memory of each, and what pinging them costs.

use futures_util::future::BoxFuture;

use super::{Figure, Scenario};
use crate::Failure;
use crate::measure::Outcome;
use crate::plan::Load;
use crate::run::Run;

/// `idle`.
pub(super) struct Idle;

impl Scenario for Idle {
    fn name(&self) -> &'static str {
        "idle"
    }

    fn about(&self) -> &'static str {
        "connections that do nothing: memory of each, and what pinging them costs"
    }

    fn defaults(&self) -> Load {
        Load::default()
    }

    fn run<'a>(&'a self, run: &'a Run) -> BoxFuture<'a, Result<(), Failure>> {
        let _ = run;
        Box::pin(async { Err(Failure::usage("idle cannot be run yet")) })
    }

    fn figures(&self, outcome: &Outcome) -> Vec<Figure> {
        let _ = outcome;
        Vec::new()
    }
}
