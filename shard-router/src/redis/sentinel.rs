//! Asking Sentinels which server is the primary, and being told when that becomes another one.
//!
//! All Sentinels are asked at once, and the answer with the highest configuration epoch counts: one that was cut off from
//! the others may name a server that they have replaced. That the server named is a primary, and which run of it, is
//! asked of the server itself by whoever connects to it.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, PushInfo, Value, from_redis_value};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use super::connection::{Backoff, pipeline};
use super::dialer::{Dialer, in_time};
use super::place::Host;
use super::reply;

/// How long the others are waited for once a Sentinel has answered: longer than a healthy one takes.
const GATHER: Duration = Duration::from_millis(100);

/// How often a Sentinel is asked although it tells of changes: notices that it is gone, and what it did not tell.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// The Pub/Sub channel in which Sentinels tell that another server has become the primary.
const SWITCHED: &str = "+switch-master";

/// The primary, as a Sentinel sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Primary {
    /// Counts failovers: a higher one is more recent.
    epoch: u64,
    pub(super) host: Host,
    /// How long it may be silent before it is replaced.
    down_after: Duration,
}

/// Which server is the primary.
pub(super) async fn primary(dialer: &Dialer) -> Result<Primary, String> {
    let mut asked: FuturesUnordered<_> = dialer
        .place()
        .hosts()
        .iter()
        .map(|host| async move {
            ask(dialer, host)
                .await
                .map_err(|words| format!("{host}: {words}"))
        })
        .collect();
    let (mut best, mut failures) = (None::<Primary>, Vec::new());
    let mut until = None;
    loop {
        let answer = match until {
            None => asked.next().await,
            Some(until) => timeout_at(until, asked.next()).await.unwrap_or_default(),
        };
        match answer {
            Some(Ok(found)) => {
                until.get_or_insert_with(|| Instant::now() + GATHER);
                if best.as_ref().is_none_or(|best| best.epoch < found.epoch) {
                    best = Some(found);
                }
            }
            Some(Err(failure)) => failures.push(failure),
            None => break,
        }
    }
    let best = best.ok_or_else(|| format!("no Sentinel names the primary: {}", failures.join("; ")))?;
    dialer.note_down_after(best.down_after);
    Ok(best)
}

/// Asks one Sentinel, over a connection of its own.
async fn ask(dialer: &Dialer, host: &Host) -> Result<Primary, String> {
    let login = dialer.place().sentinel_login();
    let config = AsyncConnectionConfig::new().set_response_timeout(None);
    let mut dialed = dialer.connect_to(host, &login, config).await?;
    query(dialer, &mut dialed.redis).await
}

/// Asks over a connection to a Sentinel.
async fn query(dialer: &Dialer, sentinel: &mut MultiplexedConnection) -> Result<Primary, String> {
    let service = dialer.place().service().unwrap_or_default();
    let questions = ["GET-MASTER-ADDR-BY-NAME", "MASTER"].map(|question| {
        let mut command = ::redis::cmd("SENTINEL");
        command.arg(question).arg(service);
        command
    });
    let answers = sentinel.send_packed_commands(&pipeline(questions), 0, 2).await;
    let answers = answers.map_err(|error| reply::words(&error))?;
    let [address, details]: [Value; 2] = answers.try_into().map_err(|_| not_understood())?;
    understand(service, address, details)
}

/// Makes sense of the address that a Sentinel names, and of what it says of the service. During a failover the first is
/// the newer of the two.
fn understand(service: &str, address: Value, details: Value) -> Result<Primary, String> {
    for answer in [&address, &details] {
        match answer {
            Value::ServerError(error) if error.code() == "NOPERM" => {
                return Err(format!(
                    "the Sentinel's user lacks a permission: {}",
                    reply::server_error(error)
                ));
            }
            Value::Nil | Value::ServerError(_) => {
                return Err(format!(
                    "it watches no service {service:?}; the URL ends with its name"
                ));
            }
            _ => {}
        }
    }
    let (name, port): (String, u16) = from_redis_value(address).map_err(|_| not_understood())?;
    let details: HashMap<String, String> = from_redis_value(details).map_err(|_| not_understood())?;
    let number = |key: &str| -> Option<u64> { details.get(key)?.parse().ok() };
    Ok(Primary {
        epoch: number("config-epoch").unwrap_or_default(),
        host: Host { name, port },
        down_after: Duration::from_millis(number("down-after-milliseconds").ok_or_else(not_understood)?),
    })
}

fn not_understood() -> String {
    "its answer is not understood".to_owned()
}

/// Follows what each Sentinel says, as long as this lives.
pub(crate) struct Lookout {
    dialer: Dialer,
    seen: watch::Receiver<Option<Primary>>,
    /// The primary, as far as is known here.
    last: Option<Host>,
    _followers: JoinSet<()>,
}

impl Lookout {
    /// Begins; needs a runtime. `limit` is how long a Sentinel may take to answer. Where there are no Sentinels, there is
    /// nothing to follow.
    pub(crate) fn begin(dialer: &Dialer, limit: Duration) -> Self {
        let seen = watch::Sender::new(None);
        let mut followers = JoinSet::new();
        let hosts = dialer.place().hosts().iter();
        for host in hosts.filter(|_| dialer.place().has_sentinels()) {
            let follower = Follower {
                dialer: dialer.clone(),
                host: host.clone(),
                limit,
                seen: seen.clone(),
            };
            followers.spawn(follower.run());
        }
        Self {
            dialer: dialer.clone(),
            seen: seen.subscribe(),
            last: None,
            _followers: followers,
        }
    }

