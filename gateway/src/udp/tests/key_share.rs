//! A client whose first guess at the key exchange is not the server's (TLS's HelloRetryRequest).

use std::sync::Arc;

use campanile_common::Codec;
use rustls::crypto::ring::kx_group::X25519;
use rustls::crypto::{ActiveKeyExchange, CryptoProvider, SharedSecret, SupportedKxGroup};
use rustls::{Error, NamedGroup};

use super::kit::{Client, Dialer, Server};
use crate::tls::provider;

/// A key exchange that the server does not know.
#[derive(Debug)]
struct Unknown;

struct Begun(Box<dyn ActiveKeyExchange>);

impl SupportedKxGroup for Unknown {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        Ok(Box::new(Begun(X25519.start()?)))
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::X448
    }
}

impl ActiveKeyExchange for Begun {
    fn complete(self: Box<Self>, _: &[u8]) -> Result<SharedSecret, Error> {
        Err(Error::General("nobody goes on with it".into()))
    }

    fn pub_key(&self) -> &[u8] {
        self.0.pub_key()
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::X448
    }
}

#[tokio::test]
async fn a_client_that_is_asked_for_another_key_share_gets_in() {
    let server = Server::start().await;
    let provider = CryptoProvider {
        kx_groups: vec![&Unknown, X25519],
        ..(*provider()).clone()
    };
    let dialer = Dialer::with_provider(Arc::new(provider));
    let client = Client::open(&dialer, &server, Codec::Json).await;
    client.connected().await;
}
