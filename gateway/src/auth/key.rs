//! Comparing secrets.

use subtle::ConstantTimeEq;

/// Whether a presented API key is the configured one. Takes a time that does not depend on where they differ, so
/// that a key cannot be guessed byte by byte; its length may show. An empty configured key matches nothing.
#[must_use]
pub fn keys_match(configured: &[u8], presented: &[u8]) -> bool {
    !configured.is_empty() && bool::from(configured.ct_eq(presented))
}
