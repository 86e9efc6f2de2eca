//! Which charts a page has.

use std::collections::BTreeSet;

use super::Shown;
use super::chart::{Axis, Chart, Line};
use super::scale::Scale;
use crate::measure::processes::Sample;
use crate::measure::{Histogram, ProcessUse};
use crate::report::{Report, words};
use crate::run::{Phase, Stamp};
use crate::scenario::Unit;

/// Points of a line over time. More cannot be told apart.
const MOST_POINTS: usize = 240;

type Points = Vec<(f64, f64)>;

/// A chart of percentiles for each kind of latency.
pub(super) fn latencies(shown: &[Shown<'_>]) -> String {
    let names = names(shown, |report| {
        report.outcome.recording.histograms.keys().collect()
    });
    let charts = names.into_iter().map(|name| {
        let line = |run: &Shown<'_>| {
            let histogram = run.report.outcome.histogram(name)?;
            Some(line(run, run.name, 0, &percentiles(histogram)))
        };
        percentile_chart(name, shown.iter().filter_map(line).collect())
    });
    grid(charts)
}

fn percentile_chart(name: &str, lines: Vec<Line>) -> Chart {
    let xs = lines.iter().flat_map(|line| &line.points).map(|(x, _)| *x);
    let ys = lines.iter().flat_map(|line| &line.points).map(|(_, y)| *y);
    Chart {
        title: name.to_owned(),
        x: Axis {
            label: "share that took no longer",
            scale: Scale::logarithmic(xs),
            written: share,
        },
        y: Axis {
            label: "",
            scale: Scale::fitting(ys),
            written: words::seconds,
        },
        lines,
        marks: Vec::new(),
    }
}

/// Seconds over one by the share that took longer; the longest at one by its share of all.
fn percentiles(histogram: &Histogram) -> Points {
    #[expect(clippy::cast_precision_loss, reason = "it is drawn")]
    let count = histogram.len() as f64;
    let point = |(share, time): (f64, std::time::Duration)| {
        ((1.0 / (1.0 - share)).min(count.max(2.0)), time.as_secs_f64())
    };
    histogram.curve().into_iter().map(point).collect()
}

/// One by what is left, as the share that is done: 100 as 99 %.
fn share(one_by_left: f64) -> String {
    let left = 100.0 / one_by_left;
    let digits = if left >= 1.0 { 0 } else { 4 };
    let text = format!("{:.digits$}", 100.0 - left);
    let text = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        &text
    };
    format!("{text}%")
}

