//! When a certificate is valid (X.509, RFC 5280 §4.1).
//!
//! Only as much of DER is read as leads to that one field, and what is not as expected has no answer. Clients check
//! certificates, this only tells operators when to act.

use std::time::{Duration, SystemTime};

const SEQUENCE: u8 = 0x30;
const EXPLICIT_VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// When a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Validity {
    /// The first second.
    pub(super) from: SystemTime,
    /// The last one.
    pub(super) until: SystemTime,
}

/// When the certificate `der` is valid.
pub(super) fn validity(der: &[u8]) -> Option<Validity> {
    let (certificate, _) = expect(der, SEQUENCE)?;
    let (mut fields, _) = expect(certificate, SEQUENCE)?;
    if let Some((_, rest)) = expect(fields, EXPLICIT_VERSION) {
        fields = rest;
    }
    // The serial number, the signature's algorithm, the issuer.
    for _ in 0..3 {
        (_, _, fields) = next(fields)?;
    }
    let (validity, _) = expect(fields, SEQUENCE)?;
    let (not_before, from, rest) = next(validity)?;
    let (not_after, until, _) = next(rest)?;
    Some(Validity {
        from: time(not_before, from)?,
        until: time(not_after, until)?,
    })
}

/// The first value of `input` with its tag, and what is behind it.
fn next(input: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = input.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let length = bytes
                .iter()
                .fold(0, |length, byte| length << 8 | usize::from(*byte));
            (length, rest)
        }
        _ => return None,
    };
    let (value, rest) = rest.split_at_checked(length)?;
    Some((tag, value, rest))
}

fn expect(input: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, value, rest) = next(input)?;
    (found == tag).then_some((value, rest))
}

/// `YYMMDDhhmmssZ`, where 50 and above are of the last century, or `YYYYMMDDhhmmssZ`.
fn time(tag: u8, text: &[u8]) -> Option<SystemTime> {
    let text = text.strip_suffix(b"Z")?;
    let (year, rest) = match tag {
        UTC_TIME => {
            let (year, rest) = text.split_at_checked(2)?;
            let year = number(year)?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = text.split_at_checked(4)?;
            (number(year)?, rest)
        }
        _ => return None,
    };
    let parts: Vec<u64> = rest.chunks(2).map(number).collect::<Option<_>>()?;
    let [month @ 1..=12, day @ 1..=31, hour, minute, second] = parts[..] else {
        return None;
    };
    let days = days_since_1970(year, month, day)?;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        Some(number * 10 + digit)
    })
}

/// In the Gregorian calendar, with years that begin in March, so that the leap day is the last one of its year.
fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year.checked_sub(1)?, month + 9)
    };
    let leap_days = year / 4 - year / 100 + year / 400;
    let days = 365 * year + leap_days + (153 * month + 2) / 5 + day - 1;
    // The number of days from the first of March of the year 0 to 1970.
    days.checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(tag: u8, text: &str) -> Option<u64> {
        let time = time(tag, text.as_bytes())?;
        Some(time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs())
    }

    #[test]
    fn times_are_those_that_calendars_say() {
        assert_eq!(seconds(UTC_TIME, "700101000000Z"), Some(0));
        assert_eq!(seconds(UTC_TIME, "000229000000Z"), Some(951_782_400));
        assert_eq!(seconds(UTC_TIME, "380119031408Z"), Some(1 << 31));
        assert_eq!(seconds(GENERALIZED_TIME, "20380119031408Z"), Some(1 << 31));
        assert_eq!(
            seconds(GENERALIZED_TIME, "99991231235959Z"),
            Some(253_402_300_799)
        );
    }

    #[test]
    fn what_is_no_time_has_no_answer() {
        for text in [
            "",
            "Z",
            "7001010000Z",
            "701301000000Z",
            "70010100000xZ",
            "700101000000+0100",
        ] {
            assert_eq!(seconds(UTC_TIME, text), None, "{text:?}");
        }
        assert_eq!(seconds(GENERALIZED_TIME, "00000101000000Z"), None);
    }

    #[test]
    fn what_is_cut_off_or_no_certificate_has_no_answer() {
        let der = rcgen::generate_simple_self_signed([String::from("a")])
            .unwrap()
            .cert;
        let der = der.der();
        let Validity { from, until } = validity(der).unwrap();
        assert!(from < until);
        for length in 0..der.len() {
            assert_eq!(validity(&der[..length]), None, "{length}");
        }
        assert_eq!(
            validity(b"0\x80\x00\x00"),
            None,
            "an indefinite length is not DER"
        );
    }
}
