//! One connection to a gateway.

use bytes::Bytes;
use campanile_common::message::{Command, Push, Reply};
use campanile_common::{Codec, ReplyFrames};
use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::Message;
use tracing::{trace, warn};

use crate::handshake::{self, Socket};
use crate::inbox::{INBOX_LIMIT, Inbox};
use crate::{Closed, OpenError, RequestError};

/// One connection to a gateway, over one WebSocket, in one codec.
///
/// Nothing happens in the background: pings are answered while something is being received, so a connection
/// that is never read is closed by the server.
pub struct Connection {
    socket: Socket,
    codec: Codec,
    /// What is left of the frame that came last.
    frame: ReplyFrames,
    inbox: Inbox,
    /// The number of the last command.
    last_id: u32,
    answers_pings: bool,
    /// Pings that came and were not answered yet.
    pongs_due: u32,
    /// Once this is there, nothing more is sent or received.
    closed: Option<Closed>,
}

impl Connection {
    /// Opens a WebSocket at `url` (`ws://…` only), in `codec`. Sends no command yet.
    pub async fn open(url: &str, codec: Codec) -> Result<Self, OpenError> {
        Self::open_with_headers(url, codec, &[]).await
    }

    /// [`Connection::open`] with more headers on the request, for example `Origin`.
    pub async fn open_with_headers(
        url: &str,
        codec: Codec,
        headers: &[(&str, &str)],
    ) -> Result<Self, OpenError> {
        let request = handshake::request(url, codec, headers)?;
        let stream = handshake::dial(&request).await?;
        Ok(Self::over(
            handshake::upgrade(request, Box::new(stream)).await?,
            codec,
        ))
    }

    pub(crate) fn over(socket: Socket, codec: Codec) -> Self {
        Self {
            socket,
            codec,
            frame: codec.decode_replies(&Bytes::new()),
            inbox: Inbox::default(),
            last_id: 0,
            answers_pings: true,
            pongs_due: 0,
            closed: None,
        }
    }

    /// The codec that was chosen when the connection was opened.
    #[must_use]
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Whether the server's pings are answered; they are unless told otherwise.
    pub fn answer_pings(&mut self, answer: bool) {
        self.answers_pings = answer;
    }

    /// Sends a command as it is, with the number that it has, and does not wait for an answer.
    pub async fn send(&mut self, command: &Command) -> Result<(), Closed> {
        let frame = self.codec.encode_command(command);
        self.send_frame(frame).await
    }

    /// Sends a frame of encoded commands, well-formed or not. In the JSON codec it must be UTF-8.
    pub async fn send_frame(&mut self, frame: Bytes) -> Result<(), Closed> {
        let message = if self.codec.is_binary() {
            Message::Binary(frame)
        } else {
            match frame.try_into() {
                Ok(text) => Message::Text(text),
                Err(_) => return Err(Closed::new(Closed::MALFORMED, "a JSON frame must be UTF-8")),
            }
        };
        self.send_raw(message).await
    }

    /// Sends any WebSocket message.
    pub async fn send_raw(&mut self, message: Message) -> Result<(), Closed> {
        if let Some(closed) = &self.closed {
            return Err(closed.clone());
        }
        self.socket
            .send(message)
            .await
            .map_err(|error| self.end(error.into()))
    }

    /// Sends a command with the next number, and waits for its reply, which may be an error reply. What comes
    /// in meanwhile waits in the inbox.
    ///
    /// If the future is dropped, the command may have been sent; its reply will then come into the inbox.
    pub async fn request(&mut self, mut command: Command) -> Result<Reply, Closed> {
        self.last_id += 1;
        let id = self.last_id;
        command.id = id;
        self.send(&command).await?;
        loop {
            let reply = self.read().await?;
            if reply.id == id {
                return Ok(reply);
            }
            self.put(reply)?;
        }
    }

    /// The oldest reply or push that was not taken yet. Cancel safe.
    pub async fn recv(&mut self) -> Result<Reply, Closed> {
        match self.inbox.take() {
            Some(reply) => Ok(reply),
            None => self.read().await,
        }
    }

    /// The oldest push that was not taken yet. Cancel safe.
    pub async fn next_push(&mut self) -> Result<Push, Closed> {
        loop {
            if let Some(push) = self.inbox.take_push() {
                return Ok(push);
            }
            let reply = self.read().await?;
            self.put(reply)?;
        }
    }

    /// Waits until the server closes the connection; what it sends before that is dropped.
    pub async fn closed(&mut self) -> Closed {
        loop {
            if let Err(closed) = self.read().await {
                return closed;
            }
        }
    }

    /// Closes the connection from this side, as a client does that is done.
    pub async fn close(mut self) -> Result<(), Closed> {
        self.socket.close(None).await.map_err(Closed::from)
    }

    /// The next reply off the wire. State that must outlive a dropped future is in `self` before each await.
    async fn read(&mut self) -> Result<Reply, Closed> {
        loop {
            self.answer_due_pings().await?;
            match self.frame.next() {
                Some(Ok(reply)) if reply.is_ping() => {
                    trace!("ping");
                    self.pongs_due += u32::from(self.answers_pings);
                }
                Some(Ok(reply)) => return Ok(reply),
                Some(Err(error)) => return Err(self.end(Closed::new(Closed::MALFORMED, error.to_string()))),
                None => self.read_frame().await?,
            }
        }
    }

    async fn read_frame(&mut self) -> Result<(), Closed> {
        if let Some(closed) = &self.closed {
            return Err(closed.clone());
        }
        let frame = match self.socket.next().await {
            Some(Ok(Message::Text(text))) => Bytes::from(text),
            Some(Ok(Message::Binary(bytes))) => bytes,
            Some(Ok(Message::Close(frame))) => return Err(self.end(frame.into())),
            // tungstenite answers WebSocket's own pings by itself.
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => return Ok(()),
            Some(Err(error)) => return Err(self.end(error.into())),
            None => return Err(self.end(Closed::new(Closed::BROKEN, "no close frame"))),
        };
        self.frame = self.codec.decode_replies(&frame);
        Ok(())
    }

    async fn answer_due_pings(&mut self) -> Result<(), Closed> {
        while self.pongs_due > 0 {
            self.send_frame(self.codec.encode_ping()).await?;
            self.pongs_due -= 1;
        }
        Ok(())
    }

    fn put(&mut self, reply: Reply) -> Result<(), Closed> {
        self.inbox.put(reply).map_err(|_| {
            warn!(limit = INBOX_LIMIT, "inbox full: connection given up");
            self.end(Closed::new(Closed::INBOX_FULL, "inbox full"))
        })
    }

    /// Notes the end. The first reason stands: what fails after a close frame fails because of it.
    fn end(&mut self, closed: Closed) -> Closed {
        self.closed.get_or_insert(closed).clone()
    }
}

/// The answer in a reply: `field` takes it out.
pub(crate) fn answer<T>(reply: Reply, field: impl FnOnce(Reply) -> Option<T>) -> Result<T, RequestError> {
    match reply.error {
        Some(error) => Err(RequestError::Refused(*error)),
        None => field(reply).ok_or(RequestError::Unexpected),
    }
}

#[cfg(test)]
mod tests;
