//! TLS on an accepted socket: handshakes, bounded in time and number.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::ring::Ticketer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::{TlsAcceptor, server};

use super::certificates::Certificates;
use super::metrics::{Handshakes, Outcome};

/// A TLS connection over TCP. Boxed, because it is large and moves through many hands until it is a client's.
pub type TlsStream = Box<server::TlsStream<TcpStream>>;

/// How long a peer may take until it has said who it is, from its first packet to the end of its handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Handshakes under way at once; others wait for their turn, within their time. One binds some 30 KiB. A core carries out
/// some thousands in a second, so that this many wait for their peers, not for the processor.
const MAX_HANDSHAKES: usize = 2048;

/// Bytes that a connection may hold encrypted and not yet taken by its peer, in addition to the queue of messages. One
/// record: as much as the kernel takes at once from a peer that takes anything at all.
const BUFFER_LIMIT: usize = 16 * 1024;

/// The only protocol that is spoken on TCP.
const ALPN: &[&[u8]] = &[b"http/1.1"];

/// Makes TLS connections of accepted sockets.
#[derive(Clone, Debug)]
pub struct Acceptor {
    config: Arc<ServerConfig>,
    places: Arc<Semaphore>,
    handshakes: Handshakes,
}

impl Acceptor {
    /// Shows these certificates.
    ///
    /// # Errors
    ///
    /// If the system has no randomness to give.
    pub fn new(certificates: &Certificates, handshakes: Handshakes) -> Result<Self, rustls::Error> {
        let mut config = certificates.server_config(ALPN);
        // Clients that come back are recognized by what they bring along: nothing is kept for them here.
        config.ticketer = Ticketer::new()?;
        config.send_tls13_tickets = 1;
        Ok(Self {
            config: Arc::new(config),
            places: Arc::new(Semaphore::new(MAX_HANDSHAKES)),
            handshakes,
        })
    }

    /// Carries out the handshake; `None`: nothing came of it, which is counted.
    pub async fn accept(&self, stream: TcpStream) -> Option<TlsStream> {
        let (stream, outcome) = match self.attempt(stream).await {
            Ok(stream) => (Some(stream), Outcome::Completed),
            Err(outcome) => (None, outcome),
        };
        self.handshakes.ended(outcome);
        stream
    }

    async fn attempt(&self, stream: TcpStream) -> Result<TlsStream, Outcome> {
        let deadline = Instant::now() + HANDSHAKE_TIMEOUT;
        // Sends what belongs together at once; waiting for more in the kernel would only add latency.
        stream.set_nodelay(true).map_err(|_| Outcome::Gone)?;
        // Who is silent takes no place from others.
        match timeout_at(deadline, first_byte(&stream)).await {
            Err(_) => return Err(Outcome::TimedOut),
            Ok(Err(_) | Ok(None)) => return Err(Outcome::Gone),
            Ok(Ok(Some(byte))) if byte.is_ascii_uppercase() => {
                let _ = timeout_at(deadline, explain(stream)).await;
                return Err(Outcome::Plain);
            }
            Ok(Ok(Some(_))) => {}
        }
        let place = timeout_at(deadline, self.places.acquire()).await;
        let _place = place.map_err(|_| Outcome::Busy)?;
        let handshake = TlsAcceptor::from(Arc::clone(&self.config))
            .accept_with(stream, |session| session.set_buffer_limit(Some(BUFFER_LIMIT)));
        match timeout_at(deadline, handshake).await {
            Ok(Ok(stream)) => Ok(Box::new(stream)),
            Ok(Err(error)) => {
                tracing::debug!(%error, "a TLS handshake failed");
                Err(Outcome::Failed)
            }
            Err(_) => Err(Outcome::TimedOut),
        }
    }
}

/// The first byte that the peer sends, which stays where it is; `None`: it sends none.
async fn first_byte(stream: &TcpStream) -> io::Result<Option<u8>> {
    let mut byte = [0];
    let count = stream.peek(&mut byte).await?;
    Ok((count > 0).then_some(byte[0]))
}

/// What whoever speaks plain HTTP is told.
const EXPLANATION: &str =
    "This port speaks TLS: write https:// instead of http://, and wss:// instead of ws://.\n";

/// How much of what is not TLS is read, so that the explanation is not cut off by what nobody has read.
const MAX_UNREAD: usize = 64 * 1024;

/// Answers a plain HTTP request, whatever it is.
async fn explain(mut stream: TcpStream) -> io::Result<()> {
    let length = EXPLANATION.len();
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{EXPLANATION}"
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    let (mut buffer, mut total) = ([0; 1024], 0);
    while total < MAX_UNREAD {
        match stream.read(&mut buffer).await? {
            0 => break,
            count => total += count,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
