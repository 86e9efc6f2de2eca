//! Sockets and connections.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::header::{CONNECTION, HeaderValue};
use axum::http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics::{Counter, counter, describe_counter};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service as _;

use super::waiting_room::{Door, waiting_room};
use crate::tls::Acceptor;
use crate::turnstile::Turnstile;

/// How long a peer may take to send the head of a request, and stay silent between two requests. Longer than
/// what callers of the API keep unused connections for.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Longest head of a request and largest read buffer in bytes: the memory that a silent peer can bind.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// How long, at the end, a peer may be silent while it owes a request, or the rest of one's head, or has yet to take an answer;
/// and how long a handshake may go on.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// How long no connection is accepted after the system has refused one, mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Connections that the system may have waiting to be accepted. Those for which it has no room try again after a second. The
/// system's own limit (`net.core.somaxconn`) applies too.
const BACKLOG: u32 = 65_535;

/// The address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub struct BindError {
    address: SocketAddr,
    source: io::Error,
}

/// A socket that listens and is not served yet.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
}

/// Listens on `address`.
pub async fn bind(address: SocketAddr) -> Result<Bound, BindError> {
    let listen = || {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        // A gateway that is started again need not wait for what is left of its former connections.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?;
        let address = listener.local_addr()?;
        Ok(Bound { listener, address })
    };
    listen().map_err(|source| BindError { address, source })
}

impl Bound {
    /// The address, with the port that the system chose.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`, over TLS where there is `tls`; then requests under way are answered, and those of peers that have
    /// connected before. Connections are tasks of `tasks`. Upgraded ones are no longer HTTP and are left alone.
    pub async fn serve(
        self,
        router: Router,
        tls: Option<Acceptor>,
        stop: CancellationToken,
        tasks: TaskTracker,
    ) {
        let (door, waiting) = waiting_room();
        let begin = |(stream, peer): (TcpStream, SocketAddr)| {
            let (router, stop) = (router.clone(), stop.clone());
            match tls.clone() {
                Some(tls) => tasks.spawn(secured(stream, tls, peer, router, stop)),
                None => tasks.spawn(connection(stream, peer, router, stop)),
            };
        };
        let turnstile = Turnstile::new();
        let accepting = accept(self.listener, door, stop.clone());
        tokio::join!(accepting, waiting.serve(&turnstile, begin));
    }
}

/// Lets those who connect into the waiting room, until `stop`; at the end also those whom the system has queued until then.
async fn accept(listener: TcpListener, door: Door<(TcpStream, SocketAddr)>, stop: CancellationToken) {
    describe_counter!(
        "campanile_http_accept_errors_total",
        "Connections that the system refused to accept"
    );
    let errors = counter!("campanile_http_accept_errors_total");
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok(connection) => door.enter(connection).await,
            Err(error) => pause(&error, &errors).await,
        }
    }
    for connection in last(listener) {
        door.enter(connection).await;
    }
}

/// Those who have connected and were not accepted yet. Nobody connects any more once this is dropped.
fn last(listener: TcpListener) -> impl Iterator<Item = (TcpStream, SocketAddr)> {
    let listener = listener.into_std().ok();
    let next = move || {
        let (stream, peer) = listener.as_ref()?.accept().ok()?;
        stream.set_nonblocking(true).ok()?;
        Some((TcpStream::from_std(stream).ok()?, peer))
    };
    std::iter::from_fn(next).take(BACKLOG as usize)
}

async fn pause(error: &io::Error, errors: &Counter) {
    tracing::warn!(%error, "cannot accept a connection");
    errors.increment(1);
    sleep(ACCEPT_PAUSE).await;
}

/// A connection over TLS.
async fn secured(
    stream: TcpStream,
    tls: Acceptor,
    peer: SocketAddr,
    router: Router,
    stop: CancellationToken,
) {
    let too_long = async {
        stop.cancelled().await;
        sleep(LAST_WAIT).await;
    };
    let stream = tokio::select! {
        stream = tls.accept(stream) => stream,
        () = too_long => None,
    };
    if let Some(stream) = stream {
        drop(tls);
        connection(stream, peer, router, stop).await;
    }
}

/// What is known of the requests of one connection.
#[derive(Debug, Default)]
struct Requests {
    /// One has come.
    any: AtomicBool,
    /// One is being answered.
    answering: AtomicBool,
}

async fn connection<S>(stream: S, peer: SocketAddr, router: Router, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let requests = Requests::default();
    let service = service_fn(|mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        respond(router.clone(), request, &requests, &stop)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            // Who has connected and not said anything yet would be closed unheard.
            if requests.any.load(Ordering::Relaxed) {
                connection.as_mut().graceful_shutdown();
            }
            finish(connection, &requests).await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "an HTTP connection broke");
    }
}

/// Waits until a request under way is answered. A peer that has not sent a whole one is not worth the wait.
async fn finish<E>(
    mut connection: impl Future<Output = Result<(), E>> + Unpin,
    requests: &Requests,
) -> Result<(), E> {
    loop {
        match timeout(LAST_WAIT, &mut connection).await {
            Ok(ended) => return ended,
            Err(_) if requests.answering.load(Ordering::Relaxed) => {}
            Err(_) => return Ok(()),
        }
    }
}

/// Answers a request; the last one of the connection, if the server is about to stop.
async fn respond(
    mut router: Router,
    request: Request<Incoming>,
    requests: &Requests,
    stop: &CancellationToken,
) -> Result<Response<Body>, Infallible> {
    requests.any.store(true, Ordering::Relaxed);
    requests.answering.store(true, Ordering::Relaxed);
    let mut answer = router.call(request).await?;
    requests.answering.store(false, Ordering::Relaxed);
    if stop.is_cancelled() && answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        answer
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(answer)
}
