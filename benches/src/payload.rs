//! What is in a publication: who sent it, its number, and when it was meant to be sent.
//!
//! It is JSON, because codecs may demand that: `{"s":"cb…","p":"xxx…"}`. All that the harness reads is in the first value, at a
//! place that does not change, in digits that are always as many: a subscriber finds it without parsing.

use bytes::Bytes;

use crate::run::Stamp;

const HEAD: &[u8] = b"{\"s\":\"cb";
const MIDDLE: &[u8] = b"\",\"p\":\"";
const TAIL: &[u8] = b"\"}";
/// Hexadecimal digits of worker, channel, sequence and intended time.
const DIGITS: [usize; 4] = [4, 8, 16, 16];
const STAMP: usize = DIGITS[0] + DIGITS[1] + DIGITS[2] + DIGITS[3];

/// Bytes of the smallest payload.
pub const MIN_SIZE: usize = HEAD.len() + STAMP + MIDDLE.len() + TAIL.len();

/// What a publication says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// The worker that publishes: sequences are its own.
    pub worker: u16,
    /// The channel's index.
    pub channel: u32,
    /// Which publication of this worker in this channel, from 1.
    pub sequence: u64,
    /// When it was meant to be sent.
    pub intended: Stamp,
}

/// The payload with this label, padded to `size` bytes.
#[must_use]
pub fn write(label: &Label, size: usize) -> Bytes {
    let size = size.max(MIN_SIZE);
    let mut data = Vec::with_capacity(size);
    data.extend_from_slice(HEAD);
    let numbers = [
        label.worker.into(),
        label.channel.into(),
        label.sequence,
        label.intended.nanoseconds(),
    ];
    for (number, digits) in numbers.into_iter().zip(DIGITS) {
        hex(&mut data, number, digits);
    }
    data.extend_from_slice(MIDDLE);
    data.resize(size - TAIL.len(), b'x');
    data.extend_from_slice(TAIL);
    data.into()
}

/// The label of a payload; `None` for one that the harness did not make.
#[must_use]
pub fn read(data: &[u8]) -> Option<Label> {
    let stamp = data.strip_prefix(HEAD)?.get(..STAMP)?;
    let mut rest = stamp;
    let mut next = |digits: usize| {
        let (number, after) = rest.split_at(digits);
        rest = after;
        unhex(number)
    };
    Some(Label {
        worker: u16::try_from(next(DIGITS[0])?).ok()?,
        channel: u32::try_from(next(DIGITS[1])?).ok()?,
        sequence: next(DIGITS[2])?,
        intended: Stamp::from_nanoseconds(next(DIGITS[3])?),
    })
}

fn hex(into: &mut Vec<u8>, number: u64, digits: usize) {
    for place in (0..digits).rev() {
        into.push(b"0123456789abcdef"[usize::from(((number >> (4 * place)) & 15) as u8)]);
    }
}

fn unhex(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |number, &digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u64::from(value))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_written_is_read(worker: u16, channel: u32, sequence: u64, time: u64, size in 0_usize..300) {
            let label = Label { worker, channel, sequence, intended: Stamp::from_nanoseconds(time) };
            let data = write(&label, size);
            prop_assert_eq!(data.len(), size.max(MIN_SIZE));
            prop_assert_eq!(read(&data), Some(label));
            prop_assert!(serde_json::from_slice::<serde_json::Value>(&data).is_ok());
        }

        #[test]
        fn strangers_are_told_apart(data: Vec<u8>) {
            prop_assert_eq!(read(&data), None);
        }
    }

    #[test]
    fn a_label_that_was_cut_is_none() {
        let label = Label {
            worker: 1,
            channel: 2,
            sequence: 3,
            intended: Stamp::from_nanoseconds(4),
        };
        let data = write(&label, 0);
        for length in 0..HEAD.len() + STAMP {
            assert_eq!(read(&data[..length]), None, "{length}");
        }
        let mut wrong = data.to_vec();
        wrong[HEAD.len() + 5] = b'G';
        assert_eq!(read(&wrong), None);
    }
}
