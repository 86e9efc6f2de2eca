//! Durations as people write them in configuration: `300s`, `1m30s`, `720h`, `1.5s`, `100ms`.
//!
//! The syntax is that of Go's `time.ParseDuration`, without the sign: a sequence of decimal numbers, each
//! with a unit of `ns`, `us` (or `µs`), `ms`, `s`, `m`, `h`. Formatting is that of Go's
//! `Duration.String`: `1h0m0s`, `1.5s`, `100ms`. A file that was written for Centrifugo reads the same here.

mod format;
mod parse;

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{Deserializer, Error, Unexpected, Visitor};
use serde::{Deserialize, Serialize, Serializer};

pub use format::format;
pub use parse::{ParseDurationError, parse};

/// A duration that reads and prints as people write it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HumanDuration(pub Duration);

impl HumanDuration {
    /// No time at all; in configuration usually "off".
    pub const ZERO: Self = Self(Duration::ZERO);

    /// A duration of whole seconds.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }

    /// A duration of whole milliseconds.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// The duration to compute with.
    #[must_use]
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl Deref for HumanDuration {
    type Target = Duration;

    fn deref(&self) -> &Duration {
        &self.0
    }
}

impl From<Duration> for HumanDuration {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

impl From<HumanDuration> for Duration {
    fn from(duration: HumanDuration) -> Self {
        duration.0
    }
}

impl FromStr for HumanDuration {
    type Err = ParseDurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).map(Self)
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format(self.0))
    }
}

impl Serialize for HumanDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        human::serialize(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        human::deserialize(deserializer).map(Self)
    }
}

/// For `#[serde(with = "campanile_common::duration::human")]` on a field of type [`Duration`].
pub mod human {
    use super::{Deserializer, Duration, DurationVisitor, Serializer, format};

    /// Writes the duration as text.
    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format(*duration))
    }

    /// Reads a duration from text. A bare number is refused, except 0.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        deserializer.deserialize_any(DurationVisitor)
    }
}

struct DurationVisitor;

impl Visitor<'_> for DurationVisitor {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration with a unit, such as \"300s\", \"1m30s\" or \"100ms\"")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Duration, E> {
        parse(text).map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Duration, E> {
        match number {
            0 => Ok(Duration::ZERO),
            _ => Err(E::invalid_type(Unexpected::Unsigned(number), &self)),
        }
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Duration, E> {
        match number {
            0 => Ok(Duration::ZERO),
            _ => Err(E::invalid_type(Unexpected::Signed(number), &self)),
        }
    }
}

#[cfg(test)]
mod tests;
