//! The same load on two servers in turns, A B A B, and how they compare.
//!
//! What else the machine does changes from minute to minute and moves all figures of that minute. Runs that follow each
//! other share most of it, so each run is compared with its neighbour of the other server only, and what is told is the median
//! of these ratios with the lowest and the highest: if one of them is below 1 and another above, the difference is not
//! larger than what chance makes.

use serde::{Deserialize, Serialize};

use crate::Failure;
use crate::execute::{Order, execute};
use crate::report::Report;
use crate::report::progress::Progress;
use crate::scenario::{Better, Unit};
use crate::target::Target;

mod side;

pub use side::Side;

/// Two servers under the same load, in turns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// What the first server and the second are called.
    pub names: [String; 2],
    /// The runs, in the order in which they were made: first, second, first, second.
    pub rounds: Vec<[Report; 2]>,
    /// How their figures compare.
    pub ratios: Vec<Ratio>,
}

/// A figure of the first server, divided by the second's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// The figure's name.
    pub name: String,
    /// Its unit.
    pub unit: Unit,
    /// Which direction of the figure is the better one.
    pub better: Better,
    /// The median of each server's runs.
    pub medians: [f64; 2],
    /// The ratios of the rounds.
    pub spread: Spread,
}

/// The middle of some numbers, and between what they lie.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The smallest.
    pub lowest: f64,
    /// The middle one, or the mean of the middle two.
    pub median: f64,
    /// The largest.
    pub highest: f64,
}

impl Spread {
    /// Of these numbers; `None` if there is none, or one of them is no finite number.
    #[must_use]
    pub fn of(mut numbers: Vec<f64>) -> Option<Self> {
        if !numbers.iter().all(|number| number.is_finite()) {
            return None;
        }
        numbers.sort_by(f64::total_cmp);
        let upper = *numbers.get(numbers.len() / 2)?;
        let lower = numbers[(numbers.len() - 1) / 2];
        Some(Self {
            lowest: numbers[0],
            median: f64::midpoint(lower, upper),
            highest: numbers[numbers.len() - 1],
        })
    }
}

impl Ratio {
    /// What the ratio says, in words.
    #[must_use]
    pub fn says(&self) -> &'static str {
        let Spread { lowest, highest, .. } = self.spread;
        match self.better {
            _ if lowest <= 1.0 && highest >= 1.0 => "no clear difference",
            Better::Neither => "differed each time",
            Better::Lower if highest < 1.0 => "A was better each time",
            Better::Higher if lowest > 1.0 => "A was better each time",
            Better::Lower | Better::Higher => "B was better each time",
        }
    }
}

impl Comparison {
    /// Of these rounds.
    #[must_use]
    pub fn new(names: [String; 2], rounds: Vec<[Report; 2]>) -> Self {
        let ratios = rounds.first().map_or_else(Vec::new, |[first, _]| {
            let figures = first.figures.iter();
            figures
                .filter_map(|figure| ratio(&rounds, &figure.name))
                .collect()
        });
        Self {
            names,
            rounds,
            ratios,
        }
    }

    /// Whether every promise was kept, by both.
    #[must_use]
    pub fn held(&self) -> bool {
        self.rounds.iter().flatten().all(|report| report.outcome.held())
    }
}

/// `None` if a run has no such figure, or if it is nothing that one can divide by.
fn ratio(rounds: &[[Report; 2]], name: &str) -> Option<Ratio> {
    let figure = |report: &'_ Report| report.figures.iter().find(|figure| figure.name == name).cloned();
    let (mut first, mut second, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for [left, right] in rounds {
        let (left, right) = (figure(left)?.value, figure(right)?.value);
        first.push(left);
        second.push(right);
        ratios.push(left / right);
    }
    let described = figure(&rounds.first()?[0])?;
    Some(Ratio {
        name: described.name,
        unit: described.unit,
        better: described.better,
        medians: [Spread::of(first)?.median, Spread::of(second)?.median],
        spread: Spread::of(ratios)?,
    })
}

/// Runs the load on the server of `order` and on the one that `with` names, in turns.
///
/// # Errors
///
/// When `with` names no server, or a run fails.
pub async fn compare(
    order: &Order,
    with: &Side,
    rounds: usize,
    progress: &mut Progress,
) -> Result<Comparison, Failure> {
    if rounds == 0 {
        return Err(Failure::usage("a comparison needs a round"));
    }
    let names = [Side::name_of(order), with.name()];
    // Streams of an earlier round may still be there.
    let lasting = order.target.is_some() || with.lasts();
    let mut done = Vec::new();
    for round in 1..=rounds {
        let mut order = order.clone();
        if lasting {
            order.plan.prefix.push_str(&format!("{round}-"));
        }
        progress.note(&format!("round {round} of {rounds}: A, {}", names[0]));
        let first = Box::pin(execute(&order, progress)).await?;
        progress.note(&format!("round {round} of {rounds}: B, {}", names[1]));
        let second = Box::pin(with.execute(&order, progress)).await?;
        done.push([first, second]);
    }
    Ok(Comparison::new(names, done))
}

#[cfg(test)]
mod tests;
