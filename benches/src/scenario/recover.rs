//! `recover`: all clients lose their connections and come back at once while publishing goes on.

use futures_util::future::BoxFuture;

use super::{Figure, Scenario};
use crate::Failure;
use crate::measure::Outcome;
use crate::plan::Load;
use crate::run::Run;

/// `recover`.
pub(super) struct Recover;

impl Scenario for Recover {
    fn name(&self) -> &'static str {
        "recover"
    }

    fn about(&self) -> &'static str {
        "all clients lose their connections and come back at once while publishing goes on"
    }

    fn defaults(&self) -> Load {
        Load::default()
    }

    fn run<'a>(&'a self, run: &'a Run) -> BoxFuture<'a, Result<(), Failure>> {
        let _ = run;
        Box::pin(async { Err(Failure::usage("recover cannot be run yet")) })
    }

    fn figures(&self, outcome: &Outcome) -> Vec<Figure> {
        let _ = outcome;
        Vec::new()
    }
}
