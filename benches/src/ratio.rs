//! How long something takes, as a multiple of a reference that is measured in turns with it.
//!
//! Times are of the processor, of this thread alone: what else runs on the machine takes none of it, and still moves it
//! somewhat through caches and clock rates. So both are measured within milliseconds of each other, many times, and the
//! median of the ratios counts.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Rounds; odd, so that one is in the middle.
const ROUNDS: usize = 31;

/// How long each side of a round takes: long against the clock, short against the changes of the machine.
const SLICE: Duration = Duration::from_millis(3);

/// Runs after which everything is warm.
const WARM_UP: u32 = 10;

/// A ratio and how sure it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    /// The median.
    pub median: f64,
    /// The distance between the quartiles, as a part of the median.
    pub spread: f64,
}

impl Ratio {
    /// Of some ratios; at least one.
    #[must_use]
    pub fn of(mut ratios: Vec<f64>) -> Self {
        ratios.sort_by(f64::total_cmp);
        let at = |part: usize| ratios.get(ratios.len() * part / 4).copied().unwrap_or(f64::NAN);
        Self {
            median: at(2),
            spread: (at(3) - at(1)) / at(2),
        }
    }
}

/// How much longer one run of `subject` takes than one of `reference`.
pub fn measure(subject: &mut dyn FnMut(), reference: &mut dyn FnMut()) -> Ratio {
    let (subjects, references) = (runs_in_slice(subject), runs_in_slice(reference));
    let mut ratios = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let reference = time_of_one(reference, references);
        ratios.push(time_of_one(subject, subjects) / reference);
    }
    Ratio::of(ratios)
}

/// Processor time that this thread has had.
#[must_use]
pub fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        time.tv_sec.try_into().unwrap_or(0),
        time.tv_nsec.try_into().unwrap_or(0),
    )
}

/// Seconds that one of `count` runs takes.
fn time_of_one(run: &mut dyn FnMut(), count: u32) -> f64 {
    let begin = processor_time();
    for _ in 0..count {
        run();
    }
    (processor_time() - begin).as_secs_f64() / f64::from(count)
}

/// How many runs take about one slice.
fn runs_in_slice(run: &mut dyn FnMut()) -> u32 {
    time_of_one(run, WARM_UP);
    let mut count = 1;
    while time_of_one(run, count) * f64::from(count) < SLICE.as_secs_f64() && count < u32::MAX / 2 {
        count *= 2;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_and_the_quartiles_are_those_of_the_sorted_ratios() {
        let ratio = Ratio::of(vec![4.0, 1.0, 3.0, 2.0, 5.0]);
        assert_eq!(ratio.median, 3.0);
        assert_eq!(ratio.spread, (4.0 - 2.0) / 3.0);
    }

    #[test]
    fn one_outlier_moves_nothing() {
        let ratio = Ratio::of(vec![1.0, 1.0, 1.0, 1.0, 1000.0]);
        assert_eq!(
            ratio,
            Ratio {
                median: 1.0,
                spread: 0.0
            }
        );
    }

    #[test]
    fn processor_time_only_grows() {
        let begin = processor_time();
        std::hint::black_box((0..1000).sum::<u64>());
        assert!(processor_time() >= begin);
    }
}
