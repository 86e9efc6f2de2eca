//! `fanout`: one channel with many subscribers.

use futures_util::future::BoxFuture;

use super::{Figure, Scenario};
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
        "one channel with many subscribers"
    }

    fn defaults(&self) -> Load {
        Load::default()
    }

    fn run<'a>(&'a self, run: &'a Run) -> BoxFuture<'a, Result<(), Failure>> {
        let _ = run;
        Box::pin(async { Err(Failure::usage("fanout cannot be run yet")) })
    }

    fn figures(&self, outcome: &Outcome) -> Vec<Figure> {
        let _ = outcome;
        Vec::new()
    }
}
