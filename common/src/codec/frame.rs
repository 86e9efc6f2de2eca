//! Frames of any codec: the one place where the codecs are told apart.

use std::marker::PhantomData;

use bytes::Bytes;

use super::{Codec, DecodeError, json, length, messagepack, protobuf};
use crate::message::field::Object;
use crate::message::{Command, Reply};

/// A message that stands by itself in a frame.
pub trait WireMessage: prost::Message + Default + Object {}

impl WireMessage for Command {}
impl WireMessage for Reply {}

/// The commands of a frame.
pub type CommandFrames = Frames<Command>;

/// The replies of a frame.
pub type ReplyFrames = Frames<Reply>;

/// The messages of a frame, decoded as they are asked for. Ends after the first error.
#[derive(Clone, Debug)]
pub struct Frames<M> {
    codec: Codec,
    rest: Bytes,
    message: PhantomData<fn() -> M>,
}

impl<M> Frames<M> {
    pub(super) const fn new(codec: Codec, frame: Bytes) -> Self {
        Self {
            codec,
            rest: frame,
            message: PhantomData,
        }
    }
}

impl<M: WireMessage> Iterator for Frames<M> {
    type Item = Result<M, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = match self.codec {
            Codec::Json => json::take_line(&mut self.rest).map(|line| json::decode(&line)),
            Codec::Protobuf => length::take(&mut self.rest).map(|body| protobuf::decode(body?)),
            Codec::MessagePack => length::take(&mut self.rest).map(|body| messagepack::decode(&body?)),
        };
        if matches!(item, Some(Err(_))) {
            self.rest.clear();
        }
        item
    }
}

impl<M: WireMessage> std::iter::FusedIterator for Frames<M> {}

/// One message, ready to be joined with others to a frame.
pub(super) fn encode<M: WireMessage>(codec: Codec, message: &M) -> Bytes {
    match codec {
        Codec::Json => json::encode(message),
        Codec::Protobuf => protobuf::encode(message),
        Codec::MessagePack => messagepack::encode(message),
    }
}
