//! Messages on a stream: JSON ends each with a line break, the other codecs begin each with its length.

use std::io;

use campanile_common::{Bytes, Codec};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::link::Way;

/// The first byte of a subscription's own stream, and of its datagrams.
const LANE: u8 = 0x01;

/// A stream of messages from the server.
pub(super) struct MessageStream {
    read: Box<dyn AsyncRead + Send + Unpin>,
    codec: Codec,
    buffer: Vec<u8>,
    /// Not known as long as the head of a subscription's stream has not come.
    way: Option<Way>,
}

impl MessageStream {
    /// The control stream.
    pub(super) fn control(read: impl AsyncRead + Send + Unpin + 'static, codec: Codec) -> Self {
        Self::new(read, codec, Some(Way::Control))
    }

    /// The stream of a subscription.
    pub(super) fn lane(read: impl AsyncRead + Send + Unpin + 'static, codec: Codec) -> Self {
        Self::new(read, codec, None)
    }

    fn new(read: impl AsyncRead + Send + Unpin + 'static, codec: Codec, way: Option<Way>) -> Self {
        Self {
            read: Box::new(read),
            codec,
            buffer: Vec::new(),
            way,
        }
    }

    /// The messages that have come whole, or `None` at the end of the stream.
    pub(super) async fn next(&mut self) -> io::Result<Option<(Bytes, Way)>> {
        loop {
            if self.way.is_none() {
                self.way = self.take_head()?;
            }
            if let (Some(way), Some(messages)) = (self.way, self.take_messages()) {
                return Ok(Some((messages, way)));
            }
            if self.read.read_buf(&mut self.buffer).await? == 0 {
                return match self.buffer.len() {
                    0 => Ok(None),
                    left => Err(invalid(format!("the stream ends with {left} bytes of a message"))),
                };
            }
        }
    }

    fn take_head(&mut self) -> io::Result<Option<Way>> {
        if self.buffer.first().is_some_and(|first| *first != LANE) {
            return Err(invalid(format!("a stream begins with {:?}", self.buffer)));
        }
        let Some((id, length)) = self.buffer.get(1..).and_then(varint) else {
            return Ok(None);
        };
        self.buffer.drain(..=length);
        Ok(Some(Way::Stream(id)))
    }

    fn take_messages(&mut self) -> Option<Bytes> {
        let whole = match self.codec {
            Codec::Json => self.buffer.iter().rposition(|byte| *byte == b'\n')? + 1,
            Codec::Protobuf | Codec::MessagePack => whole_messages(&self.buffer),
        };
        let left = self.buffer.split_off(whole);
        let messages = std::mem::replace(&mut self.buffer, left);
        (!messages.is_empty()).then(|| Bytes::from(messages))
    }
}

/// The message in a datagram, as it would be on a stream.
pub(super) fn in_datagram(datagram: &Bytes, codec: Codec) -> io::Result<(Bytes, Way)> {
    let parts = || {
        let rest = datagram.strip_prefix(&[LANE])?;
        let (id, length) = varint(rest)?;
        let rest = rest.get(length..)?;
        let (number, length) = varint(rest)?;
        Some((id, number, rest.get(length..)?))
    };
    let (id, number, message) = parts().ok_or_else(|| invalid(format!("a datagram is {datagram:?}")))?;
    let mut framed = Vec::new();
    if codec.is_binary() {
        framed.extend(encode_varint(message.len()));
    }
    framed.extend_from_slice(message);
    Ok((Bytes::from(framed), Way::Datagram(id, number)))
}

/// How many bytes at the front of `buffer` are whole messages.
fn whole_messages(buffer: &[u8]) -> usize {
    let mut whole = 0;
    while let Some((body, length)) = varint(&buffer[whole..]) {
        let end = usize::try_from(body)
            .ok()
            .and_then(|body| body.checked_add(whole + length));
        match end {
            Some(end) if end <= buffer.len() => whole = end,
            _ => break,
        }
    }
    whole
}

/// The number at the front of `bytes`, in groups of seven bits with the lowest first, and its length; `None` when it is not
/// whole.
fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut number = 0;
    for (index, byte) in bytes.iter().enumerate().take(10) {
        number |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((number, index + 1));
        }
    }
    None
}

/// A number in groups of seven bits, the lowest first.
pub fn encode_varint(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(number & 0x7f).expect("seven bits");
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use campanile_common::{Bytes, Codec};

    use super::super::link::Way;
    use super::{MessageStream, encode_varint, in_datagram, varint, whole_messages};

    #[test]
    fn varints_are_read_as_they_are_written() {
        for number in [0, 1, 127, 128, 300, 1 << 20, u32::MAX as usize] {
            let bytes = encode_varint(number);
            assert_eq!(varint(&bytes), Some((number as u64, bytes.len())));
            assert_eq!(varint(&bytes[..bytes.len() - 1]), None);
        }
    }

    #[test]
    fn only_whole_messages_are_cut_off() {
        assert_eq!(whole_messages(&[]), 0);
        assert_eq!(whole_messages(&[0, 2, 7, 7, 3, 1]), 4);
        assert_eq!(whole_messages(&[0xff; 12]), 0);
    }

    #[tokio::test]
    async fn a_lane_begins_with_its_id() {
        let bytes: &[u8] = &[1, 0xac, 0x02, 2, 7, 7, 1, 9];
        let mut lane = MessageStream::lane(bytes, Codec::Protobuf);
        let next = lane.next().await.expect("two messages");
        assert_eq!(
            next,
            Some((Bytes::from_static(&[2, 7, 7, 1, 9]), Way::Stream(300)))
        );
        assert_eq!(lane.next().await.expect("the end"), None);
    }

    #[tokio::test]
    async fn an_end_inside_a_message_is_an_error() {
        let mut stream = MessageStream::control(&b"{}\n{"[..], Codec::Json);
        assert!(stream.next().await.expect("a line").is_some());
        assert!(stream.next().await.is_err());
    }

    #[test]
    fn a_datagram_is_framed_as_on_a_stream() {
        let datagram = Bytes::from_static(&[1, 5, 9, 7, 7]);
        let (message, way) = in_datagram(&datagram, Codec::Protobuf).expect("a message");
        assert_eq!((&message[..], way), (&[2, 7, 7][..], Way::Datagram(5, 9)));
        assert!(in_datagram(&Bytes::from_static(&[2, 5, 9]), Codec::Json).is_err());
    }
}
