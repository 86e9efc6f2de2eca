//! A transport without a network, and its server.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use campanile_common::Codec;
use campanile_common::message::{Command, ConnectResult, Publication, Push, Reply, Request, SubscribeResult};
use tokio::sync::mpsc;

use crate::transport::{Dial, DialContext, Dialing, Incoming, Transport, TransportKind};
use crate::{Client, ClientBuilder, Closed, OpenError};

const CODEC: Codec = Codec::Protobuf;

/// Opens what a [`Servers`] accepts, as soon as it does.
pub(super) struct Dialer {
    accepted: Arc<tokio::sync::Mutex<mpsc::Receiver<mpsc::Sender<Pipe>>>>,
}

/// Where a test gets the servers' ends from.
pub(super) struct Servers {
    accept: mpsc::Sender<mpsc::Sender<Pipe>>,
}

impl Dialer {
    pub(super) fn new() -> (Self, Servers) {
        let (accept, accepted) = mpsc::channel(1);
        let accepted = Arc::new(tokio::sync::Mutex::new(accepted));
        (Self { accepted }, Servers { accept })
    }
}

impl Dial for Dialer {
    fn dial(&self, context: DialContext) -> Dialing<'_> {
        let open = async move {
            let mut accepted = self.accepted.lock().await;
            let taker = accepted.recv().await.ok_or(OpenError::Timeout)?;
            let (near, far) = pipe();
            let _ = near.commands.send(context.first.unwrap_or_default()).await;
            let _ = taker.send(far).await;
            Ok(Box::new(near) as Box<dyn Transport>)
        };
        Box::pin(async move {
            tokio::time::timeout_at(context.deadline, open)
                .await
                .unwrap_or(Err(OpenError::Timeout))
        })
    }
}

impl Servers {
    /// The next connection, whose connect command has been answered.
    pub(super) async fn accept(&mut self) -> Server {
        let (taker, mut taken) = mpsc::channel(1);
        self.accept.send(taker).await.unwrap();
        let mut server = Server {
            pipe: taken.recv().await.unwrap(),
            commands: VecDeque::new(),
            token: String::new(),
        };
        let (id, request) = server.recv().await;
        let Request::Connect(request) = request else {
            panic!("{request:?} before connect");
        };
        server.token = request.token;
        server.reply(Reply::answer(id, welcome()));
        server
    }
}

/// The server's end of a connection.
pub(super) struct Server {
    pipe: Pipe,
    commands: VecDeque<Command>,
    /// With which the client connected.
    pub(super) token: String,
}

/// What came in one piece.
pub(super) struct Frame {
    pub(super) commands: usize,
    pub(super) first_id: u32,
}

impl Server {
    pub(super) async fn recv(&mut self) -> (u32, Request) {
        while self.commands.is_empty() {
            let frame = self.pipe.commands.recv().await.expect("the client is there");
            self.commands
                .extend(CODEC.decode_commands(&frame).map(Result::unwrap));
        }
        let (id, request) = self.commands.pop_front().unwrap().into_request().unwrap();
        (id, request.expect("no pings were sent"))
    }

    pub(super) async fn recv_frame(&mut self) -> Frame {
        let frame = self.pipe.commands.recv().await.expect("the client is there");
        let commands: Vec<_> = CODEC.decode_commands(&frame).map(Result::unwrap).collect();
        Frame {
            commands: commands.len(),
            first_id: commands[0].id,
        }
    }

    pub(super) fn reply(&self, reply: Reply) {
        self.pipe.replies.try_send(Ok(Incoming::Reply(reply))).unwrap();
    }

    pub(super) fn close(self, closed: Closed) {
        self.pipe.replies.try_send(Err(closed)).unwrap();
    }

    /// Waits for the client to leave. How it did.
    pub(super) async fn closed(mut self) -> Closed {
        while self.pipe.commands.recv().await.is_some() {}
        self.pipe.goodbye.lock().unwrap().take().expect("it said goodbye")
    }
}

type Replies = Result<Incoming, Closed>;

/// The server's end of a [`Pipe`]'s other end.
struct Pipe {
    commands: mpsc::Receiver<Bytes>,
    replies: mpsc::Sender<Replies>,
    goodbye: Arc<Mutex<Option<Closed>>>,
}

/// The client's end.
struct Near {
    commands: mpsc::Sender<Bytes>,
    replies: mpsc::Receiver<Replies>,
    goodbye: Arc<Mutex<Option<Closed>>>,
}

fn pipe() -> (Near, Pipe) {
    let (to_server, commands) = mpsc::channel(1 << 14);
    let (to_client, replies) = mpsc::channel(1 << 14);
    let goodbye = Arc::<Mutex<_>>::default();
    let near = Near {
        commands: to_server,
        replies,
        goodbye: Arc::clone(&goodbye),
    };
    let far = Pipe {
        commands,
        replies: to_client,
        goodbye,
    };
    (near, far)
}

impl Transport for Near {
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Incoming, Closed>> {
        let broken = || Err(Closed::new(Closed::BROKEN, "the server is gone"));
        self.replies
            .poll_recv(cx)
            .map(|reply| reply.unwrap_or_else(broken))
    }

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        Poll::Ready(Ok(()))
    }

    fn start_send(&mut self, commands: Bytes) -> Result<(), Closed> {
        let broken = |_| Closed::new(Closed::BROKEN, "the server is gone");
        self.commands.try_send(commands).map_err(broken)
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(&mut self, _: &mut Context<'_>, code: u32, reason: &str) -> Poll<()> {
        *self.goodbye.lock().unwrap() = Some(Closed::new(code, reason));
        Poll::Ready(())
    }

    fn codec(&self) -> Codec {
        CODEC
    }

    fn kind(&self) -> TransportKind {
        TransportKind::Other("pipe")
    }
}

/// Opens one transport, which is there already.
pub(super) struct Once(Mutex<Option<Box<dyn Transport>>>);

impl Once {
    pub(super) fn new(transport: Box<dyn Transport>) -> Self {
        Self(Mutex::new(Some(transport)))
    }
}

impl Dial for Once {
    fn dial(&self, context: DialContext) -> Dialing<'_> {
        let transport = self.0.lock().unwrap().take();
        Box::pin(async move {
            let mut transport = transport.ok_or(OpenError::Timeout)?;
            let first = context.first.expect("the client sends connect");
            transport
                .start_send(first)
                .map_err(|closed| OpenError::Handshake(closed.into()))?;
            Ok(transport)
        })
    }
}

pub(super) fn client(dialer: Dialer) -> ClientBuilder {
    Client::with_dialer(dialer)
}

pub(super) fn welcome() -> ConnectResult {
    ConnectResult {
        client: "c".into(),
        ..Default::default()
    }
}

pub(super) fn publication(offset: u64) -> Publication {
    Publication {
        offset,
        ..Default::default()
    }
}

pub(super) fn published(channel: &str, offset: u64) -> Reply {
    Reply::push(Push::publication(channel, publication(offset)))
}

pub(super) fn stream(epoch: &str, offset: u64) -> SubscribeResult {
    SubscribeResult {
        recoverable: true,
        epoch: epoch.into(),
        offset,
        ..Default::default()
    }
}
