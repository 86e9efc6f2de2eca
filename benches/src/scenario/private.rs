//! `private`: a channel for each client.

use futures_util::future::BoxFuture;

use super::{Figure, Scenario};
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
        "a channel for each client"
    }

    fn defaults(&self) -> Load {
        Load::default()
    }

    fn run<'a>(&'a self, run: &'a Run) -> BoxFuture<'a, Result<(), Failure>> {
        let _ = run;
        Box::pin(async { Err(Failure::usage("private cannot be run yet")) })
    }

    fn figures(&self, outcome: &Outcome) -> Vec<Figure> {
        let _ = outcome;
        Vec::new()
    }
}
