//! The end of all connections.

use std::sync::Arc;
use std::time::Duration;

use campanile_common::DisconnectCode;
use rand::seq::SliceRandom;
use tokio::time::{Instant, sleep_until, timeout};

use super::Connection;
use super::host::Host;
use crate::config::ShutdownOptions;
use crate::session::ServerCommand;

/// How finely the goodbyes are spread.
const STEP: Duration = Duration::from_millis(20);

impl Host {
    /// Lets no connection in any more, tells all that are there to go elsewhere ([`DisconnectCode::Shutdown`]), in random
    /// order over `spread` so that the other gateways are not stormed, and waits for them to go, all in all not
    /// longer than `timeout`. Whether all have gone.
    pub async fn shut_down(&self, options: ShutdownOptions) -> bool {
        self.admission.close();
        let all = async {
            self.say_goodbye(options.spread).await;
            self.admission.empty().await;
        };
        timeout(options.timeout, all).await.is_ok()
    }

    async fn say_goodbye(&self, spread: Duration) {
        let mut connections = self.registry.all();
        connections.shuffle(&mut rand::rng());
        let steps = u32::try_from(spread.as_millis() / STEP.as_millis())
            .unwrap_or(u32::MAX)
            .max(1);
        let at_once = connections.len().div_ceil(steps as usize).max(1);
        let mut next = Instant::now();
        for some in connections.chunks(at_once) {
            sleep_until(next).await;
            some.iter().for_each(goodbye);
            next += STEP;
        }
    }
}

/// Tells a client to go elsewhere.
pub(super) fn goodbye(connection: &Arc<Connection>) {
    connection.handle_server(ServerCommand::Disconnect(DisconnectCode::Shutdown.into()));
}
