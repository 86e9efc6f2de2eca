//! The server.

use std::future::{Future, poll_fn};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use campanile_common::message::{Command, Reply};
use campanile_common::native::{ALPN, Preface, lane_header};
use campanile_common::{Bytes, Codec, DisconnectCode};
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Connection, Endpoint, RecvStream, SendStream, ServerConfig, TransportConfig};
use rcgen::CertifiedKey;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::version::TLS13;
use tokio::time::{Instant, timeout};

use super::message;
use crate::transport::quic::QuicDialer;
use crate::transport::{Dial, DialContext, Incoming, Transport};
use crate::{CertificateHash, Closed, TlsOptions};

/// Far beyond what any of these tests takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes that a peer may have on their way to the client.
pub(super) const SEND_WINDOW: u64 = 64 * 1024;

/// Runs a test, which must end.
pub(super) async fn within<T>(test: impl Future<Output = T>) -> T {
    timeout(PATIENCE, test).await.expect("the test hangs")
}

pub(super) fn context(codec: Codec) -> DialContext {
    DialContext::new(codec, Instant::now() + PATIENCE)
}

pub(super) async fn recv(transport: &mut Box<dyn Transport>) -> Result<Incoming, Closed> {
    poll_fn(|cx| transport.poll_recv(cx)).await
}

pub(super) async fn flush(transport: &mut Box<dyn Transport>) {
    poll_fn(|cx| transport.poll_flush(cx)).await.unwrap();
}

pub(super) async fn goodbye(transport: &mut Box<dyn Transport>, code: u32, reason: &str) {
    poll_fn(|cx| transport.poll_close(cx, code, reason)).await;
}

pub(super) fn push(text: &str) -> Reply {
    Reply::push(message(text))
}

/// The payload of a message.
pub(super) fn text_of(incoming: Result<Incoming, Closed>) -> String {
    let push = match incoming.unwrap() {
        Incoming::Reply(reply) => *reply.push.unwrap(),
        Incoming::Lane { push, .. } => push,
    };
    let json = String::from_utf8(push.message.unwrap().data.to_vec()).unwrap();
    json.trim_matches('"').to_owned()
}

/// One server with a certificate of its own.
pub(super) struct Server {
    endpoint: Endpoint,
    address: SocketAddr,
    key: CertifiedKey<rcgen::KeyPair>,
}

impl Server {
    pub(super) fn new() -> Self {
        let key = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let endpoint = Endpoint::server(config(&key), (Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = endpoint.local_addr().unwrap();
        Self {
            endpoint,
            address,
            key,
        }
    }

    pub(super) fn hash(&self) -> CertificateHash {
        CertificateHash::of(self.key.cert.der())
    }

    pub(super) fn pem(&self) -> String {
        self.key.cert.pem()
    }

    pub(super) fn dialer(&self) -> QuicDialer {
        self.dialer_with(&TlsOptions::default().certificate(self.hash()))
    }

    pub(super) fn dialer_with(&self, tls: &TlsOptions) -> QuicDialer {
        QuicDialer::new(&format!("quic://{}", self.address), tls).unwrap()
    }

    /// From now on it knows no session any more.
    pub(super) fn forget(&self) {
        self.endpoint.set_server_config(Some(config(&self.key)));
    }

    /// From now on nobody is at its address.
    pub(super) fn move_away(&self) {
        let elsewhere = UdpSocket::bind("127.0.0.1:0").unwrap();
        self.endpoint.rebind(elsewhere).unwrap();
    }

    /// The next connection, of which nothing was read yet.
    pub(super) async fn accept_silently(&self) -> Accepted {
        let connecting = self.endpoint.accept().await.unwrap().accept().unwrap();
        let (connection, _) = connecting.into_0rtt().unwrap();
        Accepted { connection }
    }

    /// A client that does not believe this server.
    pub(super) async fn refuse(&self) {
        let incoming = self.endpoint.accept().await.unwrap();
        assert!(incoming.await.is_err());
    }

    pub(super) async fn pair(&self, codec: Codec) -> (Box<dyn Transport>, Peer) {
        self.pair_with(&self.dialer(), codec).await
    }

    /// Both ends of a connection whose preface has come.
    pub(super) async fn pair_with(&self, dialer: &QuicDialer, codec: Codec) -> (Box<dyn Transport>, Peer) {
        let (transport, accepted) = tokio::join!(dialer.dial(context(codec)), self.accept_silently());
        let mut transport = transport.unwrap();
        flush(&mut transport).await;
        (transport, accepted.begin().await)
    }
}

fn config(key: &CertifiedKey<rcgen::KeyPair>) -> ServerConfig {
    let secret = PrivatePkcs8KeyDer::from(key.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![key.cert.der().clone()], secret.into())
        .unwrap();
    tls.alpn_protocols = vec![ALPN.to_vec()];
    tls.max_early_data_size = u32::MAX;
    let mut config = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls).unwrap()));
    let mut transport = TransportConfig::default();
    transport.send_window(SEND_WINDOW);
    config.transport_config(Arc::new(transport));
    config
}

