//! The endpoint at work.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use campanile_common::DisconnectCode;
use quinn::{Endpoint, Incoming, TokioRuntime, VarInt};
use tokio_util::task::TaskTracker;

use super::counters::{Counters, Outcome};
use super::dispatch::{Shared, carry};
use super::door::{Beginning, Door, Verdict};
use super::settings::Settings;
use super::socket::Socket;
use crate::connection::entrance::Entrance;
use crate::connection::webtransport::WebTransportEndpoint;

/// How long, at the end, clients are given to hear that their connection is closed: a few round trips.
const LAST_WAIT: Duration = Duration::from_secs(3);

/// A UDP port that is served.
#[derive(Debug)]
pub struct UdpPort {
    endpoint: Endpoint,
    address: SocketAddr,
    /// The tasks of connections that are about to begin.
    beginning: TaskTracker,
}

impl UdpPort {
    /// Serves `socket` from now on; those who come are let in through `entrance`.
    ///
    /// # Errors
    ///
    /// If the system does not let it.
    pub fn serve(socket: Socket, settings: &Settings, entrance: Entrance) -> std::io::Result<Self> {
        let address = socket.address();
        let counters = Counters::register();
        let endpoint = Endpoint::new(
            Settings::endpoint(),
            Some(settings.server()),
            socket.socket,
            Arc::new(TokioRuntime),
        )?;
        let options = &settings.options;
        let beginning = TaskTracker::new();
        let porter = Porter {
            door: Door::new(
                options.handshakes_before_retry,
                options.max_handshakes,
                counters.beginning.clone(),
            ),
            beginning: beginning.clone(),
            shared: Arc::new(Shared {
                webtransport: settings
                    .webtransport
                    .clone()
                    .map(|options| WebTransportEndpoint::new(entrance.clone(), options)),
                entrance,
                counters,
                message_size_limit: options.message_size_limit,
                stream_per_channel: options.stream_per_channel,
                patience: settings.patience.beginning,
            }),
        };
        tokio::spawn(porter.work(endpoint.clone()));
        Ok(Self {
            address,
            endpoint,
            beginning,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections there are, those that are about to begin or to end included.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.endpoint.open_connections()
    }

    /// Closes what is still open, and waits until clients had the chance to hear of it; all of it for a bounded time.
    pub async fn stop(self) {
        // What comes from here on is refused.
        self.endpoint.set_server_config(None);
        self.endpoint.close(
            VarInt::from_u32(DisconnectCode::Shutdown.code()),
            DisconnectCode::Shutdown.reason().as_bytes(),
        );
        self.beginning.close();
        let quiet = async {
            self.beginning.wait().await;
            self.endpoint.wait_idle().await;
        };
        if tokio::time::timeout(LAST_WAIT, quiet).await.is_err() {
            tracing::debug!("some clients may not have heard that their connection is closed");
        }
    }
}

/// Who stands at the door.
struct Porter {
    door: Door,
    beginning: TaskTracker,
    shared: Arc<Shared>,
}

impl Porter {
    async fn work(self, endpoint: Endpoint) {
        while let Some(incoming) = endpoint.accept().await {
            self.meet(incoming);
            // Under a flood there is always another one.
            tokio::task::consume_budget().await;
        }
    }

    fn meet(&self, incoming: Incoming) {
        let counters = &self.shared.counters;
        if self.shared.entrance.host().admission.is_closed() {
            counters.count(Outcome::Shutdown);
            return incoming.refuse();
        }
        match self.door.knock(incoming.remote_address_validated()) {
            Verdict::Enter(beginning) => self.enter(incoming, beginning),
            Verdict::Prove => {
                counters.count(Outcome::Retry);
                if let Err(error) = incoming.retry() {
                    error.into_incoming().refuse();
                }
            }
            Verdict::Refuse => {
                counters.count(Outcome::Refused);
                incoming.refuse();
            }
        }
    }

    fn enter(&self, incoming: Incoming, beginning: Beginning) {
        match incoming.accept() {
            Ok(connecting) => {
                let task = carry(Arc::clone(&self.shared), connecting, beginning);
                self.beginning.spawn(task);
            }
            Err(error) => {
                tracing::debug!(%error, "a QUIC handshake failed");
                self.shared.counters.count(Outcome::Failed);
            }
        }
    }
}
