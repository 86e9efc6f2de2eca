//! Figures as they are gathered.

use super::{Better, Figure, Unit};
use crate::measure::Outcome;

/// Figures of a run, in the order in which they were added. What is not known is left out.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures(Vec<Figure>);

impl Figures {
    /// A figure of which less is better.
    pub(super) fn lower(&mut self, name: &str, value: Option<f64>, unit: Unit) {
        self.add(name, value, unit, Better::Lower);
    }

    /// A figure of which more is better.
    pub(super) fn higher(&mut self, name: &str, value: Option<f64>, unit: Unit) {
        self.add(name, value, unit, Better::Higher);
    }

    /// A figure that is neither good nor bad.
    pub(super) fn neither(&mut self, name: &str, value: Option<f64>, unit: Unit) {
        self.add(name, value, unit, Better::Neither);
    }

    /// Adds a figure, if it is a number: a cost per something of which there was nothing is none.
    pub(super) fn add(&mut self, name: &str, value: Option<f64>, unit: Unit, better: Better) {
        let value = value.filter(|value| value.is_finite());
        self.0
            .extend(value.map(|value| Figure::new(name, value, unit, better)));
    }

    /// All of them.
    pub(super) fn done(self) -> Vec<Figure> {
        self.0
    }
}

/// A quantile of a latency, in seconds, if any was noted.
pub(super) fn quantile(outcome: &Outcome, latency: &str, share: f64) -> Option<f64> {
    Some(outcome.histogram(latency)?.quantile(share).as_secs_f64())
}

/// What was counted.
#[expect(clippy::cast_precision_loss, reason = "exact to 2^53")]
pub(super) fn count(outcome: &Outcome, name: &str) -> f64 {
    outcome.counter(name) as f64
}