    /// Waits until another server than before is the primary: its address. Cancel safe.
    pub(crate) async fn takeover(&mut self) -> String {
        while self.seen.changed().await.is_ok() {
            let seen = self.seen.borrow_and_update().clone();
            let Some(seen) = seen else { continue };
            let before = self.last.replace(seen.host.clone());
            // What was named first is news to those who connected earlier, and to another.
            let before = before.or_else(|| self.dialer.last_primary());
            if before.is_some_and(|before| before != seen.host) {
                return seen.host.to_string();
            }
        }
        // Nobody is followed.
        pending().await
    }
}

/// Counts takeovers until aborted.
pub(crate) async fn count_takeovers(dialer: Dialer, limit: Duration, count: watch::Sender<u64>) {
    let mut lookout = Lookout::begin(&dialer, limit);
    loop {
        let primary = lookout.takeover().await;
        tracing::info!(place = %dialer.place(), primary, "Sentinel names another primary");
        count.send_modify(|count| *count += 1);
    }
}

/// Follows one Sentinel.
struct Follower {
    dialer: Dialer,
    host: Host,
    limit: Duration,
    seen: watch::Sender<Option<Primary>>,
}

impl Follower {
    async fn run(self) {
        let mut backoff = Backoff::default();
        loop {
            let Err(error) = self.attend(&mut backoff).await;
            tracing::debug!(sentinel = %self.host, error, "a Sentinel cannot be followed");
            sleep(backoff.failed()).await;
        }
    }

    /// Follows it over one connection, until that breaks.
    async fn attend(&self, backoff: &mut Backoff) -> Result<Infallible, String> {
        let told = Arc::new(Notify::new());
        let tell = Arc::clone(&told);
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(None)
            .set_push_sender(move |_: PushInfo| {
                tell.notify_one();
                Ok::<(), Infallible>(())
            });
        let login = self.dialer.place().sentinel_login();
        let connecting = self.dialer.connect_to(&self.host, &login, config);
        let mut dialed = in_time(self.limit, connecting).await?;
        in_time(self.limit, dialed.redis.subscribe(SWITCHED)).await?;
        backoff.succeeded();
        loop {
            let primary = in_time(self.limit, query(&self.dialer, &mut dialed.redis)).await?;
            self.note(primary);
            tokio::select! {
                () = told.notified() => {}
                () = sleep(ASK_EVERY) => {}
            }
        }
    }

    /// Notes what the Sentinel says unless another one knows better.
    fn note(&self, primary: Primary) {
        self.dialer.note_down_after(primary.down_after);
        self.seen.send_if_modified(|seen| {
            let is_news = match seen {
                None => true,
                Some(seen) => primary.epoch > seen.epoch,
            };
            let is_another = seen.as_ref().is_none_or(|seen| seen.host != primary.host);
            if is_news {
                *seen = Some(primary);
            }
            is_news && is_another
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn details(epoch: &str) -> Value {
        let pairs = [
            ("name", "main"),
            ("config-epoch", epoch),
            ("down-after-milliseconds", "5000"),
        ];
        Value::Map(pairs.map(|(key, value)| (text(key), text(value))).into())
    }

    fn host(name: &str) -> Host {
        Host {
            name: name.to_owned(),
            port: 7000,
        }
    }

    #[test]
    fn an_answer_names_the_primary() {
        let address = Value::Array(vec![text("10.0.0.7"), text("7000")]);
        let primary = understand("main", address, details("3")).unwrap();
        let expected = Primary {
            epoch: 3,
            host: host("10.0.0.7"),
            down_after: Duration::from_secs(5),
        };
        assert_eq!(primary, expected);
    }

    #[test]
    fn a_service_that_is_not_watched_is_named() {
        let error = understand("main", Value::Nil, Value::Nil).unwrap_err();
        assert!(error.contains("\"main\""), "{error}");
        let nonsense = understand("main", Value::Int(1), details("3"));
        assert_eq!(nonsense, Err(not_understood()));
    }

    #[tokio::test]
    async fn only_a_later_epoch_makes_another_primary() {
        let dialer = Dialer::new("redis+sentinel://s/main", &crate::redis::RedisTls::default()).unwrap();
        let follower = Follower {
            dialer: dialer.clone(),
            host: host("s"),
            limit: ASK_EVERY,
            seen: watch::Sender::new(None),
        };
        let mut lookout = Lookout {
            dialer: dialer.clone(),
            seen: follower.seen.subscribe(),
            last: None,
            _followers: JoinSet::new(),
        };
        let says = |epoch, name: &str| {
            follower.note(Primary {
                epoch,
                host: host(name),
                down_after: Duration::from_secs(5),
            });
        };
        says(3, "a");
        says(3, "b");
        says(2, "c");
        says(4, "a");
        let waited = tokio::time::timeout(Duration::from_millis(1), lookout.takeover()).await;
        assert!(
            waited.is_err(),
            "the first one is no takeover, nor is an older word"
        );
        says(5, "b");
        assert_eq!(lookout.takeover().await, "b:7000");
        assert_eq!(dialer.down_after(), Duration::from_secs(5));
    }
}
