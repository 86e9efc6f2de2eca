//! The connection for commands: one at a time, given up at the first error, and made anew in the open.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use redis::AsyncConnectionConfig;
use redis::aio::MultiplexedConnection;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{info, warn};

use super::Way;
use super::backoff::Backoff;
use super::safety::Safety;
use crate::redis::{Dialed, MemoryLimits, Replication};
use crate::store::StoreError;

/// A handle to the connection; clones share it.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    shared: Arc<Shared>,
    live: watch::Receiver<Option<Live>>,
}

#[derive(Debug)]
struct Shared {
    timeout: Duration,
    safety: Arc<Safety>,
    status: Mutex<Result<(), String>>,
    /// The latest connection that was found broken.
    broken: watch::Sender<u64>,
}

/// A connection while it is usable. The library does not reconnect it.
#[derive(Clone, Debug)]
struct Live {
    serial: u64,
    connection: MultiplexedConnection,
}

impl Connection {
    /// Starts to connect, and to keep connected, in one of `tasks`.
    pub(super) fn start(way: Way, safety: Arc<Safety>, tasks: &mut JoinSet<()>) -> Self {
        let (publish, live) = watch::channel(None);
        let shared = Arc::new(Shared {
            timeout: way.timeout,
            safety,
            status: Mutex::new(Err("not connected yet".to_owned())),
            broken: watch::Sender::new(0),
        });
        tasks.spawn(keep_connected(way, Arc::clone(&shared), publish));
        Self { shared, live }
    }

    /// Whether the store answered lately, in words where it did not.
    pub(super) fn status(&self) -> Result<(), String> {
        self.shared.status.lock().clone()
    }

    /// Runs one command. A connection that errs or is late is not used again: what it would still answer belongs to
    /// a command that nobody waits for.
    pub(super) async fn run<T, E: ToString>(
        &self,
        command: impl AsyncFnOnce(&mut MultiplexedConnection) -> Result<T, E>,
    ) -> Result<T, StoreError> {
        let mut used = None;
        let answer = timeout(self.shared.timeout, async {
            let mut live = self.live().await?;
            used = Some(live.serial);
            command(&mut live.connection)
                .await
                .map_err(|error| error.to_string())
        });
        let failed = match answer.await {
            Ok(Ok(value)) => {
                *self.shared.status.lock() = Ok(());
                return Ok(value);
            }
            Ok(Err(error)) => error,
            Err(_) if used.is_none() => self.status().err().unwrap_or_else(|| "not connected".to_owned()),
            Err(_) => "no answer in time".to_owned(),
        };
        if let Some(serial) = used {
            self.shared.give_up(serial, &failed);
        }
        Err(StoreError::Unavailable(failed))
    }

    /// Publishes `message` on `channel`.
    pub(super) async fn publish(&self, channel: String, message: Bytes) -> Result<(), StoreError> {
        let mut command = redis::cmd("PUBLISH");
        command.arg(channel).arg(&message[..]);
        self.run(async |connection| command.query_async(connection).await)
            .await
    }

    async fn live(&self) -> Result<Live, String> {
        let mut live = self.live.clone();
        let found = live.wait_for(Option::is_some).await;
        let found = found.map_err(|_| "the store is closed".to_owned())?;
        found.clone().ok_or_else(|| "not connected".to_owned())
    }
}

impl Shared {
    fn give_up(&self, serial: u64, error: &str) {
        *self.status.lock() = Err(error.to_owned());
        self.broken.send_if_modified(|broken| {
            let later = *broken < serial;
            *broken = serial.max(*broken);
            later
        });
    }
}

async fn keep_connected(mut way: Way, shared: Arc<Shared>, publish: watch::Sender<Option<Live>>) {
    let mut backoff = Backoff::new();
    let mut broken = shared.broken.subscribe();
    let mut reachable = true;
    for serial in 1.. {
        way.takeovers.mark_unchanged();
        let failed = match timeout(shared.timeout, connect(&way, &shared.safety)).await {
            Ok(Ok(Dialed {
                redis,
                driver: _driver,
            })) => {
                info!("connected to the topology store");
                reachable = true;
                backoff.reset();
                *shared.status.lock() = Ok(());
                publish.send_replace(Some(Live {
                    serial,
                    connection: redis,
                }));
                tokio::select! {
                    over = async { broken.wait_for(|latest| *latest >= serial).await.is_err() } => {
                        if over {
                            return;
                        }
                    }
                    () = way.taken_over() => {
                        *shared.status.lock() = Err("another server has taken over".to_owned());
                    }
                }
                publish.send_replace(None);
                shared.status.lock().clone().err().unwrap_or_default()
            }
            Ok(Err(error)) => error,
            Err(_) => "no connection in time".to_owned(),
        };
        if std::mem::replace(&mut reachable, false) {
            warn!(error = failed, "lost the topology store");
        }
        *shared.status.lock() = Err(failed);
        tokio::select! {
            () = backoff.wait() => {}
            () = way.taken_over() => {}
        }
    }
}

/// Connects to the server, which must be a primary if Sentinels have named it.
async fn connect(way: &Way, safety: &Safety) -> Result<Dialed, String> {
    let config = AsyncConnectionConfig::new().set_response_timeout(Some(way.timeout));
    let mut dialed = way.dialer.connect(config).await?;
    if let Some(primary) = way.dialer.primary() {
        let replication = Replication::ask(&mut dialed.redis).await?;
        if !replication.is_primary {
            return Err("the server that Sentinel names is not a primary (yet)".to_owned());
        }
        safety.note(&primary, replication);
    }
    warn_of_eviction(&mut dialed.redis).await;
    Ok(dialed)
}

/// Warns if the server may throw the topology away. One that does not say is believed to do it right.
async fn warn_of_eviction(connection: &mut MultiplexedConnection) {
    let answer = connection.send_packed_command(&MemoryLimits::question()).await;
    let limits = answer.ok().and_then(MemoryLimits::read);
    if let Some(policy) = limits.as_ref().and_then(MemoryLimits::dangerous_policy) {
        warn!(
            policy,
            "maxmemory-policy lets the topology store evict the topology: set it to noeviction"
        );
    }
}