/// A connection that has been accepted.
pub(super) struct Accepted {
    connection: Connection,
}

impl Accepted {
    /// Waits for the control stream and its preface.
    pub(super) async fn begin(self) -> Peer {
        let (send, mut recv) = self.connection.accept_bi().await.unwrap();
        let mut preface = [0; Preface::LENGTH];
        recv.read_exact(&mut preface).await.unwrap();
        let preface = Preface::decode(preface).unwrap();
        Peer {
            connection: self.connection,
            way_out: Sender {
                stream: send,
                codec: preface.codec,
            },
            recv,
            preface,
        }
    }
}

/// The server's end of a connection.
pub(super) struct Peer {
    pub(super) connection: Connection,
    pub(super) way_out: Sender,
    recv: RecvStream,
    pub(super) preface: Preface,
}

impl Peer {
    pub(super) async fn send(&mut self, replies: &[Reply]) {
        self.way_out.send(replies).await;
    }

    /// The next command. Commands are short here: their length is one byte.
    pub(super) async fn recv(&mut self) -> Command {
        let mut message = Vec::new();
        if self.preface.codec.is_binary() {
            let mut length = [0];
            self.recv.read_exact(&mut length).await.unwrap();
            message.resize(length[0].into(), 0);
            self.recv.read_exact(&mut message).await.unwrap();
            message.insert(0, length[0]);
        } else {
            while message.last() != Some(&b'\n') {
                let mut byte = [0];
                self.recv.read_exact(&mut byte).await.unwrap();
                message.push(byte[0]);
            }
        }
        let mut commands = self.preface.codec.decode_commands(&message.into());
        commands.next().unwrap().unwrap()
    }

    /// The stream of a subscription.
    pub(super) async fn lane(&self, id: u64) -> Sender {
        let mut stream = self.connection.open_uni().await.unwrap();
        stream.write_all(&lane_header(id)).await.unwrap();
        Sender {
            stream,
            codec: self.preface.codec,
        }
    }

    pub(super) async fn finish_and_wait(&mut self) {
        self.way_out.finish_and_wait().await;
    }

    pub(super) fn close(&self, code: DisconnectCode) {
        self.connection
            .close(code.code().into(), code.reason().as_bytes());
    }

    /// How the client ends the connection.
    pub(super) async fn closed(&mut self) -> Closed {
        self.connection.closed().await.into()
    }

    pub(super) fn remote_address(&self) -> SocketAddr {
        self.connection.remote_address()
    }
}

/// A stream towards the client.
pub(super) struct Sender {
    pub(super) stream: SendStream,
    codec: Codec,
}

impl Sender {
    pub(super) async fn send(&mut self, replies: &[Reply]) {
        let frame: Vec<Bytes> = replies
            .iter()
            .map(|reply| self.codec.encode_reply(reply))
            .collect();
        self.raw(&frame.concat()).await;
    }

    pub(super) async fn raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Ends it, and waits until the client's machine has everything.
    pub(super) async fn finish_and_wait(&mut self) {
        self.stream.finish().unwrap();
        self.stream.stopped().await.unwrap();
    }
}
