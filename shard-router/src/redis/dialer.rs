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
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::config::RedisConfigError;
use super::place::{Host, RedisPlace};
use super::reply;
use super::sentinel::{self, Council, Primary};
use super::tls::{RedisTls, TlsClient};

/// How long Sentinels wait before they take a silent primary for gone, until they have said it themselves: their default.
const DOWN_AFTER: Duration = Duration::from_secs(30);

/// Opens connections to one Redis. Clones share it.
#[derive(Clone)]
pub(crate) struct Dialer(Arc<Inner>);

struct Inner {
    place: RedisPlace,
    tls: Option<TlsClient>,
    /// What Sentinels say; those who wait are woken when another server is believed to be the primary.
    council: watch::Sender<Council>,
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
        let sentinels = if place.has_sentinels() {
            place.hosts().len()
        } else {
            0
        };
        let council = watch::Sender::new(Council::of(sentinels));
        Ok(Self(Arc::new(Inner { place, tls, council })))
    }

    /// Goes on with what `before` has come to believe, if it asks about the same service: one of the same name, and with one of the
    /// same Sentinels.
    pub(super) fn inherit(&self, before: &Self) {
        let (place, former) = (self.place(), before.place());
        let same_sentinel = place.hosts().iter().any(|host| former.hosts().contains(host));
        if let Some(believed) = before.believed()
            && place.service() == former.service()
            && same_sentinel
        {
            self.0.council.send_modify(|council| council.begin_with(believed));
        }
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

    /// Opens a connection for commands to the server that most of the Sentinels name now.
    pub(crate) async fn connect_to_agreed(&self, config: AsyncConnectionConfig) -> Result<Dialed, String> {
        let server = sentinel::agreed_primary(self).await?.host;
        let login = self.0.place.server_login();
        let opened = self.connect_to(&server, &login, config).await;
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
        match self.has_sentinels() {
            true => self.believed().map_or(DOWN_AFTER, |primary| primary.down_after),
            false => Duration::ZERO,
        }
    }

    /// The address of the primary, by what Sentinels have said, if there are any.
    pub(crate) fn primary(&self) -> Option<String> {
        self.believed().map(|primary| primary.host.to_string())
    }

    /// What Sentinels say, for those who wait for changes.
    pub(super) fn council(&self) -> watch::Receiver<Council> {
        self.0.council.subscribe()
    }

    /// The primary, by what Sentinels have said.
    pub(super) fn believed(&self) -> Option<Primary> {
        self.0.council.borrow().believed().cloned()
    }

    /// The Sentinel at this place of the URL has said something.
    pub(super) fn hear(&self, sentinel: usize, word: Primary) {
        self.deliberate(|council| council.hear(sentinel, word, Instant::now()));
    }

    /// A server that is to be examined, and [accepted](Self::accept) if it is a primary.
    pub(super) fn doubt(&self) -> Option<Primary> {
        self.deliberate(|council| council.doubt(Instant::now()))
    }

    /// The Sentinel at this place of the URL says nothing any more.
    pub(super) fn miss(&self, sentinel: usize) {
        self.deliberate(|council| council.miss(sentinel));
    }

    /// What was to be examined is a primary.
    pub(super) fn accept(&self, examined: &Primary) {
        self.deliberate(|council| council.accept(examined));
    }

    /// Nobody has listened to the Sentinels for a while.
    pub(super) fn adjourn(&self) {
        self.deliberate(Council::adjourn);
    }

    /// Wakes those who wait if another server is believed to be the primary than before.
    fn deliberate<T>(&self, act: impl FnOnce(&mut Council) -> T) -> T {
        let mut done = None;
        self.0.council.send_if_modified(|council| {
            let host = |council: &Council| council.believed().map(|primary| primary.host.clone());
            let before = host(council);
            done = Some(act(council));
            host(council) != before
        });
        done.expect("it has been called")
    }

    async fn server(&self) -> Result<Host, String> {
        match self.has_sentinels() {
            true => Ok(sentinel::primary(self).await?.host),
            false => Ok(self.0.place.hosts()[0].clone()),
        }
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
