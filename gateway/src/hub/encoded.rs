//! One push in each of the codecs, encoded when the first receiver asks for it.

use bytes::Bytes;
use campanile_common::Codec;
use campanile_common::message::{Push, Reply};
use metrics::Counter;

/// A push that is encoded at most once per codec, whatever the number of receivers.
pub struct Encoded<'a> {
    message: &'a dyn Fn() -> Push,
    counters: Option<&'a EncodedCounters>,
    bytes: [Option<Bytes>; Codec::ALL.len()],
}

impl<'a> Encoded<'a> {
    /// The push that `message` makes. Publications are counted.
    pub fn new(message: &'a dyn Fn() -> Push, counters: Option<&'a EncodedCounters>) -> Self {
        Self {
            message,
            counters,
            bytes: [const { None }; Codec::ALL.len()],
        }
    }

    /// Its bytes in `codec`.
    pub fn get(&mut self, codec: Codec) -> Bytes {
        let encode = || {
            if let Some(counters) = self.counters {
                counters.0[codec.index()].increment(1);
            }
            codec.encode_reply(&Reply::push((self.message)()))
        };
        self.bytes[codec.index()].get_or_insert_with(encode).clone()
    }
}

/// How many publications were encoded, per codec: `campanile_publications_encoded_total`.
#[derive(Clone, Debug)]
pub struct EncodedCounters([Counter; Codec::ALL.len()]);

impl EncodedCounters {
    /// The counters of the installed recorder.
    #[must_use]
    pub fn register() -> Self {
        const NAME: &str = "campanile_publications_encoded_total";
        metrics::describe_counter!(
            NAME,
            "Publications encoded for subscribers: once per codec in use."
        );
        Self(Codec::ALL.map(|codec| metrics::counter!(NAME, "codec" => codec.label())))
    }
}
