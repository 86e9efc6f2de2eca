//! An open connection of the native protocol.

use std::collections::VecDeque;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use campanile_common::message::Reply;
use campanile_common::{Codec, ReplyFrames};
use quinn::{Connection, ConnectionError, SendStream, WriteError};
use tokio::time::{Sleep, sleep};

use super::datagrams::Datagrams;
use super::frames::{FrameReader, Hoard, StreamEnd};
use super::goodbye;
use super::handshake::Established;
use super::lanes::Lanes;
use super::stats::Counters;
use crate::Closed;
use crate::transport::{Incoming, Transport, TransportKind};

/// Bytes of commands that wait to be handed to the network before there is no room for more.
const ROOM: usize = 64 * 1024;

/// How long after the end of its stream a server may take to say why: longer than it waits itself for a client that does
/// not confirm what was sent.
const FAREWELL: Duration = Duration::from_secs(5);

/// Rounds in which nothing comes out of what came in, before other tasks have their turn.
const ROUNDS: usize = 64;

/// A connection: commands go out on the control stream; replies come in there, and pushes there, on streams of
/// subscriptions and in datagrams, which are read in turns.
pub(super) struct QuicTransport {
    connection: Connection,
    codec: Codec,
    outgoing: Outgoing,
    control: FrameReader,
    lanes: Lanes,
    datagrams: Datagrams,
    /// The place in [`Source::ALL`] of the source that is looked at first.
    turn: usize,
    /// Whether nothing more comes on the control stream, and whether no more datagrams do.
    control_over: bool,
    datagrams_over: bool,
    /// What is left of the messages that came last, and where they came from.
    frame: Option<(Origin, ReplyFrames)>,
    /// Why the connection ended. What had come by then is handed on before that.
    lost: Option<Closed>,
    /// Runs while the server ends the connection.
    farewell: Option<Pin<Box<Sleep>>>,
}

/// Where messages come from.
#[derive(Clone, Copy)]
enum Origin {
    Control,
    Lane(u64),
}

/// What a source brings.
enum Arrival {
    Frame(Origin, ReplyFrames),
    Push(Incoming),
}

/// Where arrivals come from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Control,
    Lanes,
    Datagrams,
}

impl Source {
    const ALL: [Self; 3] = [Self::Control, Self::Lanes, Self::Datagrams];
}

/// The way out.
enum Outgoing {
    Open {
        send: SendStream,
        unsent: VecDeque<Bytes>,
        bytes: usize,
    },
    /// The server takes no more: it is ending the connection.
    Deaf,
    /// The goodbye is being said.
    Closing(Pin<Box<dyn Future<Output = ()> + Send>>),
    Closed,
}

impl QuicTransport {
    pub(super) fn new(
        established: Established,
        codec: Codec,
        message_limit: usize,
        counters: Arc<Counters>,
    ) -> Self {
        let Established {
            connection,
            send,
            recv,
            unsent,
        } = established;
        let hoard = Hoard::new(message_limit);
        Self {
            codec,
            outgoing: Outgoing::Open {
                send,
                bytes: unsent.iter().map(Bytes::len).sum(),
                unsent: unsent.into(),
            },
            lanes: Lanes::new(connection.clone(), codec, hoard.share(), counters.clone()),
            datagrams: Datagrams::new(connection.clone(), codec, counters),
            control: FrameReader::new(recv, codec, hoard),
            connection,
            turn: 0,
            control_over: false,
            datagrams_over: false,
            frame: None,
            lost: None,
            farewell: None,
        }
    }

    /// The next of the messages that came last.
    fn take(&mut self) -> Option<Result<Incoming, Closed>> {
        let (origin, frame) = self.frame.as_mut()?;
        let origin = *origin;
        match frame.next() {
            Some(Ok(reply)) => Some(incoming(origin, reply)),
            Some(Err(error)) => Some(Err(breach(&error))),
            None => {
                self.frame = None;
                None
            }
        }
    }

    /// What comes next, from whichever source; each is looked at in turns.
    fn poll_arrival(&mut self, cx: &mut Context<'_>) -> Poll<Result<Arrival, Closed>> {
        for place in self.turn..self.turn + Source::ALL.len() {
            let source = Source::ALL[place % Source::ALL.len()];
            while let Poll::Ready(arrival) = self.poll_source(source, cx) {
                match arrival {
                    Ok(arrival) => {
                        self.turn = (place + 1) % Source::ALL.len();
                        return Poll::Ready(Ok(arrival));
                    }
                    Err(StreamEnd::Breach(closed)) => return Poll::Ready(Err(closed)),
                    Err(StreamEnd::Lost(closed)) => {
                        self.lost.get_or_insert(closed);
                        self.end_of(source);
                    }
                    Err(StreamEnd::Finished) => {
                        self.end_of(source);
                        self.expect_farewell();
                    }
                }
            }
        }
        self.poll_end(cx).map(Err)
    }

