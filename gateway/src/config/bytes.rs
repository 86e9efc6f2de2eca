//! Numbers of bytes as people write them: `33554432`, `32MiB`, `1.5GB`.

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};
use serde::{Serialize, Serializer};

/// What may stand behind the number, the longest first, with its worth.
const UNITS: [(&str, u64); 7] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("B", 1),
];

const EXPECTED: &str = "a number of bytes, such as 33554432 or \"32MiB\"";

/// A number of bytes that reads and prints as people write it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByteCount(pub u64);

/// The text is no number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {EXPECTED}")]
pub struct NotBytes;

impl FromStr for ByteCount {
    type Err = NotBytes;

    fn from_str(text: &str) -> Result<Self, NotBytes> {
        let text = text.trim();
        // A rate may be written as one.
        let text = text.strip_suffix("/s").unwrap_or(text);
        let unit = UNITS
            .iter()
            .find_map(|(unit, worth)| Some((text.strip_suffix(unit)?, *worth)));
        let (number, worth) = unit.unwrap_or((text, 1));
        let number: f64 = number.trim().parse().map_err(|_| NotBytes)?;
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss
        )]
        // Fractions of a byte are dropped; what is out of range has been refused.
        match number * worth as f64 {
            bytes if (0.0..9e18).contains(&bytes) => Ok(Self(bytes as u64)),
            _ => Err(NotBytes),
        }
    }
}

/// In the largest unit that leaves nothing over.
impl fmt::Display for ByteCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let binary = UNITS[..3].iter().rev();
        match binary
            .copied()
            .find(|(_, worth)| self.0 != 0 && self.0.is_multiple_of(*worth))
        {
            Some((unit, worth)) => write!(f, "{}{unit}", self.0 / worth),
            None => self.0.fmt(f),
        }
    }
}

impl Serialize for ByteCount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ByteCount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberOrText;
        impl Visitor<'_> for NumberOrText {
            type Value = ByteCount;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(EXPECTED)
            }

            fn visit_u64<E: Error>(self, bytes: u64) -> Result<ByteCount, E> {
                Ok(ByteCount(bytes))
            }

            fn visit_i64<E: Error>(self, bytes: i64) -> Result<ByteCount, E> {
                let refused = |_| E::invalid_value(Unexpected::Signed(bytes), &self);
                u64::try_from(bytes).map(ByteCount).map_err(refused)
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<ByteCount, E> {
                text.parse()
                    .map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(NumberOrText)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("0", 0),
            ("33554432", 32 << 20),
            ("32MiB", 32 << 20),
            ("32 MiB/s", 32 << 20),
            ("1.5kB", 1500),
            ("2GB", 2_000_000_000),
            ("7B", 7),
        ] {
            assert_eq!(text.parse(), Ok(ByteCount(bytes)), "{text}");
        }
        for text in ["", "MiB", "-1", "32 miles", "1e400", "NaN", "inf"] {
            assert_eq!(text.parse::<ByteCount>(), Err(NotBytes), "{text}");
        }
    }

    #[test]
    fn what_is_printed_reads_the_same() {
        for (bytes, printed) in [(0, "0"), (32 << 20, "32MiB"), (1500, "1500"), (1 << 30, "1GiB")] {
            assert_eq!(ByteCount(bytes).to_string(), printed);
            assert_eq!(printed.parse(), Ok(ByteCount(bytes)));
        }
    }

    #[test]
    fn numbers_are_taken_as_well_as_texts() {
        let read = |text| serde_json::from_str::<ByteCount>(text);
        assert_eq!(read("1024").unwrap(), ByteCount(1024));
        assert_eq!(read("\"1KiB\"").unwrap(), ByteCount(1024));
        assert!(read("-1").is_err() && read("\"fast\"").is_err() && read("true").is_err());
    }
}
