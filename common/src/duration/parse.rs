//! From text to a duration.

use std::time::Duration;

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseDurationError {
    /// There is no text.
    #[error("empty duration: write for example \"30s\", or \"0s\" for none")]
    Empty,
    /// There is a sign in front.
    #[error("duration {0:?} has a sign: durations here are never negative")]
    Signed(String),
    /// A number stands where none of Go's units follows it.
    #[error("duration {0:?} needs a unit after each number: ns, us, ms, s, m or h, as in \"1m30s\"")]
    MissingUnit(String),
    /// A unit is none of Go's.
    #[error("unknown unit {unit:?} in duration {text:?}: write ns, us, ms, s, m or h")]
    UnknownUnit {
        /// The whole text.
        text: String,
        /// What stands in the unit's place.
        unit: String,
    },
    /// Something else stands where a number should.
    #[error("duration {0:?} is not a sequence of numbers with units, as in \"1m30s\"")]
    NotANumber(String),
    /// It is longer than can be counted in nanoseconds (584 years).
    #[error("duration {0:?} is too long")]
    TooLong(String),
}

/// Reads a duration. Digits below a nanosecond are cut off.
pub fn parse(text: &str) -> Result<Duration, ParseDurationError> {
    use ParseDurationError as Error;
    match text {
        "" => return Err(Error::Empty),
        "0" => return Ok(Duration::ZERO),
        _ if text.starts_with(['-', '+']) => return Err(Error::Signed(text.into())),
        _ => {}
    }
    let mut total: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let (nanos, after) = term(text, rest)?;
        total = total
            .checked_add(nanos)
            .ok_or_else(|| Error::TooLong(text.into()))?;
        rest = after;
    }
    Ok(Duration::from_nanos(total))
}

/// Reads one number with its unit off the front of `rest`, in nanoseconds. `text` is all of it, for the
/// error.
fn term<'a>(text: &str, rest: &'a str) -> Result<(u64, &'a str), ParseDurationError> {
    use ParseDurationError as Error;
    let (whole, rest) = split_digits(rest);
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => split_digits(rest),
        None => ("", rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return Err(Error::NotANumber(text.into()));
    }
    let end = rest
        .find(|c: char| c == '.' || c.is_ascii_digit())
        .unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(end);
    let scale = match unit {
        "" => return Err(Error::MissingUnit(text.into())),
        _ => nanos_per(unit).ok_or_else(|| Error::UnknownUnit {
            text: text.into(),
            unit: unit.into(),
        })?,
    };
    let nanos = digits(whole)
        .and_then(|whole| whole.checked_mul(scale))
        .and_then(|nanos| nanos.checked_add(fraction_of(fraction, scale)))
        .ok_or_else(|| Error::TooLong(text.into()))?;
    Ok((nanos, rest))
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

fn nanos_per(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        // Both the micro sign and the Greek letter.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60 * 1_000_000_000,
        "h" => 3600 * 1_000_000_000,
        _ => return None,
    })
}

/// A run of digits as a number, the empty run as zero.
fn digits(digits: &str) -> Option<u64> {
    if digits.is_empty() {
        Some(0)
    } else {
        digits.parse().ok()
    }
}

/// `0.digits × scale`, cut off.
fn fraction_of(digits: &str, scale: u64) -> u64 {
    // An hour in nanoseconds has 13 digits: what stands beyond 18 is below one of them.
    let digits = &digits[..digits.len().min(18)];
    let numerator: u128 = digits.parse().unwrap_or(0);
    let denominator = 10_u128.pow(u32::try_from(digits.len()).unwrap_or(0));
    u64::try_from(numerator * u128::from(scale) / denominator).unwrap_or(u64::MAX)
}
