//! Asking Sentinels which server is the primary, and being told when that becomes another one.
//!
//! All Sentinels are asked at once; whom of them to believe is the [`council`]'s business. That the server named is a primary, and
//! which run of it, is asked of the server itself by whoever connects to it.

use std::collections::HashMap;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, Value, from_redis_value};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::time::{Instant, timeout_at};

use super::connection::pipeline;
use super::dialer::Dialer;
use super::place::Host;
use super::reply;

mod council;
mod lookout;

pub(super) use council::Council;
pub(super) use lookout::Lookout;
pub(crate) use lookout::count_takeovers;

/// How long the others are waited for once a Sentinel has answered: longer than a healthy one takes.
const GATHER: Duration = Duration::from_millis(100);

/// The primary, as a Sentinel sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Primary {
    /// Counts failovers: a higher one is more recent.
    epoch: u64,
    pub(super) host: Host,
    /// How long it may be silent before it is replaced.
    pub(super) down_after: Duration,
}

impl Primary {
    fn says_the_same_as(&self, other: &Self) -> bool {
        self.epoch == other.epoch && self.host == other.host
    }
}

/// Which server is the primary.
pub(super) async fn primary(dialer: &Dialer) -> Result<Primary, String> {
    let mut asked = ask_all(dialer);
    let mut failures = Vec::new();
    let mut until = None;
    loop {
        let answer = match until {
            None => asked.next().await,
            Some(until) => timeout_at(until, asked.next()).await.unwrap_or_default(),
        };
        match answer {
            Some(Ok((sentinel, word))) => {
                until.get_or_insert_with(|| Instant::now() + GATHER);
                dialer.hear(sentinel, word);
            }
            Some(Err(failure)) => failures.push(failure),
            None => break,
        }
    }
    let believed = dialer.believed().filter(|_| until.is_some());
    believed.ok_or_else(|| format!("no Sentinel names the primary: {}", failures.join("; ")))
}

/// The same, if more than half of the Sentinels that are configured name it. Waits for as many.
pub(super) async fn agreed_primary(dialer: &Dialer) -> Result<Primary, String> {
    let mut asked = ask_all(dialer);
    let (mut words, mut failures) = (Vec::new(), Vec::new());
    while let Some(answer) = asked.next().await {
        match answer {
            Ok((sentinel, word)) => {
                dialer.hear(sentinel, word.clone());
                words.push(word.host);
            }
            Err(failure) => failures.push(failure),
        }
        let believed = dialer.believed();
        let agree = |host: &Host| 2 * words.iter().filter(|word| *word == host).count();
        if let Some(primary) = believed.filter(|it| agree(&it.host) > dialer.place().hosts().len()) {
            return Ok(primary);
        }
    }
    Err(format!(
        "no majority of the Sentinels names the same primary: {}",
        failures.join("; ")
    ))
}

/// Asks all Sentinels at once: their answers as they come, by their places in the URL.
fn ask_all(dialer: &Dialer) -> FuturesUnordered<impl Future<Output = Result<(usize, Primary), String>>> {
    let hosts = dialer.place().hosts().iter().enumerate();
    hosts
        .map(|(sentinel, host)| async move {
            match ask(dialer, host).await {
                Ok(word) => Ok((sentinel, word)),
                Err(words) => Err(format!("{host}: {words}")),
            }
        })
        .collect()
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

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The primary that a Sentinel names.
    pub(in crate::redis) fn primary(epoch: u64, name: &str) -> Primary {
        Primary {
            epoch,
            host: host(name),
            down_after: Duration::from_secs(5),
        }
    }

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
        let found = understand("main", address, details("3")).unwrap();
        assert_eq!(found, primary(3, "10.0.0.7"));
    }

    #[test]
    fn a_service_that_is_not_watched_is_named() {
        let error = understand("main", Value::Nil, Value::Nil).unwrap_err();
        assert!(error.contains("\"main\""), "{error}");
        let nonsense = understand("main", Value::Int(1), details("3"));
        assert_eq!(nonsense, Err(not_understood()));
    }
}
