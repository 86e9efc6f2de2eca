//! Messages made up for tests, from the same definitions as the messages themselves: no field is forgotten.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::TestRng;

use super::{SubscribeResult, SubscriptionEntry};

/// Levels of sub-messages; only filters are deeper than that by themselves.
const DEPTH: u32 = 5;

/// A type of which an example can be made up.
pub(crate) trait Sample: Default {
    /// Makes one up, with `depth` levels of messages within it at most.
    fn sample(rng: &mut TestRng, depth: u32) -> Self;
}

/// Messages of any content.
pub(crate) fn messages<M: Sample + std::fmt::Debug>() -> impl Strategy<Value = M> {
    Just(()).prop_perturb(|(), mut rng| M::sample(&mut rng, DEPTH))
}

/// The value of a field: half of them are absent.
pub(crate) fn field<T: Sample>(rng: &mut TestRng, depth: u32) -> T {
    if depth == 0 || below(rng, 2) == 0 {
        T::default()
    } else {
        T::sample(rng, depth - 1)
    }
}

fn below(rng: &mut TestRng, bound: u32) -> u32 {
    rng.next_u32() % bound
}

/// A number of any magnitude: as likely with few bits as with many.
fn bits(rng: &mut TestRng) -> u64 {
    rng.next_u64() >> below(rng, 64)
}

impl Sample for bool {
    fn sample(_: &mut TestRng, _: u32) -> Self {
        true
    }
}

impl Sample for u64 {
    fn sample(rng: &mut TestRng, _: u32) -> Self {
        bits(rng)
    }
}

impl Sample for i64 {
    fn sample(rng: &mut TestRng, _: u32) -> Self {
        let magnitude = bits(rng).cast_signed();
        if below(rng, 2) == 0 {
            magnitude
        } else {
            magnitude.wrapping_neg()
        }
    }
}

impl Sample for u32 {
    fn sample(rng: &mut TestRng, _: u32) -> Self {
        rng.next_u32() >> below(rng, 32)
    }
}

impl Sample for i32 {
    fn sample(rng: &mut TestRng, _: u32) -> Self {
        u32::sample(rng, 0).cast_signed()
    }
}

impl Sample for String {
    fn sample(rng: &mut TestRng, _: u32) -> Self {
        const ALPHABET: [char; 12] = [
            'a',
            'Z',
            '0',
            ':',
            '#',
            '"',
            '\\',
            '\n',
            '\u{0}',
            'ß',
            '\u{2028}',
            '\u{1f514}',
        ];
        (0..below(rng, 12))
            .map(|_| ALPHABET[below(rng, 12) as usize])
            .collect()
    }
}

/// Payloads that are JSON on one line, which all codecs carry unchanged.
impl Sample for Bytes {
    fn sample(rng: &mut TestRng, _: u32) -> Self {
        const PAYLOADS: [&str; 8] = [
            "null",
            "{}",
            r#""text \n \u0000 🔔""#,
            r#"{"b": 1, "a":  [true,false] , "a": 1e400}"#,
            "[[[[1]]]]",
            "123456789012345678901234567890.0",
            "-0",
            "\"\"",
        ];
        Bytes::from_static(PAYLOADS[below(rng, 8) as usize].as_bytes())
    }
}

impl<T: Sample> Sample for Box<T> {
    fn sample(rng: &mut TestRng, depth: u32) -> Self {
        Box::new(T::sample(rng, depth))
    }
}

impl<T: Sample> Sample for Option<T> {
    fn sample(rng: &mut TestRng, depth: u32) -> Self {
        Some(T::sample(rng, depth))
    }
}

impl<T: Sample> Sample for Vec<T> {
    fn sample(rng: &mut TestRng, depth: u32) -> Self {
        (0..below(rng, 4)).map(|_| T::sample(rng, depth)).collect()
    }
}

impl Sample for SubscriptionEntry {
    fn sample(rng: &mut TestRng, depth: u32) -> Self {
        Self::new(String::sample(rng, 0), SubscribeResult::sample(rng, depth))
    }
}

impl<T: Sample> Sample for BTreeMap<String, T> {
    fn sample(rng: &mut TestRng, depth: u32) -> Self {
        (0..below(rng, 4))
            .map(|_| (String::sample(rng, 0), T::sample(rng, depth)))
            .collect()
    }
}
