use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, proptest};

use super::Histogram;

fn histogram(nanoseconds: &[u64]) -> Histogram {
    let mut histogram = Histogram::default();
    for value in nanoseconds {
        histogram.record(Duration::from_nanos(*value));
    }
    histogram
}

/// From nothing to hours, each order of magnitude as often as the others.
fn durations() -> impl Strategy<Value = Vec<u64>> {
    vec(
        (any::<u64>(), 0..64_u32).prop_map(|(value, shift)| value >> shift),
        0..200,
    )
}

proptest! {
    #[test]
    fn what_two_workers_counted_is_merged_as_if_one_had(left in durations(), right in durations()) {
        let mut merged = histogram(&left);
        merged.merge(&histogram(&right));
        let all: Vec<u64> = left.iter().chain(&right).copied().collect();
        prop_assert_eq!(merged, histogram(&all));
    }

    #[test]
    fn a_histogram_comes_back_from_json_as_it_was(values in durations()) {
        let sent = histogram(&values);
        let text = serde_json::to_string(&sent)?;
        let received: Histogram = serde_json::from_str(&text)?;
        prop_assert_eq!(&received, &sent);
        prop_assert_eq!(received.max(), sent.max());
        prop_assert_eq!(received.beyond(), sent.beyond());
    }

    #[test]
    fn a_quantile_is_within_three_digits_of_the_value_at_its_rank(
        mut values in vec(2_000_000..super::LONGEST, 1..200),
        share in 0.0..=1.0,
    ) {
        let told = histogram(&values).quantile(share).as_secs_f64() * 1e9;
        values.sort_unstable();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let rank = ((share * values.len() as f64).ceil() as usize).clamp(1, values.len());
        // The rank is itself rounded, so either neighbour will do.
        let near = |rank: usize| values.get(rank.saturating_sub(1)).is_some_and(|value| {
            #[expect(clippy::cast_precision_loss)]
            let value = *value as f64;
            (told - value).abs() <= value / 1000.0
        });
        prop_assert!(near(rank) || near(rank + 1) || near(rank - 1), "{told}");
    }

    #[test]
    fn a_curve_rises_to_the_longest(values in vec(any::<u64>(), 1..200)) {
        let histogram = histogram(&values);
        let curve = histogram.curve();
        prop_assert!(curve.is_sorted_by(|one, next| one.0 < next.0 && one.1 <= next.1));
        prop_assert_eq!(curve.last(), Some(&(1.0, histogram.max())));
    }
}

#[test]
fn nothing_counted_is_zero_everywhere() {
    let empty = Histogram::default();
    assert_eq!(empty.quantile(0.99), Duration::ZERO);
    assert_eq!(empty.max(), Duration::ZERO);
    assert!(empty.curve().is_empty());
}

#[test]
fn what_takes_longer_than_five_minutes_is_counted_and_its_length_kept() {
    let hours = Duration::from_secs(7200);
    let histogram = histogram(&[1_000, 7_200_000_000_000]);
    assert_eq!(histogram.len(), 2);
    assert_eq!(histogram.beyond(), 1);
    assert_eq!(histogram.max(), hours);
    let median = histogram.quantile(0.5);
    assert!(median < Duration::from_micros(2), "{median:?}");
}

#[test]
fn a_histogram_whose_buckets_are_incomplete_is_refused() {
    let text = r#"{"count":3,"max_ns":5000,"beyond":0,"buckets":[[5000,2]]}"#;
    let error = serde_json::from_str::<Histogram>(text).unwrap_err();
    assert!(error.to_string().contains("hold 2 values and not 3"), "{error}");
}
