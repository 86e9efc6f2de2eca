//! A gateway's UDP port on the loopback interface, and clients as simple as a test needs them.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use campanile_common::Codec;
use campanile_common::message::{Command, Reply};
use campanile_common::native::{ALPN, Preface};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ApplicationClose, Connection, ConnectionError, Endpoint, RecvStream, SendStream, VarInt};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use serde_json::Value;

use crate::config::options::{ChannelOptions, ClientOptions};
use crate::config::{CongestionControl, QuicOptions};
use crate::connection::entrance::Entrance;
use crate::connection::host::Host;
use crate::connection::tests::world::host_with;
use crate::tls::{Certificates, provider};
use crate::transport::origin::AllowedOrigins;
use crate::udp::{Patience, Settings, Socket, UdpPort};

/// What comes does not take that long, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(60);

const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

pub(super) fn options() -> QuicOptions {
    QuicOptions {
        address: ANY_PORT,
        message_size_limit: 1000,
        stream_per_channel: true,
        handshakes_before_retry: 100,
        max_handshakes: 200,
        zero_rtt: true,
        congestion_control: CongestionControl::Cubic,
    }
}

/// Waits for what must come.
pub(super) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let ended = tokio::time::timeout(PATIENCE, future).await;
    ended.unwrap_or_else(|_| panic!("still waiting: {what}"))
}

pub(super) struct Server {
    pub(super) host: Arc<Host>,
    pub(super) port: UdpPort,
    metrics: PrometheusHandle,
}

impl Server {
    pub(super) async fn start() -> Self {
        Self::start_with(|_, _| ()).await
    }

    pub(super) async fn start_with(change: impl FnOnce(&mut QuicOptions, &mut ClientOptions)) -> Self {
        Self::start_for(|options, client, _| change(options, client)).await
    }

    pub(super) async fn start_for(
        change: impl FnOnce(&mut QuicOptions, &mut ClientOptions, &mut ChannelOptions),
    ) -> Self {
        let mut options = options();
        let host = host_with(|client, channels| change(&mut options, client, channels)).await;
        let timers = Arc::clone(&host);
        tokio::spawn(async move { timers.timers.run().await });
        let settings = Settings::new(
            options,
            Patience::of(&host.sessions.look().client),
            Certificates::generated().unwrap(),
        );
        let entrance = Entrance::new(Arc::clone(&host), AllowedOrigins::default());
        let recorder = PrometheusBuilder::new().build_recorder();
        let metrics = recorder.handle();
        let socket = Socket::bind(ANY_PORT).unwrap();
        let port = metrics::with_local_recorder(&recorder, || UdpPort::serve(socket, &settings, entrance));
        Self {
            host,
            port: port.unwrap(),
            metrics,
        }
    }

    /// How many handshakes went like that.
    pub(super) fn outcomes(&self, outcome: &str) -> u64 {
        self.metric(&format!(
            "campanile_quic_handshakes_total{{outcome=\"{outcome}\"}} "
        ))
    }

    pub(super) fn metric(&self, line: &str) -> u64 {
        let text = self.metrics.render();
        let found = text.lines().find_map(|found| found.strip_prefix(line));
        found
            .unwrap_or_else(|| panic!("{line} in {text}"))
            .parse()
            .unwrap()
    }

    pub(super) async fn client(&self) -> Client {
        let client = Client::open(&Dialer::new(), self, Codec::Json).await;
        client.connected().await
    }
}

/// The client's side of handshakes: it trusts everybody, and remembers tickets.
pub(super) struct Dialer {
    pub(super) endpoint: Endpoint,
    config: quinn::ClientConfig,
}

impl Dialer {
    pub(super) fn new() -> Self {
        Self::speaking(ALPN)
    }

    pub(super) fn speaking(protocol: &[u8]) -> Self {
        Self::with(provider(), protocol)
    }

    pub(super) fn with_provider(provider: Arc<CryptoProvider>) -> Self {
        Self::with(provider, ALPN)
    }

    fn with(provider: Arc<CryptoProvider>, protocol: &[u8]) -> Self {
        let builder = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let mut config = builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Credulous(provider)))
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        config.enable_early_data = true;
        let config = QuicClientConfig::try_from(config).unwrap();
        Self {
            endpoint: Endpoint::client(ANY_PORT).unwrap(),
            config: quinn::ClientConfig::new(Arc::new(config)),
        }
    }

    /// The same with other limits.
    pub(super) fn with_transport(mut self, transport: quinn::TransportConfig) -> Self {
        self.config.transport_config(Arc::new(transport));
        self
    }

    pub(super) fn dial(&self, server: SocketAddr) -> quinn::Connecting {
        let config = self.config.clone();
        self.endpoint.connect_with(config, server, "localhost").unwrap()
    }

    pub(super) async fn connect(&self, server: &Server) -> Result<Connection, ConnectionError> {
        soon("a handshake", self.dial(server.port.address())).await
    }
}