    /// What one source has.
    fn poll_source(&mut self, source: Source, cx: &mut Context<'_>) -> Poll<Result<Arrival, StreamEnd>> {
        match source {
            Source::Control if self.control_over => Poll::Pending,
            Source::Control => {
                let frame = self.control.poll_frame(cx);
                frame.map_ok(|frame| Arrival::Frame(Origin::Control, frame))
            }
            Source::Lanes => {
                let frame = self.lanes.poll_frame(cx);
                frame.map_ok(|(id, frame)| Arrival::Frame(Origin::Lane(id), frame))
            }
            Source::Datagrams if self.datagrams_over => Poll::Pending,
            Source::Datagrams => {
                let push = self.datagrams.poll_push(cx);
                push.map_ok(Arrival::Push).map_err(StreamEnd::Lost)
            }
        }
    }

    fn end_of(&mut self, source: Source) {
        match source {
            Source::Control => self.control_over = true,
            Source::Datagrams => self.datagrams_over = true,
            // Where one lane ends, others may still have something.
            Source::Lanes => {}
        }
    }

    /// Why the connection is over, when nothing more can come of it.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Closed> {
        let over = self.control_over && self.datagrams_over && self.lanes.is_over();
        if let Some(lost) = self.lost.as_ref().filter(|_| over) {
            return Poll::Ready(lost.clone());
        }
        let farewell = self.farewell.as_mut();
        match farewell.map(|farewell| farewell.as_mut().poll(cx)) {
            Some(Poll::Ready(())) => Poll::Ready(Closed::new(
                Closed::NO_CODE,
                "the server ended its stream and did not say why",
            )),
            Some(Poll::Pending) | None => Poll::Pending,
        }
    }

    fn expect_farewell(&mut self) {
        self.farewell.get_or_insert_with(|| Box::pin(sleep(FAREWELL)));
    }

    /// Hands commands to the network until at most `rest` bytes are left.
    fn poll_write(&mut self, cx: &mut Context<'_>, rest: usize) -> Poll<Result<(), Closed>> {
        let Outgoing::Open { send, unsent, bytes } = &mut self.outgoing else {
            return Poll::Ready(Ok(()));
        };
        while *bytes > rest {
            let Some(piece) = unsent.front_mut() else { break };
            match ready!(Pin::new(&mut *send).poll_write(cx, piece)) {
                Ok(written) => {
                    piece.advance(written);
                    *bytes -= written;
                    if piece.is_empty() {
                        unsent.pop_front();
                    }
                }
                Err(WriteError::ConnectionLost(error)) => return Poll::Ready(Err(error.into())),
                // What the server has to say comes the other way.
                Err(_) => {
                    self.outgoing = Outgoing::Deaf;
                    self.expect_farewell();
                    break;
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

fn incoming(origin: Origin, reply: Reply) -> Result<Incoming, Closed> {
    match origin {
        Origin::Control => Ok(Incoming::Reply(reply)),
        Origin::Lane(id) => match reply.push {
            Some(push) => Ok(Incoming::Lane { id, push: *push }),
            None => Err(breach(&"a reply on the stream of a subscription")),
        },
    }
}

fn breach(what: &impl ToString) -> Closed {
    Closed::new(Closed::MALFORMED, what.to_string())
}

impl Transport for QuicTransport {
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Incoming, Closed>> {
        for _ in 0..ROUNDS {
            if let Some(incoming) = self.take() {
                return Poll::Ready(incoming);
            }
            match ready!(self.poll_arrival(cx))? {
                Arrival::Frame(origin, frame) => self.frame = Some((origin, frame)),
                Arrival::Push(incoming) => return Poll::Ready(Ok(incoming)),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        self.poll_write(cx, ROOM - 1)
    }

    fn start_send(&mut self, commands: Bytes) -> Result<(), Closed> {
        if let Outgoing::Open { unsent, bytes, .. } = &mut self.outgoing {
            *bytes += commands.len();
            unsent.push_back(commands);
        }
        Ok(())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        self.poll_write(cx, 0)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>, code: u32, reason: &str) -> Poll<()> {
        let way_out = match mem::replace(&mut self.outgoing, Outgoing::Closed) {
            Outgoing::Open { send, unsent, .. } => Ok(Some((send, unsent))),
            Outgoing::Deaf => Ok(None),
            begun => Err(begun),
        };
        self.outgoing = match way_out {
            Ok(way_out) => {
                let goodbye = goodbye::say(self.connection.clone(), way_out, code, reason.to_owned());
                Outgoing::Closing(Box::pin(goodbye))
            }
            Err(begun) => begun,
        };
        let Outgoing::Closing(goodbye) = &mut self.outgoing else {
            return Poll::Ready(());
        };
        ready!(goodbye.as_mut().poll(cx));
        self.outgoing = Outgoing::Closed;
        Poll::Ready(())
    }

    fn codec(&self) -> Codec {
        self.codec
    }

    fn kind(&self) -> TransportKind {
        TransportKind::Quic
    }
}

impl From<ConnectionError> for Closed {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::ApplicationClosed(close) => Self::new(
                u32::try_from(close.error_code.into_inner()).unwrap_or(Self::NO_CODE),
                String::from_utf8_lossy(&close.reason),
            ),
            ConnectionError::LocallyClosed => Self::new(Self::LEAVING, "closed on this side"),
            error => Self::new(Self::BROKEN, error.to_string()),
        }
    }
}
