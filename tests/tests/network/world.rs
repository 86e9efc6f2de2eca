//! A gateway at one end of a link, and ways to it from the other.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use campanile_client::transport::{Dial, QuicDialer, WebSocketDialer};
use campanile_client::{CertificateHash, Connection, TlsOptions};
use campanile_common::Codec;
use campanile_common::message::{ConnectRequest, SubscribeRequest};
use campanile_tests::gateway::{Gateway, GatewayConfig};
use campanile_tests::link::{Conditions, Link, SERVER};

/// How long a packet takes each way: there and back it is 50 ms.
pub(crate) const DELAY: Duration = Duration::from_millis(25);

/// How long an answer takes at least over such a link.
pub(crate) const ROUND_TRIP: Duration = Duration::from_millis(50);

/// A gateway at the server's side of a link.
pub(crate) struct World {
    // Before the link, in whose namespace it runs.
    pub(crate) gateway: Gateway,
    pub(crate) link: Link,
}

/// What a connection runs over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    WebSocket,
    /// With everything on one stream.
    OneStream,
    /// With a stream for each channel.
    Lanes,
}

/// The configuration of a gateway that lets everybody in and leaves the channels of the namespace `open` to everybody.
pub(crate) fn config() -> GatewayConfig {
    GatewayConfig::default()
        .set("http_server.address", SERVER.to_string())
        .set("log.level", "info")
        .set("quic.enabled", true)
        .set("quic.generated_certificate", true)
        .set("client.allow_anonymous_connect_without_token", true)
        .set("channel.without_namespace.allow_subscribe_for_client", true)
        .set("channel.without_namespace.allow_subscribe_for_anonymous", true)
}

impl World {
    /// Starts a gateway behind a link.
    pub(crate) async fn start(conditions: Conditions, config: GatewayConfig) -> Result<Self> {
        let link = Link::between(conditions)?;
        let gateway = link
            .server()
            .run(async move { Gateway::start(&config).await })
            .await?;
        Ok(Self { gateway, link })
    }

    /// What opens connections to the gateway.
    pub(crate) fn dialer(&self, over: Over) -> Result<Arc<dyn Dial>> {
        Ok(match over {
            Over::WebSocket => Arc::new(WebSocketDialer::new(&self.gateway.websocket_url())?),
            Over::OneStream => Arc::new(quic(self.gateway.udp().address, &self.gateway)?.lanes(false)),
            Over::Lanes => Arc::new(quic(self.gateway.udp().address, &self.gateway)?),
        })
    }
}

/// A gateway with one certificate, on TCP and UDP, behind a link.
pub(crate) struct Secured {
    pub(crate) world: World,
    tls: TlsOptions,
}

impl Secured {
    /// The port of clients. Ports are free in a namespace that was just made.
    const PORT: u16 = 443;
    const INTERNAL_PORT: u16 = 8000;

    /// Starts it.
    pub(crate) async fn start(conditions: Conditions) -> Result<Self> {
        let certified = rcgen::generate_simple_self_signed([SERVER.to_string()])?;
        let tls = TlsOptions::default().certificate(CertificateHash::of(certified.cert.der()));
        let config = config()
            .set("http_server.port", Self::PORT)
            .set("http_server.internal_port", Self::INTERNAL_PORT)
            .set("http_server.tls.enabled", true)
            .set("http_server.tls.cert_pem", certified.cert.pem())
            .set("http_server.tls.key_pem", certified.signing_key.serialize_pem())
            .set("http_server.tls_external", true)
            .set("quic.generated_certificate", false);
        let link = Link::between(conditions)?;
        let gateway = link
            .server()
            .run(async move { Gateway::launch(&config).await })
            .await?;
        Ok(Self {
            world: World { gateway, link },
            tls,
        })
    }

    pub(crate) fn websocket(&self) -> Result<WebSocketDialer> {
        let url = format!("wss://{SERVER}:{}/connection/websocket", Self::PORT);
        Ok(WebSocketDialer::new(&url)?.tls(&self.tls))
    }

    pub(crate) fn quic(&self) -> Result<QuicDialer> {
        Ok(QuicDialer::new(
            &format!("quic://{SERVER}:{}", Self::PORT),
            &self.tls,
        )?)
    }
}

/// What opens native connections to `address`, where this gateway is found.
pub(crate) fn quic(address: SocketAddr, gateway: &Gateway) -> Result<QuicDialer> {
    let hash = format!("{:?}", gateway.udp().certificate).parse::<CertificateHash>()?;
    let tls = TlsOptions::default().certificate(hash);
    Ok(QuicDialer::new(&format!("quic://{address}"), &tls)?)
}

/// Opens a connection with a session. To be called in the client's namespace.
pub(crate) async fn connect(dialer: &dyn Dial) -> Result<Connection> {
    let mut connection = Connection::dial(dialer, Codec::Protobuf).await?;
    connection.connect(ConnectRequest::default()).await?;
    Ok(connection)
}

/// Subscribes to a channel.
pub(crate) async fn subscribe(connection: &mut Connection, channel: &str) -> Result<()> {
    let request = SubscribeRequest {
        channel: channel.into(),
        ..SubscribeRequest::default()
    };
    connection.subscribe(request).await?;
    Ok(())
}

/// Says what was measured, whether the test passes or not: test runners hide what a passing test prints with macros.
pub(crate) fn report(measured: &str) {
    // Whoever closed the output does not want it.
    let _ = writeln!(std::io::stdout(), "measured: {measured}");
}