/// A native client.
pub(super) struct Client {
    pub(super) connection: Connection,
    pub(super) send: SendStream,
    recv: RecvStream,
    codec: Codec,
    received: Vec<u8>,
    commands: u32,
}

impl Client {
    /// Has sent its first two bytes.
    pub(super) async fn open(dialer: &Dialer, server: &Server, codec: Codec) -> Self {
        Self::begin(dialer.connect(server).await.unwrap(), codec).await
    }

    pub(super) async fn begin(connection: Connection, codec: Codec) -> Self {
        let preface = Preface {
            codec,
            lanes: false,
            datagrams: false,
        };
        Self::begin_with(connection, preface).await
    }

    pub(super) async fn begin_with(connection: Connection, preface: Preface) -> Self {
        let codec = preface.codec;
        let (mut send, recv) = connection.open_bi().await.unwrap();
        send.write_all(&preface.encode()).await.unwrap();
        Self {
            connection,
            send,
            recv,
            codec,
            received: Vec::new(),
            commands: 0,
        }
    }

    pub(super) async fn connected(mut self) -> Self {
        let reply = self.call("connect", "{}").await;
        assert!(reply["connect"]["client"].is_string(), "{reply}");
        self
    }

    /// Sends a command and gives its number.
    pub(super) async fn command(&mut self, method: &str, request: &str) -> u32 {
        self.commands += 1;
        let id = self.commands;
        let line = format!("{{\"id\":{id},\"{method}\":{request}}}\n");
        self.send.write_all(line.as_bytes()).await.unwrap();
        id
    }

    /// Sends a command and gives its reply; pushes before it are dropped.
    pub(super) async fn call(&mut self, method: &str, request: &str) -> Value {
        let id = self.command(method, request).await;
        loop {
            let reply = self.reply().await;
            if reply["id"] == id {
                return reply;
            }
        }
    }

    pub(super) async fn subscribe(&mut self, channel: &str) {
        let request = format!("{{\"channel\":\"{channel}\"}}");
        let reply = self.call("subscribe", &request).await;
        assert!(reply["subscribe"].is_object(), "{reply}");
    }

    pub(super) async fn send(&mut self, command: &Command) {
        let bytes = self.codec.encode_command(command);
        self.send.write_all(&bytes).await.unwrap();
    }

    /// The next reply or push, as JSON whatever the codec.
    pub(super) async fn reply(&mut self) -> Value {
        serde_json::to_value(self.receive().await.expect("a reply")).unwrap()
    }

    /// The next publication; everything else is dropped.
    pub(super) async fn publication(&mut self) -> Value {
        loop {
            let reply = self.reply().await;
            if !reply["push"]["pub"].is_null() {
                return reply["push"]["pub"].clone();
            }
        }
    }

    /// The next message, or nothing once the stream has ended.
    pub(super) async fn receive(&mut self) -> Option<Reply> {
        soon("a reply", async {
            loop {
                if let Some(reply) = self.take() {
                    return Some(reply);
                }
                let mut buffer = [0; 512];
                match self.recv.read(&mut buffer).await {
                    Ok(Some(count)) => self.received.extend(&buffer[..count]),
                    Ok(None) | Err(_) => return None,
                }
            }
        })
        .await
    }

    /// Cuts a message off the front of what was received.
    fn take(&mut self) -> Option<Reply> {
        let end = if self.codec.is_binary() {
            let mut rest = &self.received[..];
            let length = campanile_common::native::take_varint(&mut rest).unwrap()?;
            self.received.len() - rest.len() + usize::try_from(length).unwrap()
        } else {
            self.received.iter().position(|&byte| byte == b'\n')? + 1
        };
        if end > self.received.len() {
            return None;
        }
        let message = Bytes::from(self.received.drain(..end).collect::<Vec<_>>());
        Some(self.codec.decode_replies(&message).next().unwrap().unwrap())
    }

    /// Why the server has closed the connection.
    pub(super) async fn closed(&self) -> (u64, String) {
        closed(&self.connection).await
    }
}

/// Why the server has closed the connection.
pub(super) async fn closed(connection: &Connection) -> (u64, String) {
    match soon("the end", connection.closed()).await {
        ConnectionError::ApplicationClosed(ApplicationClose { error_code, reason }) => (
            VarInt::into_inner(error_code),
            String::from_utf8(reason.to_vec()).unwrap(),
        ),
        error => panic!("{error}"),
    }
}

/// Trusts every certificate; looks at signatures only.
#[derive(Debug)]
struct Credulous(Arc<CryptoProvider>);

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
