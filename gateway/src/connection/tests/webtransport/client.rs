//! The client's end of a WebTransport session, in any codec.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use campanile_common::Codec;
use campanile_common::message::{Command, Disconnect, PingRequest, Push, Reply, SubscribeRequest};
use http::HeaderValue;
use http::header::ORIGIN;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, Connection, Endpoint, ServerConfig, TransportConfig};
use rcgen::{CertificateParams, KeyPair};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::time::timeout;
use url::Url;
use web_transport_quinn::{
    ALPN, ClientError, ConnectError, RecvStream, SendStream, Session, SessionError, WebTransportError, proto,
};

use crate::config::WebTransportOptions;
use crate::connection::entrance::Entrance;
use crate::connection::host::Host;
use crate::connection::webtransport::WebTransportEndpoint;
use crate::tls::provider;
use crate::transport::origin::AllowedOrigins;
use crate::transport::stream::StreamDecoder;

pub(super) const PATH: &str = "/connection/webtransport";

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server on the loopback interface, and what a client needs to reach it.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    endpoint: Endpoint,
    trusts: ClientConfig,
}

impl Server {
    /// Serves WebTransport, as the UDP endpoint does once a client has asked for HTTP/3.
    pub(super) fn start(host: &Arc<Host>) -> Self {
        let (server, trusts) = configs();
        let endpoint = Endpoint::server(server, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let address = endpoint.local_addr().unwrap();
        let origins = AllowedOrigins::new(["https://*.example.com"]);
        let options = WebTransportOptions {
            path: PATH.to_owned(),
            message_size_limit: 65_536,
        };
        let entrance = Entrance::new(Arc::clone(host), origins);
        let served = Arc::new(WebTransportEndpoint::new(entrance, options));
        let incoming = endpoint;
        tokio::spawn(async move {
            while let Some(connecting) = incoming.accept().await {
                let served = Arc::clone(&served);
                tokio::spawn(async move {
                    if let Ok(connection) = connecting.await {
                        served.serve(connection).await;
                    }
                });
            }
        });
        Self {
            address,
            endpoint: Endpoint::client(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap(),
            trusts,
        }
    }

    /// A QUIC connection on which nothing was said yet.
    pub(super) async fn connection(&self) -> Connection {
        let trusts = self.trusts.clone();
        let connecting = self.endpoint.connect_with(trusts, self.address, "localhost");
        patiently(connecting.unwrap()).await.unwrap()
    }

    /// Asks for a session. `target`: path and query.
    pub(super) async fn ask(&self, target: &str, origin: Option<&str>) -> Result<Session, ClientError> {
        let url = format!("https://localhost:{}{target}", self.address.port());
        let mut request = proto::ConnectRequest::new(url.parse::<Url>().unwrap());
        if let Some(origin) = origin {
            request = request.with_header(ORIGIN, HeaderValue::from_str(origin).unwrap());
        }
        patiently(Session::connect(self.connection().await, request)).await
    }

    /// A session by hand, without a library that has views of its own on how it ends.
    pub(super) async fn bare(&self) -> Bare {
        let connection = self.connection().await;
        let mut control = connection.open_uni().await.unwrap();
        control.write_all(&settings()).await.unwrap();
        let url = format!("https://localhost:{}{PATH}", self.address.port());
        let mut request = Vec::new();
        let url = url.parse::<Url>().unwrap();
        proto::ConnectRequest::from(url).encode(&mut request).unwrap();
        let (mut capsules, mut answer) = connection.open_bi().await.unwrap();
        capsules.write_all(&request).await.unwrap();
        patiently(proto::ConnectResponse::read(&mut answer))
            .await
            .unwrap();
        Bare {
            connection,
            capsules,
            _answer: answer,
            _control: control,
        }
    }

    /// The status that such a request is refused with.
    pub(super) async fn refusal(&self, target: &str, origin: Option<&str>) -> u16 {
        let Err(refused) = self.ask(target, origin).await else {
            panic!("{target} {origin:?} is not refused");
        };
        match refused {
            ClientError::HttpError(ConnectError::ProtoError(proto::ConnectError::WrongStatus(Some(
                status,
            )))) => status.as_u16(),
            other => panic!("{other:?}"),
        }
    }

    /// A client that is connected.
    pub(super) async fn client(&self, codec: Codec) -> Client {
        let session = self
            .ask(&format!("{PATH}?cf_protocol={}", codec.label()), None)
            .await;
        let mut client = Client::open(session.unwrap(), codec).await;
        client.connect().await;
        client
    }
}

/// A session that was granted, and nothing in it.
pub(super) struct Bare {
    pub(super) connection: Connection,
    pub(super) capsules: quinn::SendStream,
    _answer: quinn::RecvStream,
    _control: quinn::SendStream,
}

impl Bare {
    /// Opens the stream and connects over it.
    pub(super) async fn connect(&self) -> (quinn::SendStream, quinn::RecvStream) {
        let (mut send, mut recv) = patiently(self.connection.open_bi()).await.unwrap();
        send.write_all(b"\x40\x41\x00{\"id\":1,\"connect\":{}}\n")
            .await
            .unwrap();
        let mut first = [0; 9];
        patiently(recv.read_exact(&mut first)).await.unwrap();
        assert_eq!(&first, b"{\"id\":1,\"");
        (send, recv)
    }
}

/// A control stream with the settings of a client.
pub(super) fn settings() -> Vec<u8> {
    let mut settings = proto::Settings::default();
    settings.enable_webtransport(1);
    let mut bytes = Vec::new();
    settings.encode(&mut bytes);
    bytes
}

pub(super) struct Client {
    pub(super) session: Session,
    pub(super) send: SendStream,
    recv: RecvStream,
    codec: Codec,
    decoder: StreamDecoder,
    replies: VecDeque<Reply>,
    commands: u32,
}

impl Client {
    /// Opens the stream.
    pub(super) async fn open(session: Session, codec: Codec) -> Self {
        let (send, recv) = patiently(session.open_bi()).await.unwrap();
        Self {
            session,
            send,
            recv,
            codec,
            decoder: StreamDecoder::new(codec, 1 << 20),
            replies: VecDeque::new(),
            commands: 0,
        }
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) {
        patiently(self.send.write_all(bytes)).await.unwrap();
    }

    /// Sends a command and gives the reply; what comes before it is dropped.
    pub(super) async fn call(&mut self, command: Command) -> Reply {
        self.commands += 1;
        let id = self.commands;
        let bytes = self.codec.encode_command(&Command { id, ..command });
        self.send(&bytes).await;
        loop {
            let reply = self.reply().await.expect("a reply comes");
            if reply.id == id {
                return reply;
            }
        }
    }

    pub(super) async fn connect(&mut self) {
        let connect = Some(Box::default());
        let reply = self
            .call(Command {
                connect,
                ..Command::default()
            })
            .await;
        assert!(reply.connect.is_some_and(|result| !result.client.is_empty()));
    }

    pub(super) async fn subscribe(&mut self, channel: &str) {
        let request = SubscribeRequest {
            channel: channel.into(),
            ..SubscribeRequest::default()
        };
        let subscribe = Some(Box::new(request));
        let reply = self
            .call(Command {
                subscribe,
                ..Command::default()
            })
            .await;
        assert!(reply.subscribe.is_some(), "{reply:?}");
    }

    pub(super) async fn ping(&mut self) {
        let ping = Some(PingRequest::default());
        let reply = self
            .call(Command {
                ping,
                ..Command::default()
            })
            .await;
        assert!(reply.ping.is_some(), "{reply:?}");
    }

    /// The next reply or push; `None`: the stream has ended.
    pub(super) async fn reply(&mut self) -> Option<Reply> {
        loop {
            if let Some(reply) = self.replies.pop_front() {
                return Some(reply);
            }
            let mut buffer = [0; 1000];
            let length = patiently(self.recv.read(&mut buffer)).await.unwrap()?;
            let mut input = &buffer[..length];
            while let Some(frame) = self.decoder.next(&mut input).unwrap() {
                let replies = self.codec.decode_replies(&frame);
                self.replies.extend(replies.map(Result::unwrap));
            }
        }
    }

    /// The next push.
    pub(super) async fn push(&mut self) -> Push {
        loop {
            if let Some(push) = self.reply().await.expect("a push comes").push {
                return *push;
            }
        }
    }

    /// How it ends: by the push, which nothing follows, and by the session's code and reason.
    pub(super) async fn end(mut self) -> (Disconnect, u32, String) {
        let mut last = None;
        while let Some(reply) = self.reply().await {
            last = Some(reply);
        }
        // As SDKs do, it leaves when it has heard that.
        let _ = self.send.finish();
        let push = last
            .and_then(|reply| reply.push)
            .expect("the last message is a push");
        let disconnect = push.disconnect.expect("it is the push of a disconnect");
        let (code, reason) = closed(&self.session).await;
        (*disconnect, code, reason)
    }
}

/// The code and the reason that a session was closed with.
pub(super) async fn closed(session: &Session) -> (u32, String) {
    match patiently(session.closed()).await {
        SessionError::WebTransportError(WebTransportError::Closed(code, reason)) => (code, reason),
        other => panic!("{other:?}"),
    }
}

/// The HTTP/3 code that a connection was closed with.
pub(super) async fn closed_with(connection: &Connection) -> u64 {
    match patiently(connection.closed()).await {
        quinn::ConnectionError::ApplicationClosed(close) => close.error_code.into_inner(),
        other => panic!("{other:?}"),
    }
}

pub(super) async fn patiently<T>(future: impl IntoFuture<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("it takes too long")
}

/// Both sides of TLS: a certificate made on the spot, and trust in it.
fn configs() -> (ServerConfig, ClientConfig) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = CertificateDer::from(certificate.self_signed(&key).unwrap());
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let mut server = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let mut client = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    server.alpn_protocols = vec![ALPN.into()];
    client.alpn_protocols = vec![ALPN.into()];
    let server = QuicServerConfig::try_from(server).unwrap();
    let client = QuicClientConfig::try_from(client).unwrap();
    let mut server = ServerConfig::with_crypto(Arc::new(server));
    let mut transport = TransportConfig::default();
    // What the UDP endpoint gives every client to begin with.
    transport.max_concurrent_bidi_streams(2_u8.into());
    transport.max_concurrent_uni_streams(3_u8.into());
    server.transport_config(Arc::new(transport));
    (server, ClientConfig::new(Arc::new(client)))
}
