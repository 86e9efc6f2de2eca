//! Opening connections: to the server of a URL, or to the one that Sentinels name at that moment.
//!
//! Each connection is opened once, explicitly: what is lost is opened again by whoever needs it, who thereby asks the
//! Sentinels anew.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use ::redis::aio::{MultiplexedConnection, PubSub};
use ::redis::{AsyncConnectionConfig, ProtocolVersion, RedisConnectionInfo, RedisError};
use futures_util::future::select_ok;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio_util::task::AbortOnDropHandle;

use super::config::RedisConfigError;
use super::place::{Host, RedisPlace};
use super::reply;
use super::sentinel;
use super::tls::{RedisTls, TlsClient};

/// How long Sentinels wait before they take a silent primary for gone, until they have said it themselves: their default.
const DOWN_AFTER: Duration = Duration::from_secs(30);

/// Opens connections to one Redis. Clones share it.
#[derive(Clone)]
pub(crate) struct Dialer(Arc<Inner>);

struct Inner {
    place: RedisPlace,
    tls: Option<TlsClient>,
    known: Mutex<Known>,
}

/// What Sentinels have said.
struct Known {
    /// The primary that was connected to last.
    primary: Option<Host>,
    down_after: Duration,
}

/// A connection that was opened, and the task that drives it, which ends with this.
pub(crate) struct Dialed {
    pub(crate) redis: MultiplexedConnection,
    pub(crate) driver: AbortOnDropHandle<()>,
}

/// What bytes travel over.
trait Wire: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Wire for T {}

impl Dialer {
    /// Checks what can be checked without connecting.
    pub(crate) fn new(url: &str, tls: &RedisTls) -> Result<Self, RedisConfigError> {
        let place = RedisPlace::parse(url)?;
        let tls = match place.has_tls() {
            true => Some(TlsClient::open(tls.clone())?),
            false => None,
        };
        let known = Mutex::new(Known {
            primary: None,
            down_after: DOWN_AFTER,
        });
        Ok(Self(Arc::new(Inner { place, tls, known })))
    }

    pub(super) fn place(&self) -> &RedisPlace {
        &self.0.place
    }

    /// Whether Sentinels say which server it is.
    pub(crate) fn has_sentinels(&self) -> bool {
        self.0.place.has_sentinels()
    }

    /// Opens a connection for commands.
    pub(crate) async fn connect(&self, config: AsyncConnectionConfig) -> Result<Dialed, String> {
        let server = self.server().await?;
        let opened = self
            .connect_to(&server, &self.0.place.server_login(), config)
            .await;
        opened.map_err(|words| self.of_server(&server, words))
    }

    /// Opens a connection for Pub/Sub alone.
    pub(crate) async fn pubsub(&self) -> Result<PubSub, String> {
        let server = self.server().await?;
        let login = self.0.place.server_login().set_protocol(ProtocolVersion::RESP2);
        let opened = async {
            let wire = self.wire(&server).await?;
            let opened = PubSub::new(&login, wire).await;
            opened.map_err(|error| self.words(&server, &error))
        };
        opened.await.map_err(|words| self.of_server(&server, words))
    }

    /// Opens a connection to `host`, which need not be the server.
    pub(super) async fn connect_to(
        &self,
        host: &Host,
        login: &RedisConnectionInfo,
        config: AsyncConnectionConfig,
    ) -> Result<Dialed, String> {
        let wire = self.wire(host).await?;
        let (redis, driver) = MultiplexedConnection::new_with_config(login, wire, config)
            .await
            .map_err(|error| self.words(host, &error))?;
        let driver = AbortOnDropHandle::new(tokio::spawn(driver));
        Ok(Dialed { redis, driver })
    }

    /// How long the Sentinels wait before they replace a silent primary; nothing where there are none.
    pub(super) fn down_after(&self) -> Duration {
        match self.0.place.has_sentinels() {
            true => self.0.known.lock().down_after,
            false => Duration::ZERO,
        }
    }

    pub(super) fn note_down_after(&self, down_after: Duration) {
        self.0.known.lock().down_after = down_after;
    }

    /// The primary that was connected to last.
    pub(super) fn last_primary(&self) -> Option<Host> {
        self.0.known.lock().primary.clone()
    }

    async fn server(&self) -> Result<Host, String> {
        if !self.0.place.has_sentinels() {
            return Ok(self.0.place.hosts()[0].clone());
        }
        let host = sentinel::primary(self).await?.host;
        self.0.known.lock().primary = Some(host.clone());
        Ok(host)
    }

    /// Says which server was meant where the configuration does not.
    fn of_server(&self, server: &Host, words: String) -> String {
        match self.0.place.has_sentinels() {
            true => format!("the primary {server}: {words}"),
            false => words,
        }
    }

    async fn wire(&self, host: &Host) -> Result<Box<dyn Wire>, String> {
        let stream = tcp(host).await.map_err(|error| error.to_string())?;
        match &self.0.tls {
            None => Ok(Box::new(stream)),
            Some(tls) => Ok(Box::new(tls.connect(&host.name, stream).await?)),
        }
    }

    fn words(&self, host: &Host, error: &RedisError) -> String {
        let tls = self.0.tls.as_ref();
        let explained = tls.and_then(|tls| tls.explain(&host.name, error));
        explained.unwrap_or_else(|| reply::words(error))
    }
}

impl std::fmt::Debug for Dialer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Dialer({})", self.0.place)
    }
}

/// To whichever of the host's addresses answers first.
async fn tcp(host: &Host) -> io::Result<TcpStream> {
    let addresses = lookup_host((host.name.as_str(), host.port)).await?;
    let attempts: Vec<_> = addresses
        .map(|address| Box::pin(TcpStream::connect(address)))
        .collect();
    if attempts.is_empty() {
        return Err(io::Error::other("the name has no address"));
    }
    let (stream, _) = select_ok(attempts).await?;
    // Commands are sent when they are complete; waiting for more in the kernel would only add latency.
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Awaits what a connection does, for `limit` at most.
pub(super) async fn in_time<T, E: ToString>(
    limit: Duration,
    answer: impl Future<Output = Result<T, E>>,
) -> Result<T, String> {
    match tokio::time::timeout(limit, answer).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err("no answer in time".to_owned()),
    }
}
