use proptest::prelude::*;
use serde_json::{from_str, to_string};

use super::*;

#[test]
fn durations_as_people_write_them() {
    for (text, millis) in [
        ("0", 0),
        ("0s", 0),
        ("300s", 300_000),
        ("1m30s", 90_000),
        ("720h", 2_592_000_000),
        ("1.5s", 1_500),
        (".5s", 500),
        ("1.s", 1_000),
        ("100ms", 100),
        ("1h0m0s", 3_600_000),
        ("1h1h", 7_200_000),
        ("2000us", 2),
        ("2000µs", 2),
        ("2000μs", 2),
        ("3000000ns", 3),
        ("0.000000000000000000000001h", 0),
    ] {
        assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
    }
    assert_eq!(parse("0.0000000019s"), Ok(Duration::from_nanos(1)));
}

#[test]
fn durations_as_they_are_printed() {
    for (nanos, text) in [
        (0, "0s"),
        (1, "1ns"),
        (1_100, "1.1µs"),
        (2_200_000, "2.2ms"),
        (100_000_000, "100ms"),
        (1_500_000_000, "1.5s"),
        (90_000_000_000, "1m30s"),
        (3_600_000_000_000, "1h0m0s"),
        (2_592_000_000_000_000, "720h0m0s"),
        (60_000_000_001, "1m0.000000001s"),
    ] {
        assert_eq!(format(Duration::from_nanos(nanos)), text);
    }
}

#[test]
fn what_is_wrong_is_said() {
    for (text, says) in [
        ("", "empty duration"),
        ("30", "needs a unit"),
        ("1m30", "needs a unit"),
        ("-5s", "never negative"),
        ("5 s", "unknown unit \" s\""),
        ("5d", "unknown unit \"d\""),
        ("1.2.3s", "needs a unit"),
        ("s", "not a sequence"),
        (".s", "not a sequence"),
        ("soon", "not a sequence"),
        ("99999999999999999999s", "too long"),
        ("9999999999h", "too long"),
        ("5000000h5000000h", "too long"),
    ] {
        let error = parse(text).expect_err(text).to_string();
        assert!(error.contains(says), "{text:?}: {error}");
    }
}

#[test]
fn a_bare_number_in_configuration_is_refused_with_advice() {
    let error = from_str::<HumanDuration>("30").unwrap_err().to_string();
    assert!(error.contains("a duration with a unit, such as"), "{error}");
    assert!(from_str::<HumanDuration>("1.5").is_err());
    assert!(from_str::<HumanDuration>("-1").is_err());
    assert_eq!(from_str::<HumanDuration>("0").unwrap(), HumanDuration::ZERO);
    assert_eq!(
        from_str::<HumanDuration>("\"30s\"").unwrap(),
        HumanDuration::from_secs(30)
    );
    assert_eq!(to_string(&HumanDuration::from_secs(30)).unwrap(), "\"30s\"");
}

proptest! {
    #[test]
    fn what_is_printed_is_read_back(nanos in any::<u64>(), shift in 0_u32..64) {
        let duration = Duration::from_nanos(nanos >> shift);
        prop_assert_eq!(parse(&format(duration)), Ok(duration));
    }

    #[test]
    fn no_text_panics(text in "[0-9.hmsnuµ+-]{0,30}|\\PC{0,10}") {
        let _ = parse(&text);
    }
}
