//! Where on an axis a number is, and which numbers are written beside it.

/// An axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    logarithmic: bool,
    /// Steps are round numbers of these.
    unit: f64,
}

/// Spans from which on equal steps would hide everything at the lower end.
const WIDE: f64 = 30.0;

/// About as many ticks as an axis has room for.
const TICKS: f64 = 5.0;

impl Scale {
    /// From zero (or from what is below it) to the largest of these, in equal steps.
    pub(super) fn linear(values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = bounds(values).unwrap_or((0.0, 1.0));
        Self::from_zero(low, high, 1.0)
    }

    /// The same for bytes, in steps that are round in KiB, MiB or GiB.
    pub(super) fn binary(values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = bounds(values).unwrap_or((0.0, 1.0));
        let power = (high.max(1.0).log2() / 10.0).floor();
        Self::from_zero(low, high, 1024_f64.powf(power))
    }

    fn from_zero(low: f64, high: f64, unit: f64) -> Self {
        let low = low.min(0.0);
        let high = if high > low { high } else { low + unit };
        let step = nice_step((high - low) / unit) * unit;
        Self {
            low: (low / step).floor() * step,
            high: (high / step).ceil() * step,
            logarithmic: false,
            unit,
        }
    }

    /// As they are: what is there fills the axis.
    pub(super) fn exactly(low: f64, high: f64) -> Self {
        let high = if high > low { high } else { low + 1.0 };
        Self {
            low,
            high,
            logarithmic: false,
            unit: 1.0,
        }
    }

    /// In equal factors, from the smallest of these that is above zero to the largest.
    pub(super) fn logarithmic(values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = bounds(values.filter(|value| *value > 0.0)).unwrap_or((1.0, 10.0));
        let high = if high > low { high } else { low * 10.0 };
        Self {
            low,
            high,
            logarithmic: true,
            unit: 1.0,
        }
    }

    /// In equal factors where the numbers are far apart, else in equal steps from zero.
    pub(super) fn fitting(values: impl Iterator<Item = f64> + Clone) -> Self {
        match bounds(values.clone().filter(|value| *value > 0.0)) {
            Some((low, high)) if high / low > WIDE => {
                let decade = |value: f64| 10_f64.powf(value);
                Self {
                    low: decade(low.log10().floor()),
                    high: decade(high.log10().ceil()),
                    logarithmic: true,
                    unit: 1.0,
                }
            }
            _ => Self::linear(values),
        }
    }

    /// Where on the axis a number is: 0 at the lower end, 1 at the upper one. What is outside is at an end.
    pub(super) fn place(&self, value: f64) -> f64 {
        let place = if self.logarithmic {
            (value.max(self.low) / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        place.clamp(0.0, 1.0)
    }

    /// The numbers to write, ascending.
    pub(super) fn ticks(&self) -> Vec<f64> {
        if self.logarithmic {
            self.decades()
        } else {
            self.steps()
        }
    }

    fn decades(&self) -> Vec<f64> {
        let first = self.low.log10().ceil();
        let last = self.high.log10().floor();
        // Every decade where there is room, else every second or third.
        let stride = ((last - first) / 8.0).floor() + 1.0;
        let mut ticks = Vec::new();
        let mut exponent = first;
        while exponent <= last + 1e-9 {
            ticks.push(10_f64.powf(exponent));
            exponent += stride;
        }
        ticks
    }

    fn steps(&self) -> Vec<f64> {
        let step = nice_step((self.high - self.low) / self.unit) * self.unit;
        let mut tick = (self.low / step).ceil();
        let mut ticks = Vec::new();
        while tick * step <= self.high + step * 1e-6 {
            // Not -0.
            ticks.push(tick * step + 0.0);
            tick += 1.0;
        }
        ticks
    }
}

/// 1, 2 or 5 times a power of ten, so that about [`TICKS`] of it make up the span.
fn nice_step(span: f64) -> f64 {
    let rough = span / TICKS;
    let power = 10_f64.powf(rough.log10().floor());
    let factor = match rough / power {
        ..1.5 => 1.0,
        ..3.5 => 2.0,
        ..7.5 => 5.0,
        _ => 10.0,
    };
    factor * power
}

/// The smallest and the largest.
fn bounds(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values
        .filter(|value| value.is_finite())
        .fold(None, |bounds, value| {
            let (low, high) = bounds.unwrap_or((value, value));
            Some((f64::min(low, value), f64::max(high, value)))
        })
}

#[cfg(test)]
mod tests {
    use super::Scale;

    #[test]
    fn ticks_are_round_numbers() {
        let scale = Scale::linear([0.0, 7.3].into_iter());
        assert_eq!(scale.ticks(), [0.0, 2.0, 4.0, 6.0, 8.0]);
        assert_eq!(
            Scale::exactly(-2.4, 10.1).ticks(),
            [-2.0, 0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
        );
        let mebibyte = 1024.0 * 1024.0;
        let scale = Scale::binary([90.0 * mebibyte].into_iter());
        assert_eq!(scale.ticks().last(), Some(&(100.0 * mebibyte)));
        let scale = Scale::fitting([0.0002, 0.5].into_iter());
        let decades: Vec<_> = scale.ticks().iter().map(|tick| format!("{tick:.4}")).collect();
        assert_eq!(decades, ["0.0001", "0.0010", "0.0100", "0.1000", "1.0000"]);
    }

    #[test]
    fn numbers_are_placed_between_the_ends() {
        let linear = Scale::exactly(0.0, 8.0);
        assert_eq!(linear.place(2.0), 0.25);
        assert_eq!(linear.place(-1.0), 0.0);
        assert_eq!(linear.place(9.0), 1.0);
        let logarithmic = Scale::logarithmic([1.0, 10_000.0].into_iter());
        assert!((logarithmic.place(100.0) - 0.5).abs() < 1e-12);
        assert_eq!(logarithmic.place(0.0), 0.0);
    }

    #[test]
    fn nothing_and_a_single_number_have_an_axis_too() {
        for scale in [
            Scale::linear(std::iter::empty()),
            Scale::linear([0.0].into_iter()),
            Scale::exactly(3.0, 3.0),
            Scale::logarithmic([5.0].into_iter()),
            Scale::fitting([f64::NAN].into_iter()),
        ] {
            assert!(scale.place(3.0).is_finite(), "{scale:?}");
            assert!((1..20).contains(&scale.ticks().len()), "{scale:?}");
        }
    }
}