/// What happened in each second, and what it took. Zero is where measuring begins.
pub(super) fn over_time(shown: &[Shown<'_>]) -> String {
    let names = names(shown, |report| report.outcome.recording.series.keys().collect());
    let rates = names.into_iter().map(|name| {
        let line = |run: &Shown<'_>| line(run, run.name, 0, &rates(run.report, name));
        time_chart(
            &format!("{name} a second"),
            shown,
            shown.iter().map(line).collect(),
            Unit::Count,
        )
    });
    let cores = by_process(shown, |process, begin| {
        let pairs = process.samples.windows(2);
        let point = |pair: &[Sample]| {
            let middle = f64::midpoint(seconds(begin, pair[0].at), seconds(begin, pair[1].at));
            Some((middle, pair[1].cores_since(&pair[0])?))
        };
        pairs.filter_map(point).collect()
    });
    let memory = by_process(shown, |process, begin| {
        let samples = process.samples.iter();
        let point = |sample: &Sample| {
            #[expect(clippy::cast_precision_loss, reason = "it is drawn")]
            let bytes = sample.usage.resident_bytes as f64;
            (seconds(begin, sample.at), bytes)
        };
        samples.map(point).collect()
    });
    let of_processes = [
        time_chart("CPU: cores busy", shown, cores, Unit::Count),
        time_chart("resident memory", shown, memory, Unit::Bytes),
    ];
    grid(rates.chain(of_processes))
}

/// How much happened in each second of the measurement.
fn rates(report: &Report, name: &str) -> Points {
    let Some(series) = report.outcome.series(name) else {
        return Vec::new();
    };
    #[expect(clippy::cast_precision_loss, reason = "it is drawn")]
    let point = |(second, sum): (usize, &u64)| (second as f64 + 0.5, *sum as f64);
    let whole = report.outcome.measured().map_or(usize::MAX, |measured| {
        usize::try_from(measured.as_secs()).unwrap_or(usize::MAX)
    });
    // The second in which measuring ends is not a whole one, and would look like a drop.
    series
        .seconds()
        .iter()
        .enumerate()
        .take(whole.max(1))
        .map(point)
        .collect()
}

/// A line for each process of each run: by colour with one run, by dashes with several.
fn by_process(shown: &[Shown<'_>], points: impl Fn(&ProcessUse, Stamp) -> Points) -> Vec<Line> {
    let several = shown.iter().any(|run| run.colour != shown[0].colour);
    let mut lines = Vec::new();
    for run in shown {
        let begin = begin(run.report);
        for (index, process) in run.report.outcome.processes.iter().enumerate() {
            let points = points(process, begin);
            lines.push(if several {
                line(run, &format!("{}: {}", run.name, process.name), index, &points)
            } else {
                let coloured = Shown {
                    colour: index,
                    ..*run
                };
                line(&coloured, &process.name, index / 8, &points)
            });
        }
    }
    lines
}

fn time_chart(title: &str, shown: &[Shown<'_>], lines: Vec<Line>, unit: Unit) -> Chart {
    let xs = || lines.iter().flat_map(|line| &line.points).map(|(x, _)| *x);
    let (first, last) = (xs().fold(0.0, f64::min), xs().fold(1.0, f64::max));
    let ys = lines.iter().flat_map(|line| &line.points).map(|(_, y)| *y);
    let marks = shown
        .first()
        .map_or_else(Vec::new, |run| marks(run.report, first, last));
    Chart {
        title: title.to_owned(),
        x: Axis {
            label: "seconds since measuring began",
            scale: Scale::exactly(first, last),
            written: words::number,
        },
        y: Axis {
            label: "",
            scale: if unit == Unit::Bytes {
                Scale::binary(ys)
            } else {
                Scale::linear(ys)
            },
            written: if unit == Unit::Bytes {
                words::bytes
            } else {
                words::number
            },
        },
        lines,
        marks,
    }
}

/// Where the phases of a run begin, as far as they are between these times.
fn marks(report: &Report, first: f64, last: f64) -> Vec<(f64, String)> {
    let begin = begin(report);
    let marks = report
        .outcome
        .marks
        .iter()
        .map(|mark| (seconds(begin, mark.at), mark.name.clone()));
    marks.filter(|(at, _)| (first..=last).contains(at)).collect()
}

/// Where measuring begins; in a run without such a phase, where it begins itself.
fn begin(report: &Report) -> Stamp {
    let marks = &report.outcome.marks;
    let measure = marks.iter().find(|mark| mark.name == Phase::Measure.name());
    measure
        .or(marks.first())
        .map_or_else(Stamp::default, |mark| mark.at)
}

/// From `begin`, negative before it.
fn seconds(begin: Stamp, at: Stamp) -> f64 {
    at.since(begin).as_secs_f64() - begin.since(at).as_secs_f64()
}

fn line(run: &Shown<'_>, name: &str, dashes: usize, points: &[(f64, f64)]) -> Line {
    Line {
        name: name.to_owned(),
        colour: run.colour,
        dashes,
        points: thinned(points),
    }
}

/// No more than can be drawn: means of neighbours.
fn thinned(points: &[(f64, f64)]) -> Points {
    let together = points.len().div_ceil(MOST_POINTS).max(1);
    let mean = |neighbours: &[(f64, f64)]| {
        #[expect(clippy::cast_precision_loss, reason = "it is drawn")]
        let count = neighbours.len() as f64;
        let sum = neighbours
            .iter()
            .fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
        (sum.0 / count, sum.1 / count)
    };
    points.chunks(together).map(mean).collect()
}

/// What any of the runs has, once.
fn names<'a>(shown: &[Shown<'a>], of: impl Fn(&'a Report) -> Vec<&'a String>) -> BTreeSet<&'a String> {
    shown.iter().flat_map(|run| of(run.report)).collect()
}

/// Beside each other where there is room.
fn grid(charts: impl Iterator<Item = Chart>) -> String {
    let charts: String = charts.map(|chart| chart.html()).collect();
    if charts.is_empty() {
        charts
    } else {
        format!("<div class=\"charts\">\n{charts}</div>\n")
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST_POINTS, share, thinned};

    #[test]
    fn shares_are_written_as_percentages() {
        assert_eq!(
            [1.0, 2.0, 10.0, 100.0, 1e3, 1e6].map(share),
            ["0%", "50%", "90%", "99%", "99.9%", "99.9999%"]
        );
    }

    #[test]
    fn a_long_line_is_thinned_by_means() {
        let points: Vec<_> = (0..1_000).map(|index| (f64::from(index), 2.0)).collect();
        let thin = thinned(&points);
        assert!(thin.len() <= MOST_POINTS);
        assert_eq!(thin[0], (2.0, 2.0));
    }
}
