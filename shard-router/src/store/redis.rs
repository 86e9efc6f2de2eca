//! The store in one Redis.
//!
//! Keys, under a prefix: `…:topology` (a hash: generation, change id, document), `…:gateways` (a sorted set by expiry)
//! and `…:gateways:reports`, `…:lease`, `…:token`. Pub/Sub channels: `…:changes`, `…:messages` and
//! `…:messages:<gateway>`. Expiry goes by the server's clock alone.
//!
//! The server must keep every acknowledged change (`appendfsync always`): a store that forgets the last generation
//! would hand it out again. Where Sentinels watch over it, changes and tokens count once a replica has them, or once they
//! are found again on the server that most Sentinels name (`assurance`).

use std::future::pending;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{
    GatewayId, GatewayReport, MESSAGES_HELD, REGISTRATION_TTL, StoreError, StoreFuture, TopologyStore,
};
use crate::redis::{Dialer, RedisConfigError, RedisTls, count_takeovers, open_dialer};
use crate::topology::{Token, Topology};

mod assurance;
mod backoff;
mod connection;
mod keys;
mod poll;
mod safety;
mod scripts;
mod subscriber;

use assurance::Assurance;
use connection::Connection;
use keys::{Keys, Version};
use poll::Poll;
use safety::Safety;
use scripts::Scripts;
use subscriber::{Listen, Subscriber};

/// How many gateways of this process may ask to listen at the same time; one does, once, when it starts.
const LISTEN_REQUESTS: usize = 16;

/// Where the store is and how it is used. No `Debug`: the URL holds a password.
#[derive(Clone)]
pub struct RedisStoreConfig {
    /// A server, or Sentinels: see [`RedisPlace`](crate::redis::RedisPlace).
    pub url: String,
    /// PEM file with the certificates that sign the server's; `None`: those of `tls`.
    pub ca_file: Option<PathBuf>,
    /// How connections are encrypted if the URL says that they are.
    pub tls: RedisTls,
    /// What every key and channel begins with, so that deployments can share a server.
    pub prefix: String,
    /// How long a command may take, waiting for a connection included.
    pub command_timeout: Duration,
    /// How long registrations and the lease last.
    pub registration_ttl: Duration,
}

impl RedisStoreConfig {
    /// The store at `url`, everything else as usual: prefix `campanile`, two seconds for a command.
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            ca_file: None,
            tls: RedisTls::default(),
            prefix: "campanile".to_owned(),
            command_timeout: Duration::from_secs(2),
            registration_ttl: REGISTRATION_TTL,
        }
    }
}

/// How connections to the server are made.
#[derive(Clone, Debug)]
struct Way {
    dialer: Dialer,
    /// Counts how often another server has taken over: connections to the one before are of no use then.
    takeovers: watch::Receiver<u64>,
    /// How long anything may take.
    timeout: Duration,
}

impl Way {
    /// Waits until another server has taken over.
    async fn taken_over(&mut self) {
        if self.takeovers.changed().await.is_err() {
            pending::<()>().await;
        }
    }
}

/// A topology store in Redis. Connects in the background, and again when the connection is lost; commands that find
/// none wait for it as long as they may.
#[derive(Debug)]
pub struct RedisStore {
    keys: Keys,
    scripts: Scripts,
    connection: Connection,
    changes: watch::Sender<u64>,
    listen: mpsc::Sender<Listen>,
    /// A replica may take the server's place: what must not be forgotten is given it first.
    assurance: Assurance,
    safety: Arc<Safety>,
    command_timeout: Duration,
    registration_ttl: Duration,
    /// Ended when the store is dropped.
    _tasks: JoinSet<()>,
}

impl RedisStore {
    /// Opens the store; needs a runtime.
    ///
    /// # Errors
    ///
    /// If the URL is not understood, or its certificates cannot be read. An unreachable server is none: it may come.
    pub fn open(config: RedisStoreConfig) -> Result<Self, RedisConfigError> {
        let dialer = open_dialer(&config.url, config.ca_file, &config.tls)?;
        let keys = Keys::new(&config.prefix);
        let mut tasks = JoinSet::new();
        let takeovers = watch::Sender::new(0);
        let way = Way {
            dialer: dialer.clone(),
            takeovers: takeovers.subscribe(),
            timeout: config.command_timeout,
        };
        tasks.spawn(count_takeovers(dialer, config.command_timeout, takeovers));
        let safety = Arc::<Safety>::default();
        let connection = Connection::start(way.clone(), Arc::clone(&safety), &mut tasks);
        let changes = watch::Sender::new(0);
        let (listen, requests) = mpsc::channel(LISTEN_REQUESTS);
        let subscriber = Subscriber::new(way.clone(), keys.clone(), changes.clone());
        tasks.spawn(subscriber.run(requests));
        let poll = Poll {
            connection: connection.clone(),
            dialer: way.dialer.clone(),
            keys: keys.clone(),
            changes: changes.clone(),
            safety: Arc::clone(&safety),
        };
        tasks.spawn(poll.run());
        Ok(Self {
            keys,
            scripts: Scripts::new(),
            connection,
            changes,
            listen,
            assurance: Assurance::new(&way),
            safety,
            command_timeout: config.command_timeout,
            registration_ttl: config.registration_ttl,
            _tasks: tasks,
        })
    }

    fn ttl_millis(&self) -> u64 {
        u64::try_from(self.registration_ttl.as_millis()).unwrap_or(u64::MAX)
    }

