//! Connecting: to the server, as the right user, and to a run whose name is known before anything else is said.

use std::future::Future;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, Cmd, Pipeline, PushInfo, Value};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use super::config::{RedisConfigError, RedisShardConfig};
use super::dialer::{Dialed, Dialer};
use super::grants;
use super::health::ConnectionState;
use super::identity;
use super::keys::Keys;
use super::reply;
use crate::shard::ShardError;
use crate::shard::intent::Intent;
use crate::topology::Incarnation;

/// The first wait after a connection broke or could not be made.
const BACKOFF_FIRST: Duration = Duration::from_millis(50);
/// The longest: also how long a server that came back may go unnoticed.
const BACKOFF_MOST: Duration = Duration::from_secs(2);

/// Makes connections to one server.
pub(super) struct Connector {
    /// Where the server is and how to get in; may be told anew.
    dialer: watch::Sender<Dialer>,
    pub(super) keys: Keys,
    pub(super) timeout: Duration,
}

/// A connection, and which run is at its other end.
pub(super) struct Connection {
    redis: MultiplexedConnection,
    pub(super) run: Incarnation,
    _driver: AbortOnDropHandle<()>,
}

/// Why a request on a connection has no answer.
#[derive(Clone, Debug)]
pub(super) enum Broken {
    /// Its time was over.
    TimedOut,
    /// The connection ended, in words.
    Ended(String),
}

impl Broken {
    /// What it means for a request that was sent.
    pub(super) fn unanswered(&self) -> ShardError {
        ShardError::Unanswered(self.words())
    }

    pub(super) fn words(&self) -> String {
        match self {
            Self::TimedOut => "the server did not answer in time".to_owned(),
            Self::Ended(words) => words.clone(),
        }
    }
}

impl Connector {
    pub(super) fn new(config: &RedisShardConfig, timeout: Duration) -> Result<Self, RedisConfigError> {
        let keys = Keys::new(config.checked_prefix()?);
        Ok(Self {
            dialer: watch::Sender::new(config.dialer()?),
            keys,
            timeout,
        })
    }

    /// Connects as `other` does from now on. The keys stay: they are the same in the whole deployment; and so does what is known of
    /// the primary of a service that is still the same.
    pub(super) fn follow(&self, other: &Self) {
        let dialer = other.dialer();
        dialer.inherit(&self.dialer());
        self.dialer.send_replace(dialer);
    }

    /// What opens its connections now.
    pub(super) fn dialer(&self) -> Dialer {
        self.dialer.borrow().clone()
    }

    /// The same, and whenever it becomes another one.
    pub(super) fn dialers(&self) -> watch::Receiver<Dialer> {
        self.dialer.subscribe()
    }

    /// When something that starts now must have ended.
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }

    /// How often a quiet connection is tried, and how long the answer may take: a server that stops answering is
    /// noticed within the command timeout.
    pub(super) fn check_every(&self) -> Duration {
        self.timeout / 2
    }

    /// Connects and asks for the run's name. `push` is called, and must not block, for everything that comes unasked
    /// and once when the connection ends.
    pub(super) async fn connect(
        &self,
        deadline: Instant,
        push: impl Fn(PushInfo) + Send + Sync + 'static,
    ) -> Result<Connection, String> {
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(None)
            .set_push_sender(move |info| {
                push(info);
                Ok::<(), std::convert::Infallible>(())
            });
        let dialer = self.dialer();
        let Dialed { redis, driver } = match timeout_at(deadline, dialer.connect(config)).await {
            Ok(connected) => connected?,
            Err(_) => return Err("connecting took too long".to_owned()),
        };
        let mut connection = Connection {
            redis,
            run: Incarnation::new(""),
            _driver: driver,
        };
        connection.run = connection.identify(deadline).await?;
        Ok(connection)
    }

    /// Connects to the trusted run. Anything else is an error, with the state to report.
    pub(super) async fn connect_trusted(
        &self,
        intent: &Intent,
        push: impl Fn(PushInfo) + Send + Sync + 'static,
    ) -> Result<Connection, ConnectionState> {
        let connection = self
            .connect(self.deadline(), push)
            .await
            .map_err(ConnectionState::Down)?;
        if intent.trusted.as_ref() == Some(&connection.run) {
            return Ok(connection);
        }
        Err(ConnectionState::Untrusted(connection.run))
    }

    /// Connects to the run that a coordinator means.
    pub(super) async fn connect_to(
        &self,
        run: &Incarnation,
        deadline: Instant,
    ) -> Result<Connection, ShardError> {
        let connection = self
            .connect(deadline, |_| ())
            .await
            .map_err(ShardError::Unavailable)?;
        if connection.run == *run {
            return Ok(connection);
        }
        Err(ShardError::Unavailable(format!(
            "another run answers: {}",
            connection.run
        )))
    }
}

