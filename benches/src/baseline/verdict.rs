//! What new figures mean beside those that are kept.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::{Baseline, Kept};

/// All figures, kept and new.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// In the order of their names.
    pub lines: Vec<Line>,
}

/// One figure, then and now.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Its name.
    pub name: String,
    /// What is kept.
    pub then: Option<Kept>,
    /// What was measured.
    pub now: Option<f64>,
    /// What that means.
    pub verdict: Verdict,
}

/// What a new figure means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is within the tolerance.
    Holds,
    /// It is lower than the tolerance explains: worth keeping.
    Better,
    /// It is higher than the tolerance explains.
    Worse,
    /// It is not kept yet.
    New,
    /// It is kept, but was not measured: what measured it may be broken.
    Missing,
    /// It was measured on another machine or made by another compiler, so that nothing follows.
    Elsewhere,
}

impl Verdict {
    /// Whether it makes the comparison fail.
    #[must_use]
    pub const fn is_bad(self) -> bool {
        matches!(self, Self::Worse | Self::Missing)
    }

    /// Whether it says something about the code.
    #[must_use]
    pub const fn judges(self) -> bool {
        !matches!(self, Self::New | Self::Elsewhere)
    }

    fn of(then: Option<Kept>, now: Option<f64>, comparable: bool) -> Self {
        match (then, now) {
            (None, _) => Self::New,
            (Some(_), None) => Self::Missing,
            (Some(_), Some(_)) if !comparable => Self::Elsewhere,
            (Some(then), Some(now)) if now > then.value * (1.0 + then.tolerance) => Self::Worse,
            (Some(then), Some(now)) if now < then.value * (1.0 - then.tolerance) => Self::Better,
            // Not a number is no good figure.
            (Some(_), Some(now)) if now.is_nan() => Self::Missing,
            (Some(_), Some(_)) => Self::Holds,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Holds => "holds",
            Self::Better => "better: keep it with `make bench-baseline`",
            Self::Worse => "REGRESSION",
            Self::New => "new",
            Self::Missing => "MISSING",
            Self::Elsewhere => "other machine or compiler: not judged",
        })
    }
}

impl Comparison {
    /// New figures beside those of `baseline`. `comparable` says by a figure's name whether machine and compiler allow to
    /// judge it.
    #[must_use]
    pub fn new(
        baseline: &Baseline,
        figures: &BTreeMap<String, Kept>,
        comparable: impl Fn(&str) -> bool,
    ) -> Self {
        let names: BTreeSet<&String> = baseline.figures.keys().chain(figures.keys()).collect();
        let line = |name: &String| {
            let then = baseline.figures.get(name).copied();
            let now = figures.get(name).map(|figure| figure.value);
            Line {
                name: name.clone(),
                then,
                now,
                verdict: Verdict::of(then, now, comparable(name)),
            }
        };
        Self {
            lines: names.into_iter().map(line).collect(),
        }
    }

    /// How many figures were judged, what that came to, and how many were not, in a line.
    #[must_use]
    pub fn summary(&self) -> String {
        let unjudged = self.lines.iter().filter(|line| !line.verdict.judges()).count();
        let judged = self.lines.len() - unjudged;
        let worse = match self.bad().count() {
            0 if judged == 0 => "nothing follows".to_owned(),
            0 => "none has become worse".to_owned(),
            bad => format!("{bad} worse or missing"),
        };
        let keep = if unjudged > 0 {
            ": they are new, or kept by another machine or compiler; `make bench-baseline` keeps them here"
        } else {
            ""
        };
        format!("{judged} figures judged, {worse}; {unjudged} not judged{keep}")
    }

    /// The figures that make it fail.
    pub fn bad(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| line.verdict.is_bad())
    }
}

