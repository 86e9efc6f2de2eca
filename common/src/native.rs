//! The bytes of the native protocol over QUIC that are not messages: what a client begins with, and what stands in
//! front of the messages of one subscription.

use bytes::Bytes;

use crate::Codec;

/// The protocol's name in the TLS handshake. An incompatible successor has another one.
pub const ALPN: &[u8] = b"campanile/1";

/// The first byte of a stream that carries the pushes of one subscription. The subscription's number follows.
pub const LANE: u8 = 0x01;

/// The first byte of a datagram that carries one push of a subscription. The subscription's number and the datagram's
/// follow, and the message itself, without length or line break.
pub const DATAGRAM: u8 = 0x01;

/// The bytes of the longest varint.
pub const MAX_VARINT: usize = 10;

/// What a client's stream begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preface {
    /// The codec of all that follows.
    pub codec: Codec,
    /// The client takes pushes of subscriptions on streams of their own.
    pub lanes: bool,
    /// The client takes pushes in datagrams.
    pub datagrams: bool,
}

impl Preface {
    /// The bytes on the wire.
    pub const LENGTH: usize = 2;

    const LANES: u8 = 0x01;
    const DATAGRAMS: u8 = 0x02;

    /// As bytes.
    #[must_use]
    pub const fn encode(self) -> [u8; Self::LENGTH] {
        let codec = match self.codec {
            Codec::Json => 1,
            Codec::Protobuf => 2,
            Codec::MessagePack => 3,
        };
        let mut flags = 0;
        if self.lanes {
            flags |= Self::LANES;
        }
        if self.datagrams {
            flags |= Self::DATAGRAMS;
        }
        [codec, flags]
    }

    /// From bytes, unless the codec is none that there is. Unknown flags are ignored.
    #[must_use]
    pub const fn decode([codec, flags]: [u8; Self::LENGTH]) -> Option<Self> {
        let codec = match codec {
            1 => Codec::Json,
            2 => Codec::Protobuf,
            3 => Codec::MessagePack,
            _ => return None,
        };
        Some(Self {
            codec,
            lanes: flags & Self::LANES != 0,
            datagrams: flags & Self::DATAGRAMS != 0,
        })
    }
}

/// What stands in front of the pushes on the stream of subscription `id`.
#[must_use]
pub fn lane_header(id: u64) -> Vec<u8> {
    let mut header = vec![LANE];
    put_varint(&mut header, id);
    header
}

/// What stands in front of the push in datagram `sequence` of subscription `id`.
#[must_use]
pub fn datagram_header(id: u64, sequence: u64) -> Vec<u8> {
    let mut header = vec![DATAGRAM];
    put_varint(&mut header, id);
    put_varint(&mut header, sequence);
    header
}

/// A datagram's parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// The subscription's number.
    pub id: u64,
    /// Counts the datagrams of the subscription, from 1.
    pub sequence: u64,
    /// One push.
    pub message: Bytes,
}

impl Datagram {
    /// Takes a datagram apart; `None` if it is not one of those that this protocol knows.
    #[must_use]
    pub fn decode(datagram: &Bytes) -> Option<Self> {
        let (&DATAGRAM, mut rest) = datagram.split_first()? else {
            return None;
        };
        let id = take_varint(&mut rest).ok()??;
        let sequence = take_varint(&mut rest).ok()??;
        Some(Self {
            id,
            sequence,
            message: datagram.slice_ref(rest),
        })
    }
}

/// A varint is longer than 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a number is malformed")]
pub struct Overlong;

/// Cuts a varint off the front of `bytes`; `None`: it goes on beyond them.
pub fn take_varint(bytes: &mut &[u8]) -> Result<Option<u64>, Overlong> {
    let mut value = 0;
    for (index, &byte) in bytes.iter().take(MAX_VARINT).enumerate() {
        // The tenth byte has room for one bit.
        if index == MAX_VARINT - 1 && byte > 1 {
            return Err(Overlong);
        }
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            *bytes = &bytes[index + 1..];
            return Ok(Some(value));
        }
    }
    Ok(None)
}

/// Appends a varint.
pub fn put_varint(buffer: &mut Vec<u8>, value: u64) {
    prost::encoding::encode_varint(value, buffer);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefaces_are_as_written() {
        let preface = Preface {
            codec: Codec::Protobuf,
            lanes: true,
            datagrams: false,
        };
        assert_eq!(preface.encode(), [2, 1]);
        assert_eq!(
            Preface::decode([2, 0xfd]),
            Some(preface),
            "unknown flags are ignored"
        );
        assert_eq!(Preface::decode([4, 0]), None);
        for codec in Codec::ALL {
            for (lanes, datagrams) in [(false, false), (false, true), (true, false), (true, true)] {
                let preface = Preface {
                    codec,
                    lanes,
                    datagrams,
                };
                assert_eq!(Preface::decode(preface.encode()), Some(preface));
            }
        }
    }

    #[test]
    fn headers_are_as_written() {
        assert_eq!(lane_header(300), [1, 0xac, 2]);
        assert_eq!(datagram_header(5, 300), [1, 5, 0xac, 2]);
        let datagram = Bytes::from([&datagram_header(5, 300)[..], b"{}"].concat());
        let parts = Datagram {
            id: 5,
            sequence: 300,
            message: Bytes::from_static(b"{}"),
        };
        assert_eq!(Datagram::decode(&datagram), Some(parts));
    }

    #[test]
    fn numbers_of_all_sizes_survive() {
        for value in [0, 1, 127, 128, 1 << 35, u64::MAX] {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            bytes.push(9);
            let mut rest = &bytes[..];
            assert_eq!(take_varint(&mut rest), Ok(Some(value)));
            assert_eq!(rest, [9]);
            let mut cut = &bytes[..bytes.len() - 2];
            assert_eq!(take_varint(&mut cut), Ok(None));
        }
        assert_eq!(take_varint(&mut &[0xff; 10][..]), Err(Overlong));
    }

    #[test]
    fn what_is_no_datagram_is_none() {
        for bytes in [&[][..], &[2, 1, 1], &[1], &[1, 1], &[1, 0x80], &[1, 1, 0xff]] {
            assert_eq!(Datagram::decode(&Bytes::copy_from_slice(bytes)), None);
        }
        assert_eq!(
            Datagram::decode(&Bytes::from_static(&[1; 3])).unwrap().message,
            ""
        );
    }
}
