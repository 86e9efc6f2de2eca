//! From a duration to text.

use std::fmt::Write;
use std::time::Duration;

const NANOS_PER_MICRO: u32 = 1_000;
const NANOS_PER_MILLI: u32 = 1_000_000;
const NANOS_PER_SEC: u32 = 1_000_000_000;

/// Writes a duration as Go does: hours, minutes and seconds from one second on, below that the largest
/// unit that leaves a whole number before the point; always exact.
#[must_use]
pub fn format(duration: Duration) -> String {
    let mut text = String::new();
    if duration.as_secs() == 0 {
        format_below_second(&mut text, duration.subsec_nanos());
        return text;
    }
    let (minutes, secs) = (duration.as_secs() / 60, duration.as_secs() % 60);
    let (hours, minutes) = (minutes / 60, minutes % 60);
    // Writing to a string does not fail.
    if hours > 0 {
        let _ = write!(text, "{hours}h");
    }
    if hours > 0 || minutes > 0 {
        let _ = write!(text, "{minutes}m");
    }
    let _ = write!(text, "{secs}");
    push_fraction(&mut text, duration.subsec_nanos(), NANOS_PER_SEC);
    text.push('s');
    text
}

fn format_below_second(text: &mut String, nanos: u32) {
    let (scale, unit) = match nanos {
        0 => (NANOS_PER_SEC, "s"),
        _ if nanos < NANOS_PER_MICRO => (1, "ns"),
        _ if nanos < NANOS_PER_MILLI => (NANOS_PER_MICRO, "µs"),
        _ => (NANOS_PER_MILLI, "ms"),
    };
    let _ = write!(text, "{}", nanos / scale);
    push_fraction(text, nanos % scale, scale);
    text.push_str(unit);
}

/// Appends `.digits` for `numerator / scale`, without zeros at the end; nothing for zero.
fn push_fraction(text: &mut String, mut numerator: u32, mut scale: u32) {
    if numerator > 0 {
        text.push('.');
    }
    while numerator > 0 {
        scale /= 10;
        let _ = write!(text, "{}", numerator / scale);
        numerator %= scale;
    }
}
