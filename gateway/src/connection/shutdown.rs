//! The end of all connections.

use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};
use rand::seq::SliceRandom;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::Connection;
use super::host::Host;
use crate::session::ServerCommand;

/// How finely the goodbyes are spread.
const STEP: Duration = Duration::from_millis(20);

/// How clients are sent elsewhere.
#[derive(Clone, Copy, Debug)]
pub struct Departure {
    /// Over how long they are told.
    pub spread: Duration,
    /// How long they may take to be told and to go, all in all.
    pub timeout: Duration,
}

/// What became of the clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Departed {
    /// How many have been told to go.
    pub told: usize,
    /// In how many batches.
    pub batches: usize,
    /// How many have not gone in time.
    pub left: usize,
}

impl Departed {
    /// Whether nobody is there any more.
    #[must_use]
    pub const fn all_gone(&self) -> bool {
        self.left == 0
    }
}

/// What is counted about the end.
#[derive(Clone, Debug)]
pub struct ShutdownMeters {
    ending: Gauge,
    told: Counter,
    batches: Counter,
    left: Gauge,
}

impl ShutdownMeters {
    /// The metrics of the installed recorder.
    #[must_use]
    pub fn register() -> Self {
        describe_gauge!(
            "campanile_shutting_down",
            "1 from the moment at which the gateway was told to end, else 0."
        );
        describe_counter!(
            "campanile_shutdown_clients_told_total",
            "Clients that were told to go elsewhere because the gateway ends."
        );
        describe_counter!(
            "campanile_shutdown_batches_total",
            "Batches in which they were told."
        );
        describe_gauge!(
            "campanile_shutdown_clients_left",
            "Clients that are still to be told to go elsewhere; 0 while the gateway does not end."
        );
        Self {
            ending: gauge!("campanile_shutting_down"),
            told: counter!("campanile_shutdown_clients_told_total"),
            batches: counter!("campanile_shutdown_batches_total"),
            left: gauge!("campanile_shutdown_clients_left"),
        }
    }

    /// The gateway was told to end.
    pub fn begin(&self) {
        self.ending.set(1.0);
    }

    fn to_be_told(&self, clients: usize) {
        self.left.set(clients as f64);
    }

    fn told(&self, batch: usize, left: usize) {
        self.batches.increment(1);
        self.told.increment(batch as u64);
        self.to_be_told(left);
    }
}

impl Host {
    /// Lets no connection in any more, tells all that are there to go elsewhere (code 3001), and waits for
    /// them to go. They are told in random order, a batch at a time, so that the other gateways are not stormed; whoever
    /// waits for an answer then gets it first.
    pub async fn shut_down(&self, departure: Departure) -> Departed {
        self.admission.close();
        let latest = Instant::now() + departure.timeout;
        let (told, batches) = self.say_goodbye(departure.spread, latest).await;
        // Those who have not gone by then are counted below.
        let _ = timeout_at(latest, self.admission.empty()).await;
        Departed {
            told,
            batches,
            left: self.admission.present(),
        }
    }

    /// How many have been told until `latest`, and in how many batches.
    async fn say_goodbye(&self, spread: Duration, latest: Instant) -> (usize, usize) {
        let mut connections = self.registry.all();
        connections.shuffle(&mut rand::rng());
        let steps = u32::try_from(spread.as_millis() / STEP.as_millis())
            .unwrap_or(u32::MAX)
            .max(1);
        let at_once = connections.len().div_ceil(steps as usize).max(1);
        self.shutdown.to_be_told(connections.len());
        let (mut told, mut batches) = (0, 0);
        let mut next = Instant::now();
        for batch in connections.chunks(at_once) {
            if next > latest {
                break;
            }
            sleep_until(next).await;
            batch.iter().for_each(goodbye);
            (told, batches) = (told + batch.len(), batches + 1);
            self.shutdown.told(batch.len(), connections.len() - told);
            next += STEP;
        }
        (told, batches)
    }
}

/// Tells a client to go elsewhere.
pub(super) fn goodbye(connection: &Arc<Connection>) {
    connection.handle_server(ServerCommand::GoElsewhere);
}
