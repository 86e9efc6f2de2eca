//! From a host's name to its addresses, and from several ways to the first that works.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::net::lookup_host;
use tokio::time::sleep;

use crate::OpenError;

/// Addresses that are tried at most.
const MOST: usize = 8;

/// By how much an attempt at one address is ahead of the next: what RFC 8305 recommends.
pub(super) const HEAD_START: Duration = Duration::from_millis(250);

/// The addresses of `host`, those of the two families in turns, so that one that leads nowhere holds nobody up.
pub(super) async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, OpenError> {
    let failed = |source| OpenError::Connect {
        address: format!("{host}:{port}"),
        source,
    };
    let found = lookup_host((host.trim_matches(['[', ']']), port))
        .await
        .map_err(failed)?;
    let addresses = in_turns(found);
    if addresses.is_empty() {
        return Err(failed(std::io::ErrorKind::NotFound.into()));
    }
    Ok(addresses)
}

/// The family of the first address first.
fn in_turns(found: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let found: Vec<_> = found.collect();
    let first_is_v6 = found.first().is_some_and(SocketAddr::is_ipv6);
    let (ours, others): (Vec<_>, Vec<_>) = found
        .into_iter()
        .partition(|address| address.is_ipv6() == first_is_v6);
    let mut others = others.into_iter();
    let mut mixed = Vec::new();
    for address in ours {
        mixed.push(address);
        mixed.extend(others.next());
    }
    mixed.extend(others);
    mixed.truncate(MOST);
    mixed
}

/// Makes `attempts` until one succeeds, and drops the others. The next one begins when the last has had a head start, or
/// at once when one fails. When all have failed, the errors are in the order in which that happened.
pub(super) async fn staggered<T, E, F>(
    attempts: impl IntoIterator<Item = F>,
    head_start: Duration,
) -> Result<T, Vec<E>>
where
    F: Future<Output = Result<T, E>>,
{
    let mut waiting = attempts.into_iter().peekable();
    let mut running = FuturesUnordered::new();
    let mut errors = Vec::new();
    loop {
        running.extend(waiting.next());
        let patience = async {
            match waiting.peek() {
                Some(_) => sleep(head_start).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            outcome = running.next() => match outcome {
                Some(Ok(winner)) => return Ok(winner),
                Some(Err(error)) => errors.push(error),
                None => return Err(errors),
            },
            () = patience => {}
        }
    }
}

/// The error that came first: that of the address which was liked best, mostly.
pub(super) fn first(errors: Vec<OpenError>) -> OpenError {
    errors.into_iter().next().unwrap_or(OpenError::Timeout)
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    const LEAD: Duration = Duration::from_millis(300);

    /// Succeeds or fails with its name after some milliseconds.
    async fn attempt(outcome: Result<&str, &str>, milliseconds: u64) -> Result<String, String> {
        sleep(Duration::from_millis(milliseconds)).await;
        outcome.map(str::to_owned).map_err(str::to_owned)
    }

    async fn outcome(
        attempts: &[(Result<&'static str, &'static str>, u64)],
    ) -> (Result<String, Vec<String>>, u128) {
        let begin = Instant::now();
        let attempts = attempts.iter().map(|&(result, after)| attempt(result, after));
        (staggered(attempts, LEAD).await, begin.elapsed().as_millis())
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_wins_within_its_head_start() {
        let (winner, after) = outcome(&[(Ok("a"), 299), (Ok("b"), 0)]).await;
        assert_eq!((winner.unwrap().as_str(), after), ("a", 299));
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_begins_after_the_head_start() {
        let (winner, after) = outcome(&[(Ok("a"), 10_000), (Ok("b"), 20)]).await;
        assert_eq!((winner.unwrap().as_str(), after), ("b", 320));
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_begins_at_once_when_one_fails() {
        let (winner, after) = outcome(&[(Err("a"), 10), (Ok("b"), 20)]).await;
        assert_eq!((winner.unwrap().as_str(), after), ("b", 30));
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_first_may_still_win() {
        let (winner, after) = outcome(&[(Ok("a"), 350), (Ok("b"), 100)]).await;
        assert_eq!((winner.unwrap().as_str(), after), ("a", 350));
    }

    #[tokio::test(start_paused = true)]
    async fn all_errors_are_told() {
        let (errors, after) = outcome(&[(Err("a"), 500), (Err("b"), 100)]).await;
        assert_eq!((errors.unwrap_err(), after), (vec!["b".into(), "a".into()], 500));
        assert_eq!(outcome(&[]).await.0, Err(Vec::new()));
    }

    #[test]
    fn families_take_turns() {
        let addresses = ["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"];
        let found = addresses.iter().map(|text| text.parse().unwrap());
        let expected = ["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"];
        let mixed: Vec<_> = in_turns(found).iter().map(ToString::to_string).collect();
        assert_eq!(mixed, expected);
    }
}