    async fn listen_as(&self, gateway: &GatewayId) -> Result<mpsc::Receiver<Bytes>, StoreError> {
        let (sender, receiver) = mpsc::channel(MESSAGES_HELD);
        let (done, subscribed) = oneshot::channel();
        let gone = |what: &str| StoreError::Unavailable(what.to_owned());
        let request = Listen {
            gateway: gateway.clone(),
            sender,
            done,
        };
        let asked = async {
            self.listen
                .send(request)
                .await
                .map_err(|_| gone("the store is closed"))?;
            subscribed.await.map_err(|_| gone("the store is closed"))
        };
        match timeout(self.command_timeout, asked).await {
            Ok(answer) => answer.map(|()| receiver),
            Err(_) => Err(gone("no subscription in time")),
        }
    }
}

impl TopologyStore for RedisStore {
    fn read(&self) -> StoreFuture<'_, Option<Topology>> {
        Box::pin(async move {
            let mut command = ::redis::cmd("HGET");
            command.arg(&self.keys.topology).arg("document");
            let stored: Option<Vec<u8>> = self
                .connection
                .run(async |connection| command.query_async(connection).await)
                .await?;
            let decode = |bytes: Vec<u8>| Topology::decode(&bytes).map_err(|error| malformed(&error));
            stored.map(decode).transpose()
        })
    }

    fn compare_and_set<'a>(
        &'a self,
        expected: Option<&'a Topology>,
        next: &'a Topology,
    ) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let (generation, change_id) = expected.map_or_else(Default::default, |expected| {
                (expected.generation.to_string(), expected.change_id.to_string())
            });
            let mut call = self.scripts.compare_and_set.key(&self.keys.topology);
            call.arg(generation).arg(change_id);
            call.arg(next.generation.0).arg(next.change_id).arg(next.encode());
            call.arg(&self.keys.changes);
            let version = self.keys.version();
            let written = (Some(next.generation.0), Some(next.change_id));
            self.connection
                .run(async |connection| {
                    let asked = call.invoke_async(connection).await;
                    let done: bool = asked.map_err(|error| error.to_string())?;
                    if done {
                        let stands = |found: Version| found == written;
                        self.assurance.make_sure(connection, &version, stands).await?;
                    }
                    Ok::<_, String>(done)
                })
                .await
        })
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn register<'a>(
        &'a self,
        gateway: &'a GatewayId,
        report: &'a GatewayReport,
        must_exist: bool,
    ) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let mut call = self.scripts.register.key(&self.keys.gateways);
            call.key(&self.keys.reports);
            call.arg(&*gateway.0)
                .arg(report.encode())
                .arg(self.ttl_millis())
                .arg(u8::from(must_exist));
            self.connection
                .run(async |connection| call.invoke_async(connection).await)
                .await
        })
    }

    fn deregister<'a>(&'a self, gateway: &'a GatewayId) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let mut call = self.scripts.deregister.key(&self.keys.gateways);
            call.key(&self.keys.reports).arg(&*gateway.0);
            self.connection
                .run(async |connection| call.invoke_async(connection).await)
                .await
        })
    }

    fn gateways(&self) -> StoreFuture<'_, Vec<(GatewayId, GatewayReport)>> {
        Box::pin(async move {
            let mut call = self.scripts.gateways.key(&self.keys.gateways);
            call.key(&self.keys.reports);
            let live: Vec<(String, String)> = self
                .connection
                .run(async |connection| call.invoke_async(connection).await)
                .await?;
            let named = live.into_iter();
            Ok(named
                .map(|(id, report)| (GatewayId(id.into()), GatewayReport::decode(&report)))
                .collect())
        })
    }

    fn hold_lease<'a>(&'a self, gateway: &'a GatewayId) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let mut call = self.scripts.hold_lease.key(&self.keys.lease);
            call.arg(&*gateway.0).arg(self.ttl_millis());
            self.connection
                .run(async |connection| call.invoke_async(connection).await)
                .await
        })
    }

    fn release_lease<'a>(&'a self, gateway: &'a GatewayId) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let mut call = self.scripts.release_lease.key(&self.keys.lease);
            call.arg(&*gateway.0);
            self.connection
                .run(async |connection| call.invoke_async(connection).await)
                .await
        })
    }

    fn next_token(&self) -> StoreFuture<'_, Token> {
        Box::pin(async move {
            let [mut next, mut last] = ["INCR", "GET"].map(::redis::cmd);
            next.arg(&self.keys.token);
            last.arg(&self.keys.token);
            let token = self
                .connection
                .run(async |connection| {
                    let asked = next.query_async(connection).await;
                    let token: u64 = asked.map_err(|error| error.to_string())?;
                    let stands = |last: u64| last >= token;
                    self.assurance.make_sure(connection, &last, stands).await?;
                    Ok::<_, String>(token)
                })
                .await;
            token.map(Token)
        })
    }

    fn broadcast(&self, message: Bytes) -> StoreFuture<'_, ()> {
        Box::pin(self.connection.publish(self.keys.messages.clone(), message))
    }

    fn send<'a>(&'a self, to: &'a GatewayId, message: Bytes) -> StoreFuture<'a, ()> {
        Box::pin(self.connection.publish(self.keys.messages_to(to), message))
    }

    fn listen<'a>(&'a self, gateway: &'a GatewayId) -> StoreFuture<'a, mpsc::Receiver<Bytes>> {
        Box::pin(self.listen_as(gateway))
    }

    fn status(&self) -> Result<(), String> {
        self.connection.status()
    }

    fn notes(&self) -> Vec<String> {
        self.safety.notes()
    }
}

/// The error with its causes, in one line.
fn malformed(error: &dyn std::error::Error) -> StoreError {
    let causes = std::iter::successors(Some(error), |error| error.source());
    StoreError::Malformed(causes.map(ToString::to_string).collect::<Vec<_>>().join(": "))
}
