//! What a copied part holds as far as all shards agree, and when a copy may be continued. Pure.

use std::time::Duration;

use bytes::Bytes;
use campanile_common::{Epoch, Offset, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::ShardError;

/// A stream that was copied may be continued as long as its copy expires no sooner than this: the copy's end is on the
/// other server's way, and what expired there is not seen here. A stream that lives shorter is copied anew each time.
pub(crate) const EXPIRY_MARGIN: Duration = Duration::from_secs(5);

/// Some of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StreamPart {
    /// The copy's last entry, after which these follow; `None`: whatever the copy holds is dropped first.
    pub(crate) after: Option<Offset>,
    /// Offsets and envelopes, in order.
    pub(crate) entries: Vec<(Offset, Bytes)>,
    /// In the last part.
    pub(crate) end: Option<StreamEnd>,
}

/// How a stream is when it has been copied to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StreamEnd {
    /// How many entries it has: older ones are trimmed.
    pub(crate) length: u64,
    /// When it expires, if ever.
    pub(crate) due: Option<Timestamp>,
}

/// Some of a channel's presence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MembersPart {
    /// Whatever the copy holds is dropped first.
    pub(crate) anew: bool,
    /// Who, in any order.
    pub(crate) members: Vec<MemberCopy>,
    /// Not before this does the channel's presence as a whole expire, if ever.
    pub(crate) due: Option<Timestamp>,
}

/// One client's presence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MemberCopy {
    pub(crate) client: String,
    pub(crate) envelope: Bytes,
    pub(crate) due: Timestamp,
}

/// How far a stream has been copied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StreamMark {
    /// The stream's epoch then: offsets of another one say nothing.
    pub(crate) epoch: Epoch,
    /// The last entry copied.
    pub(crate) last: Offset,
    /// When the copy expires. A copy that is not complete does not.
    pub(crate) due: Option<Timestamp>,
}

impl StreamMark {
    /// Whether a copy that got this far may be continued from a stream of `epoch` whose first entry is `first`.
    pub(crate) fn continues(&self, now: Timestamp, epoch: &Epoch, first: Offset) -> bool {
        let lives = self.due.is_none_or(|due| due > now + EXPIRY_MARGIN);
        // Nothing that is in both needs no continuing either, and would leave a gap.
        lives && self.epoch == *epoch && first <= self.last.next()
    }
}

/// As bytes that nobody on the way looks into.
pub(crate) fn encode(value: &impl Serialize) -> Bytes {
    rmp_serde::to_vec(value)
        .expect("strings, bytes and numbers always encode")
        .into()
}

/// The inverse of [`encode`].
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ShardError> {
    rmp_serde::from_slice(bytes).map_err(|_| ShardError::Malformed("a part of a copy".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_000);

    fn mark(due: Option<u64>) -> StreamMark {
        StreamMark {
            epoch: Epoch::new("e1"),
            last: Offset(10),
            due: due.map(Timestamp::from_secs),
        }
    }

    #[test]
    fn only_the_same_epoch_without_a_gap_is_continued() {
        let e1 = Epoch::new("e1");
        assert!(mark(None).continues(NOW, &e1, Offset(1)));
        assert!(mark(None).continues(NOW, &e1, Offset(11)));
        assert!(!mark(None).continues(NOW, &e1, Offset(12)));
        assert!(!mark(None).continues(NOW, &Epoch::new("e2"), Offset(1)));
    }

    #[test]
    fn a_copy_that_may_expire_meanwhile_is_not_continued() {
        let e1 = Epoch::new("e1");
        assert!(mark(Some(1_006)).continues(NOW, &e1, Offset(1)));
        assert!(!mark(Some(1_005)).continues(NOW, &e1, Offset(1)));
        assert!(!mark(Some(900)).continues(NOW, &e1, Offset(1)));
    }

    #[test]
    fn parts_are_read_back() {
        let part = StreamPart {
            after: Some(Offset(3)),
            entries: vec![(Offset(4), Bytes::from_static(&[0, 255]))],
            end: Some(StreamEnd {
                length: 4,
                due: Some(NOW),
            }),
        };
        assert_eq!(decode::<StreamPart>(&encode(&part)).unwrap(), part);
        assert!(matches!(
            decode::<StreamPart>(b"\xc1"),
            Err(ShardError::Malformed(_))
        ));
    }
}
