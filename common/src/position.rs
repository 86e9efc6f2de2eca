//! Where in a stream: epoch, offset, and the two together.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The number of a publication within one epoch of its stream: dense, growing, the first is 1.
///
/// [`Offset::ZERO`] is the position of a stream that has no publication yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Offset(pub u64);

impl Offset {
    /// Before the first publication.
    pub const ZERO: Self = Self(0);

    /// The plain number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The offset that follows. Saturates: 2⁶⁴ publications are out of any stream's reach, but a
    /// client may claim to have seen them.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<u64> for Offset {
    fn from(offset: u64) -> Self {
        Self(offset)
    }
}

/// The name of one incarnation of a stream. Offsets of different epochs have nothing to do with each other.
///
/// Cloning shares the text. Clients are given an epoch as an opaque string and hand it back.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(Arc<str>);

impl Epoch {
    /// The epoch of that name.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The name as it goes over the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether no epoch is named: what a client that has never seen the stream sends.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Default for Epoch {
    fn default() -> Self {
        Self::new("")
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for Epoch {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

impl From<String> for Epoch {
    fn from(name: String) -> Self {
        Self::new(name)
    }
}

/// A place in a stream: all of `epoch` up to and including `offset` lies before it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Position {
    /// The incarnation of the stream that `offset` counts in.
    pub epoch: Epoch,
    /// The last publication before this position.
    pub offset: Offset,
}

impl Position {
    /// The position after publication `offset` of `epoch`.
    #[must_use]
    pub const fn new(epoch: Epoch, offset: Offset) -> Self {
        Self { epoch, offset }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.epoch, self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_reads_epoch_then_offset() {
        assert_eq!(Position::new("kTbq".into(), Offset(7)).to_string(), "kTbq:7");
    }

    #[test]
    fn the_last_offset_has_no_successor() {
        assert_eq!(Offset::ZERO.next(), Offset(1));
        assert_eq!(Offset(u64::MAX).next(), Offset(u64::MAX));
    }

    #[test]
    fn positions_keep_all_64_bits_in_json() {
        let position = Position::new("e".into(), Offset(u64::MAX));
        let json = serde_json::to_string(&position).unwrap();
        assert_eq!(json, r#"{"epoch":"e","offset":18446744073709551615}"#);
        assert_eq!(serde_json::from_str::<Position>(&json).unwrap(), position);
    }
}
