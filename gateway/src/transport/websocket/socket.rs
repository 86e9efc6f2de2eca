//! A WebSocket connection as a [`Transport`].

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use campanile_common::Disconnect;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};

use super::decoder::{Decoder, Event};
use super::frame::{self, Opcode};
use super::writer::Writer;
use crate::config::WebSocketOptions;
use crate::transport::{End, Farewell, Transport, Violation, scratch};

/// How long a client that was told goodbye may take to answer before the connection is dropped.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

/// The code of an ordinary end, for a client that gave none.
const NORMAL: u16 = 1000;

/// The code for a breach of rules that are not WebSocket's.
const PROTOCOL_ERROR: u16 = 1002;

/// The server's end of a WebSocket connection, after the handshake.
#[derive(Debug)]
pub struct WebSocket<S> {
    stream: S,
    decoder: Decoder,
    /// What was read behind the message that was last returned. Empty, and holding nothing, most of the time.
    unread: Bytes,
    writer: Writer,
    /// The answer to the last ping, until it is sent. Only the last one needs one (RFC 6455 §5.5.3).
    pong: Option<Bytes>,
    /// Whether messages are sent as binary, not as text.
    binary: bool,
    /// The code of the client's close frame.
    client_code: Option<u16>,
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> WebSocket<S> {
    /// Takes over `stream`, of which `unread` was read already.
    pub fn new(stream: S, unread: Bytes, binary: bool, options: &WebSocketOptions) -> Self {
        Self {
            stream,
            decoder: Decoder::new(options.message_size_limit),
            unread,
            writer: Writer::new(options.write_timeout),
            pong: None,
            binary,
            client_code: None,
        }
    }

    /// Goes through `input` up to the end of the next message.
    fn decode(&mut self, input: &mut &[u8]) -> Result<Option<Bytes>, End> {
        while let Some(event) = self.decoder.next(input).map_err(violation)? {
            match event {
                Event::Message(message) => return Ok(Some(message)),
                Event::Ping(payload) => self.pong = Some(frame::control(Opcode::Pong, &payload)),
                Event::Close(code) => {
                    self.client_code = code;
                    return Err(End::Closed);
                }
            }
        }
        Ok(None)
    }

    /// Goes through what was read earlier.
    fn decode_unread(&mut self) -> Result<Option<Bytes>, End> {
        if self.unread.is_empty() {
            return Ok(None);
        }
        let unread = std::mem::take(&mut self.unread);
        let mut input = &unread[..];
        let message = self.decode(&mut input)?;
        let rest = input.len();
        if rest > 0 {
            self.unread = unread;
            self.unread.advance(self.unread.len() - rest);
        }
        Ok(message)
    }

    /// Reads once and goes through it.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, End>> {
        scratch::with(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer)).map_err(End::of_error)?;
            let mut input = buffer.filled();
            if input.is_empty() {
                return Poll::Ready(Err(End::Gone(None)));
            }
            let message = self.decode(&mut input)?;
            self.unread = Bytes::copy_from_slice(input);
            Poll::Ready(Ok(message))
        })
    }

    /// Tells the client why, listens as long as it makes sense, and ends the stream as its kind wants it.
    async fn leave(&mut self, farewell: Farewell) -> Result<(), End> {
        match farewell {
            Farewell::Nothing => return Ok(()),
            Farewell::Echo => {
                self.say_goodbye(self.client_code.unwrap_or(NORMAL), "").await?;
            }
            Farewell::Disconnect(Disconnect { code, reason }) => {
                self.say_goodbye(close_code(code), &reason).await?;
                self.await_goodbye().await;
            }
            Farewell::Violation(violation) => {
                self.say_goodbye(violation_code(violation), &violation.to_string())
                    .await?;
                self.drain().await;
            }
        }
        self.stream.shutdown().await.map_err(End::of_error)
    }

    /// Sends a close frame.
    async fn say_goodbye(&mut self, code: u16, reason: &str) -> Result<(), End> {
        poll_fn(|cx| Transport::poll_flush(self, cx)).await?;
        self.writer.control(frame::close(code, reason));
        poll_fn(|cx| Transport::poll_flush(self, cx)).await
    }

    /// Waits until the client has said goodbye as well, or has gone without.
    async fn await_goodbye(&mut self) {
        while poll_fn(|cx| self.poll_recv(cx)).await.is_ok() {}
    }

    /// Reads without looking until the client has closed, so that closing does not cut off what it has yet to read.
    async fn drain(&mut self) {
        while let Ok(1..) = poll_fn(|cx| self.poll_discard(cx)).await {}
    }

    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<usize>> {
        scratch::with(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
            Poll::Ready(Ok(buffer.filled().len()))
        })
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Transport for WebSocket<S> {
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, End>> {
        if let Some(message) = self.decode_unread()? {
            return Poll::Ready(Ok(message));
        }
        loop {
            if let Some(message) = ready!(self.poll_read(cx))? {
                return Poll::Ready(Ok(message));
            }
        }
    }

    fn start_send(&mut self, cx: &mut Context<'_>, batch: &mut Vec<Bytes>) -> Result<(), End> {
        let opcode = if self.binary { Opcode::Binary } else { Opcode::Text };
        if let Some(last) = batch
            .last_mut()
            .filter(|last| !self.binary && last.ends_with(b"\n"))
        {
            // A message of text ends by itself; SDKs split it at its line breaks and want no empty line.
            last.truncate(last.len() - 1);
        }
        self.writer
            .message(&mut self.stream, cx, opcode, batch)
            .map_err(End::of_error)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        loop {
            ready!(self.writer.poll_flush(&mut self.stream, cx)).map_err(End::of_error)?;
            match self.pong.take() {
                Some(pong) => self.writer.control(pong),
                None => return Poll::Ready(Ok(())),
            }
        }
    }

    async fn close(mut self, farewell: Farewell) {
        match tokio::time::timeout(CLOSE_WAIT, self.leave(farewell)).await {
            Ok(Ok(())) => {}
            Ok(Err(end)) => tracing::trace!(%end, "a client was gone before its goodbye"),
            Err(_) => tracing::trace!("a client did not answer its goodbye"),
        }
    }
}

fn violation(violation: super::Violation) -> End {
    End::Violation(violation.into())
}

/// The code of a close frame that answers a breach.
const fn violation_code(violation: Violation) -> u16 {
    match violation {
        Violation::WebSocket(violation) => violation.close_code(),
        Violation::Stream(_) => PROTOCOL_ERROR,
    }
}

/// The code of a close frame for a code of the protocol. Applications choose from 4000 to 4999; what does not fit
/// in a close frame could not be told at all.
fn close_code(code: u32) -> u16 {
    const CLOSED: u16 = 3000;
    u16::try_from(code)
        .ok()
        .filter(|code| (3000..=4999).contains(code))
        .unwrap_or(CLOSED)
}

#[cfg(test)]
mod tests;
