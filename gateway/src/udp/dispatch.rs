//! Which protocol a client speaks.

use std::sync::Arc;
use std::time::Duration;

use campanile_common::native;
use quinn::crypto::rustls::HandshakeData;
use quinn::{Connecting, ConnectionError};
use tokio::time::{Instant, sleep, timeout_at};

use super::counters::{Counters, Outcome};
use super::door::Beginning;
use super::native as native_client;
use super::settings::H3;
use crate::connection::entrance::Entrance;
use crate::connection::webtransport::WebTransportEndpoint;

/// Pause between two looks at a handshake that tells of nothing by itself.
const ANOTHER_LOOK: Duration = Duration::from_millis(10);

/// What all connections of the port share.
pub(super) struct Shared {
    pub(super) entrance: Entrance,
    /// `None`: no client speaks HTTP/3, because it is not offered.
    pub(super) webtransport: Option<WebTransportEndpoint>,
    pub(super) counters: Counters,
    /// Longest message of a native client in bytes.
    pub(super) message_size_limit: usize,
    /// Whether channels may have streams of their own.
    pub(super) stream_per_channel: bool,
    /// How long a client may take from its first packet to its first message.
    pub(super) patience: Duration,
}

/// Carries a connection from its first packet to where a protocol takes it over.
pub(super) async fn carry(shared: Arc<Shared>, mut connecting: Connecting, beginning: Beginning) {
    let latest = Instant::now() + shared.patience;
    let outcome = match timeout_at(latest, protocol(&mut connecting)).await {
        Err(_) => Outcome::Stale,
        Ok(Err(error)) => failed(&error),
        Ok(Ok(protocol)) if protocol == native::ALPN => {
            native_client::begin(&shared, connecting, latest).await
        }
        Ok(Ok(protocol)) if protocol == H3 => match timeout_at(latest, connecting).await {
            Err(_) => Outcome::Stale,
            Ok(Err(error)) => failed(&error),
            Ok(Ok(connection)) => {
                if let Some(endpoint) = &shared.webtransport {
                    endpoint.serve(connection).await;
                }
                Outcome::Begun
            }
        },
        // TLS agrees on nothing that is not offered.
        Ok(Ok(_)) => Outcome::Failed,
    };
    shared.counters.count(outcome);
    drop(beginning);
}

fn failed(error: &ConnectionError) -> Outcome {
    tracing::debug!(%error, "a QUIC handshake failed");
    Outcome::Failed
}

/// What client and server have agreed on. That it is one of those that are offered is TLS's business.
async fn protocol(connecting: &mut Connecting) -> Result<Vec<u8>, ConnectionError> {
    loop {
        let data = connecting.handshake_data().await?;
        let data = data
            .downcast::<HandshakeData>()
            .expect("the endpoint's handshakes are rustls'");
        if let Some(protocol) = data.protocol {
            return Ok(protocol);
        }
        // The client was asked for another key share, and the server's name alone is known; nothing tells of the rest.
        sleep(ANOTHER_LOOK).await;
    }
}
