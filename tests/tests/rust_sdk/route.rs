//! The ways to a gateway that the SDK knows, and how to cut them.

use anyhow::Result;
use campanile_client::{Client, ClientBuilder};
use campanile_tests::balancer::Balancer;
use campanile_tests::gateway::{Gateway, GatewayConfig};

/// Makes a test of each body over each route.
#[macro_export]
macro_rules! over_each_route {
    ($($body:ident),+ $(,)?) => {
        $(mod $body {
            use super::route::Route;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn over_websocket() -> anyhow::Result<()> {
                super::$body(Route::WebSocket).await
            }
        })+
    };
}

/// What the SDK connects over.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Route {
    /// `ws://`
    WebSocket,
}

/// A gateway behind something that can be cut.
pub(crate) struct Front {
    pub(crate) gateway: Gateway,
    route: Route,
    tcp: Balancer,
}

impl Front {
    pub(crate) async fn start(route: Route, config: GatewayConfig) -> Result<Self> {
        let gateway = Gateway::start(&config).await?;
        let tcp = Balancer::start(gateway.address()).await?;
        Ok(Self { gateway, route, tcp })
    }

    /// A client that goes this way.
    pub(crate) fn client(&self) -> Result<ClientBuilder> {
        Ok(match self.route {
            Route::WebSocket => Client::builder(self.tcp.websocket_url()),
        })
    }

    /// Nothing passes any more.
    pub(crate) fn cut(&self) {
        self.tcp.cut();
    }

    /// What is sent from now on passes again.
    pub(crate) fn mend(&self) {
        self.tcp.point_to(self.gateway.address());
    }
}
