//! One connection from its first byte to its last request, with the limits on what a peer may take.

use std::convert::Infallible;
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
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tower::Service as _;

use crate::tls::Acceptor;

/// How long a peer may take to send the head of a request, and stay silent between two requests. Longer than
/// what callers of the API keep unused connections for.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Longest head of a request and largest read buffer in bytes: the memory that a silent peer can bind.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// How long, at the end, a peer may be silent while it owes a request, or the rest of one's head, or has yet to take an answer;
/// and how long a handshake may go on.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// Waits until a peer that has not said anything is not waited for any longer.
pub(super) async fn silent_too_long(stop: &CancellationToken) {
    if timeout(HEAD_TIMEOUT, stop.cancelled()).await.is_ok() {
        sleep(LAST_WAIT).await;
    }
}

/// A connection over TLS.
pub(super) async fn secured(
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

/// A connection over which HTTP is spoken.
pub(super) async fn connection<S>(stream: S, peer: SocketAddr, router: Router, stop: CancellationToken)
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