impl fmt::Display for Comparison {
    /// A table.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.lines.iter().map(|line| line.name.len());
        let width = names.fold("figure".len(), usize::max);
        writeln!(
            f,
            "{:width$}  {:>12}  {:>12}  {:>7}  verdict",
            "figure", "baseline", "now", "change"
        )?;
        for line in &self.lines {
            let number = |value: Option<f64>| value.map_or_else(|| "-".into(), rounded);
            let change = match (line.then, line.now) {
                (Some(then), Some(now)) if then.value > 0.0 => {
                    format!("{:+.1}%", (now / then.value - 1.0) * 100.0)
                }
                _ => "-".into(),
            };
            let (then, now) = (number(line.then.map(|then| then.value)), number(line.now));
            writeln!(
                f,
                "{:width$}  {then:>12}  {now:>12}  {change:>7}  {}",
                line.name, line.verdict
            )?;
        }
        Ok(())
    }
}

/// Four digits that mean something.
fn rounded(value: f64) -> String {
    match value.abs() {
        size if size >= 1000.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEPT: Kept = Kept {
        value: 100.0,
        tolerance: 0.1,
    };

    fn verdict(now: f64) -> Verdict {
        Verdict::of(Some(KEPT), Some(now), true)
    }

    #[test]
    fn a_figure_within_its_tolerance_holds() {
        assert_eq!(verdict(100.0), Verdict::Holds);
        assert_eq!(verdict(109.9), Verdict::Holds);
        assert_eq!(verdict(90.1), Verdict::Holds);
    }

    #[test]
    fn beyond_it_a_figure_is_better_or_worse() {
        assert_eq!(verdict(110.1), Verdict::Worse);
        assert_eq!(verdict(89.9), Verdict::Better);
        assert_eq!(verdict(f64::NAN), Verdict::Missing);
    }

    #[test]
    fn what_was_not_measured_fails_and_what_is_not_kept_does_not() {
        assert!(Verdict::of(Some(KEPT), None, true).is_bad());
        assert!(!Verdict::of(None, Some(1.0), true).is_bad());
    }

    #[test]
    fn a_figure_of_another_machine_is_not_judged() {
        assert_eq!(Verdict::of(Some(KEPT), Some(500.0), false), Verdict::Elsewhere);
    }

    #[test]
    fn a_comparison_that_judges_nothing_says_so() {
        let figures = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), KEPT)).collect();
        let baseline = Baseline::new(figures(&["a", "b"]));
        let summary =
            |comparable| Comparison::new(&baseline, &figures(&["a", "b"]), |_| comparable).summary();
        assert_eq!(
            summary(true),
            "2 figures judged, none has become worse; 0 not judged"
        );
        let elsewhere = summary(false);
        assert!(
            elsewhere.starts_with("0 figures judged, nothing follows; 2 not judged: "),
            "{elsewhere}"
        );
    }

    #[test]
    fn nothing_cannot_become_something_unnoticed() {
        let kept = Kept {
            value: 0.0,
            tolerance: 0.02,
        };
        assert_eq!(Verdict::of(Some(kept), Some(1.0), true), Verdict::Worse);
        assert_eq!(Verdict::of(Some(kept), Some(0.0), true), Verdict::Holds);
    }

    #[test]
    fn a_comparison_shows_every_figure_of_either_side_once() {
        let figures = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), KEPT)).collect();
        let baseline = Baseline::new(figures(&["a", "b"]));
        let comparison = Comparison::new(&baseline, &figures(&["b", "c"]), |_| true);
        let verdicts: Vec<_> = comparison
            .lines
            .iter()
            .map(|line| (line.name.as_str(), line.verdict))
            .collect();
        assert_eq!(
            verdicts,
            [
                ("a", Verdict::Missing),
                ("b", Verdict::Holds),
                ("c", Verdict::New)
            ]
        );
        assert_eq!(comparison.bad().count(), 1);
        let table = comparison.to_string();
        assert!(
            table.contains("b              100.0         100.0    +0.0%  holds\n"),
            "{table}"
        );
    }
}
