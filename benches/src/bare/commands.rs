//! The answers to a client's commands.

use std::rc::Rc;

use bytes::Bytes;
use campanile_common::ErrorCode;
use campanile_common::message::{
    ConnectResult, PublishResult, Reply, Request, SubscribeResult, UnsubscribeResult,
};

use super::frame;
use super::rooms::Rooms;
use super::socket::Socket;

/// A client and the channels that it has joined.
pub(super) struct Client {
    socket: Rc<Socket>,
    rooms: Rc<Rooms>,
    channels: Vec<String>,
}

impl Client {
    pub(super) fn new(socket: Rc<Socket>, rooms: Rc<Rooms>) -> Self {
        Self {
            socket,
            rooms,
            channels: Vec::new(),
        }
    }

    /// Answers the commands of one message.
    pub(super) fn handle(&mut self, message: &Bytes) {
        for command in self.socket.codec.decode_commands(message) {
            let Ok(Ok((id, Some(request)))) = command.map(|command| command.into_request()) else {
                continue;
            };
            if let Some(reply) = self.answer(id, request) {
                self.reply(&reply);
            }
        }
    }

    fn answer(&mut self, id: u32, request: Request) -> Option<Reply> {
        Some(match request {
            Request::Connect(_) => Reply::answer(
                id,
                ConnectResult {
                    client: "bare".into(),
                    version: "bare".into(),
                    ..ConnectResult::default()
                },
            ),
            Request::Subscribe(_) if self.rooms.is_busy() => Reply::error(id, ErrorCode::TooManyRequests),
            Request::Subscribe(request) => {
                // The reply goes before everything that the subscription brings.
                self.reply(&Reply::answer(id, SubscribeResult::default()));
                self.rooms.join(&request.channel, &self.socket);
                self.channels.push(request.channel);
                return None;
            }
            Request::Unsubscribe(request) => {
                self.rooms.leave(&[request.channel], &self.socket);
                Reply::answer(id, UnsubscribeResult {})
            }
            Request::Publish(_) if !self.rooms.accepts() => Reply::error(id, ErrorCode::PermissionDenied),
            Request::Publish(request) => {
                self.rooms.publish(&request.channel, request.data);
                Reply::answer(id, PublishResult {})
            }
            _ => Reply::error(id, ErrorCode::NotAvailable),
        })
    }

    fn reply(&self, reply: &Reply) {
        let codec = self.socket.codec;
        self.socket
            .send(&frame::message(codec, &[codec.encode_reply(reply)]));
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.rooms.leave(&self.channels, &self.socket);
    }
}
