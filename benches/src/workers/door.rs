//! How workers on other machines join.

use std::net::SocketAddr;
use std::time::Duration;

use rustix::system::uname;
use subtle::ConstantTimeEq as _;
use tokio::io::BufReader;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout};

use super::protocol::{FromWorker, ToWorker, VERSION};
use super::{wire, worker};
use crate::Failure;
use crate::report::progress::Progress;
use crate::run::{Clock, Port};

/// The longest first message: it comes from nobody knows whom.
const LONGEST_GREETING: usize = 1 << 10;

/// How long somebody at the door may take to say the word, and how long a worker looks for the controller.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often a worker's clock is looked at. The quickest answer says most.
const LOOKS: usize = 9;

/// Where workers join.
#[derive(Debug)]
pub(super) struct Door {
    listener: TcpListener,
    address: SocketAddr,
    token: String,
}

impl Door {
    pub(super) async fn open(address: &str) -> Result<Self, Failure> {
        let wrong = |error| Failure::run(format!("cannot wait for workers at {address}: {error}"));
        let listener = TcpListener::bind(address).await.map_err(wrong)?;
        Ok(Self {
            address: listener.local_addr()?,
            listener,
            token: format!("{:032x}", rand::random::<u128>()),
        })
    }

    /// The command with which a worker joins.
    pub(super) fn invitation(&self) -> String {
        let port = self.address.port();
        let host = if self.address.ip().is_unspecified() {
            uname().nodename().to_string_lossy().into_owned()
        } else {
            self.address.ip().to_string()
        };
        format!(
            "campanile-bench worker --join {host}:{port} --token {}",
            self.token
        )
    }

    /// The next one who knows the word; others are sent away, and the user is told.
    pub(super) async fn next(&self, progress: &mut Progress) -> Result<TcpStream, Failure> {
        loop {
            let (mut stream, from) = self.listener.accept().await?;
            match timeout(PATIENCE, self.check(&mut stream)).await {
                Ok(Ok(())) => {
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Ok(Err(failure)) => {
                    progress.note(&format!("{from} did not join: {failure}"));
                    // Who it is may well be gone.
                    let _ = wire::write(
                        &mut stream,
                        &ToWorker::Refused {
                            why: failure.to_string(),
                        },
                    )
                    .await;
                }
                Err(_) => progress.note(&format!("{from} did not join: it said nothing")),
            }
        }
    }

    async fn check(&self, stream: &mut TcpStream) -> Result<(), Failure> {
        // Nothing follows the greeting before it is answered: what is buffered is all there is.
        let mut read = BufReader::new(stream);
        match wire::read(&mut read, LONGEST_GREETING).await? {
            Some(FromWorker::Join { token, .. })
                if !bool::from(token.as_bytes().ct_eq(self.token.as_bytes())) =>
            {
                Err(Failure::run("the token is wrong"))
            }
            Some(FromWorker::Join { version, .. }) if version != VERSION => Err(Failure::run(format!(
                "the worker speaks version {version}, the controller {VERSION}: use the same program"
            ))),
            Some(FromWorker::Join { .. }) => Ok(()),
            _ => Err(Failure::run("not a worker")),
        }
    }
}

/// How a worker's clock stands to this one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Offset {
    /// By how much this clock is ahead of the worker's, in nanoseconds.
    pub(super) ahead: i64,
    /// How far from that it may be: half of the quickest answer's round trip.
    pub(super) exact_to: Duration,
}

impl Offset {
    /// How far the clocks have gone apart since `earlier`.
    pub(super) const fn drift_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.ahead.abs_diff(earlier.ahead))
    }
}

/// How a worker's clock stands to this one, by asking it some times.
pub(super) async fn clock_offset(port: &mut Port) -> Result<Offset, Failure> {
    let gone = || Failure::run("a worker that had joined does not tell the time");
    let clock = Clock::new();
    let mut best: Option<Offset> = None;
    for _ in 0..LOOKS {
        let asked = Instant::now();
        port.to.send(ToWorker::Time).await.map_err(|_| gone())?;
        let answer = timeout(PATIENCE, port.from.recv()).await;
        let Ok(Some(FromWorker::Time { now })) = answer else {
            return Err(gone());
        };
        // It looked at its clock somewhere between question and answer: in the middle, as far as anybody knows.
        let exact_to = asked.elapsed() / 2;
        let mine = i128::from(clock.now().nanoseconds()) - exact_to.as_nanos().cast_signed();
        let ahead = i64::try_from(mine - i128::from(now.nanoseconds())).unwrap_or_default();
        if best.is_none_or(|best| exact_to < best.exact_to) {
            best = Some(Offset { ahead, exact_to });
        }
    }
    best.ok_or_else(gone)
}

/// A worker that joins a controller, and ends when that has no more to do for it.
pub async fn join(address: &str, token: String) -> Result<(), Failure> {
    let mut stream = find(address).await?;
    stream.set_nodelay(true)?;
    let greeting = FromWorker::Join {
        version: VERSION,
        token,
    };
    wire::write(&mut stream, &greeting).await?;
    let (read, write) = stream.into_split();
    worker::over(BufReader::new(read), write).await
}

/// The controller may start later than its workers.
async fn find(address: &str) -> Result<TcpStream, Failure> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) if Instant::now() >= deadline => {
                return Err(Failure::run(format!("no controller at {address}: {error}")));
            }
            Err(_) => sleep(Duration::from_millis(200)).await,
        }
    }
}

#[cfg(test)]
mod tests;