impl Connection {
    /// Sends commands in one pipeline; one answer each, errors among them. After an error the connection is of no
    /// use: answers to what was sent may still come.
    pub(super) async fn send(
        &mut self,
        pipeline: &Pipeline,
        deadline: Instant,
    ) -> Result<Vec<Value>, Broken> {
        let count = pipeline.len();
        let sent = self.redis.send_packed_commands(pipeline, 0, count);
        let answers = within(deadline, sent).await?;
        if answers.len() == count {
            return Ok(answers);
        }
        Err(Broken::Ended(format!(
            "{} answers to {count} commands",
            answers.len()
        )))
    }

    /// Sends commands and fails with the first error among the answers.
    pub(super) async fn run_all(&mut self, commands: Vec<Cmd>, deadline: Instant) -> Result<(), String> {
        let answers = self
            .send(&pipeline(commands), deadline)
            .await
            .map_err(|broken| broken.words())?;
        for answer in answers {
            if let Value::ServerError(error) = answer {
                return Err(reply::server_error(&error).to_string());
            }
        }
        Ok(())
    }

    /// Loads scripts, and makes sure that the user may do what they do.
    pub(super) async fn prepare(
        &mut self,
        scripts: Vec<Cmd>,
        rehearsal: Cmd,
        deadline: Instant,
    ) -> Result<(), String> {
        self.run_all(scripts, deadline).await?;
        grants::missing(self.ask(rehearsal, deadline).await?)
    }

    /// Sends one command.
    pub(super) async fn ask(&mut self, command: Cmd, deadline: Instant) -> Result<Value, String> {
        let answers = self.send(&pipeline([command]), deadline).await;
        let mut answers = answers.map_err(|broken| broken.words())?;
        Ok(answers.pop().unwrap_or(Value::Nil))
    }

    /// Tries a connection: the server must answer, and still be the run that it was.
    pub(super) async fn check(&mut self, deadline: Instant) -> Result<(), Broken> {
        let run = self.identify(deadline).await.map_err(Broken::Ended)?;
        if run == self.run {
            return Ok(());
        }
        Err(Broken::Ended(format!("the server has become another run: {run}")))
    }

    async fn identify(&mut self, deadline: Instant) -> Result<Incarnation, String> {
        let answers = self.send(&pipeline(identity::questions()), deadline).await;
        identity::incarnation(answers.map_err(|broken| broken.words())?)
    }

    /// Subscribes to Pub/Sub channels and waits until each of them is acknowledged.
    pub(super) async fn subscribe(&mut self, topics: &[String], deadline: Instant) -> Result<(), Broken> {
        within(deadline, self.redis.subscribe(topics)).await
    }

    pub(super) async fn unsubscribe(&mut self, topics: &[String], deadline: Instant) -> Result<(), Broken> {
        within(deadline, self.redis.unsubscribe(topics)).await
    }
}

/// The commands as one pipeline.
pub(super) fn pipeline(commands: impl IntoIterator<Item = Cmd>) -> Pipeline {
    let mut pipeline = Pipeline::new();
    for command in commands {
        pipeline.add_command(command);
    }
    pipeline
}

async fn within<T>(
    deadline: Instant,
    answer: impl Future<Output = ::redis::RedisResult<T>>,
) -> Result<T, Broken> {
    match timeout_at(deadline, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(Broken::Ended(reply::words(&error))),
        Err(_) => Err(Broken::TimedOut),
    }
}

/// Waits that grow with each failure.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// How long to wait after one more failure: half to all of a bound that doubles.
    pub(super) fn failed(&mut self) -> Duration {
        let bound = BACKOFF_FIRST
            .saturating_mul(1 << self.failures.min(10))
            .min(BACKOFF_MOST);
        self.failures = self.failures.saturating_add(1);
        bound.mul_f64(rand::random_range(0.5..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_configuration_keeps_what_is_known_of_the_primary() {
        let connector = |url: &str| Connector::new(&RedisShardConfig::new(url), Duration::ZERO).unwrap();
        let present = connector("redis+sentinel://s/main");
        let word = crate::redis::sentinel::tests::primary(3, "a");
        present.dialer().hear(0, word.clone());
        let dialers = present.dialers();
        present.follow(&connector("redis+sentinel://s,t/main"));
        assert!(dialers.has_changed().unwrap());
        assert_eq!(dialers.borrow().believed(), Some(word));
        present.follow(&connector("redis+sentinel://s/other"));
        assert_eq!(dialers.borrow().believed(), None);
    }

    #[test]
    fn waits_grow_to_a_bound_and_start_over_after_success() {
        let mut backoff = Backoff::default();
        let first = backoff.failed();
        assert!(first >= BACKOFF_FIRST / 2 && first <= BACKOFF_FIRST, "{first:?}");
        for _ in 0..100 {
            assert!(backoff.failed() <= BACKOFF_MOST);
        }
        assert!(backoff.failed() >= BACKOFF_MOST / 2);
        backoff.succeeded();
        assert!(backoff.failed() <= BACKOFF_FIRST);
    }
}
