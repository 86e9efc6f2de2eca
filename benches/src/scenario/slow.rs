//! `slow`: one client in ten does not read.

use futures_util::future::BoxFuture;

use super::{Figure, Scenario};
use crate::Failure;
use crate::measure::Outcome;
use crate::plan::Load;
use crate::run::Run;

/// `slow`.
pub(super) struct Slow;

impl Scenario for Slow {
    fn name(&self) -> &'static str {
        "slow"
    }

    fn about(&self) -> &'static str {
        "one client in ten does not read"
    }

    fn defaults(&self) -> Load {
        Load::default()
    }

    fn run<'a>(&'a self, run: &'a Run) -> BoxFuture<'a, Result<(), Failure>> {
        let _ = run;
        Box::pin(async { Err(Failure::usage("slow cannot be run yet")) })
    }

    fn figures(&self, outcome: &Outcome) -> Vec<Figure> {
        let _ = outcome;
        Vec::new()
    }
}
