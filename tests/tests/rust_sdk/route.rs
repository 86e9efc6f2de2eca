//! The ways to a gateway that the SDK knows, and how to cut them.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use campanile_client::transport::{Dial, QuicDialer, WebSocketDialer};
use campanile_client::{CertificateHash, Client, ClientBuilder, TlsOptions};
use campanile_tests::balancer::Balancer;
use campanile_tests::gateway::{Gateway, GatewayConfig};
use campanile_tests::relay::Relay;
use campanile_tests::token;
use campanile_tests::wait::SOON;
use rcgen::CertifiedKey;
use serde_json::Value;
use tokio::time::timeout;

/// Makes a test of each body over each route.
#[macro_export]
macro_rules! over_each_route {
    ($($body:ident),+ $(,)?) => {
        $(mod $body {
            use super::route::Route;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn over_ws() -> anyhow::Result<()> {
                super::$body(Route::WebSocket).await
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn over_wss() -> anyhow::Result<()> {
                super::$body(Route::Tls).await
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn over_quic() -> anyhow::Result<()> {
                super::$body(Route::Quic).await
            }
        })+
    };
}

/// What the SDK connects over.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Route {
    /// `ws://`
    WebSocket,
    /// `wss://`
    Tls,
    /// `quic://`
    Quic,
}

/// A gateway behind something that can be cut, and one who publishes without passing through that.
pub(crate) struct Front {
    gateway: Gateway,
    route: Route,
    certificate: CertificateHash,
    tcp: Balancer,
    udp: Relay,
    publisher: Client,
}

impl Front {
    pub(crate) async fn start(route: Route, config: GatewayConfig) -> Result<Self> {
        let CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
        let config = match route {
            Route::WebSocket | Route::Quic => config,
            Route::Tls => config
                .set("http_server.tls.enabled", true)
                .set("http_server.tls.cert_pem", cert.pem())
                .set("http_server.tls.key_pem", signing_key.serialize_pem()),
        };
        let gateway = Gateway::launch(&config).await?;
        let certificate = match route {
            Route::WebSocket | Route::Tls => CertificateHash::of(cert.der()),
            Route::Quic => format!("{:?}", gateway.udp().certificate).parse()?,
        };
        // QUIC is served at the port of the same number.
        let address: SocketAddr = gateway.address().parse()?;
        let direct = dialer(route, gateway.address(), address, certificate)?;
        let publisher = Client::with_dialer(direct)
            .token(token::connection("publisher"))
            .build()?;
        publisher.connect();
        timeout(SOON, publisher.ready()).await??;
        Ok(Self {
            tcp: Balancer::start(gateway.address()).await?,
            udp: Relay::start(address).await?,
            gateway,
            route,
            certificate,
            publisher,
        })
    }

    /// A client that goes this way.
    pub(crate) fn client(&self) -> Result<ClientBuilder> {
        let (tcp, udp) = (self.tcp.address(), self.udp.address());
        Ok(Client::with_dialer(dialer(
            self.route,
            &tcp,
            udp,
            self.certificate,
        )?))
    }

    /// Publishes, whether or not the way is cut.
    pub(crate) async fn publish(&self, channel: &str, data: &Value) -> Result<()> {
        Ok(self.publisher.publish(channel, data.to_string()).await?)
    }

    /// Nothing passes any more.
    pub(crate) fn cut(&self) {
        self.tcp.cut();
        self.udp.cut();
    }

    /// What is sent from now on passes again.
    pub(crate) fn mend(&self) {
        self.tcp.point_to(self.gateway.address());
        self.udp.mend();
    }
}

fn dialer(route: Route, tcp: &str, udp: SocketAddr, certificate: CertificateHash) -> Result<Arc<dyn Dial>> {
    let trust = TlsOptions::default().certificate(certificate);
    let path = "connection/websocket";
    Ok(match route {
        Route::WebSocket => Arc::new(WebSocketDialer::new(&format!("ws://{tcp}/{path}"))?),
        Route::Tls => Arc::new(WebSocketDialer::new(&format!("wss://{tcp}/{path}"))?.tls(&trust)),
        Route::Quic => Arc::new(QuicDialer::new(&format!("quic://{udp}"), &trust)?),
    })
}
