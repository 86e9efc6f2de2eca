//! Answers that are costly to gather, gathered once for all who look at the same time.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// The latest answer. While one is being gathered, others wait for it.
#[derive(Debug)]
pub(super) struct Cached<K, V> {
    ttl: Duration,
    latest: Mutex<Option<Latest<K, V>>>,
}

#[derive(Debug)]
struct Latest<K, V> {
    key: K,
    value: V,
    gathered: Instant,
}

impl<K: PartialEq, V: Clone> Cached<K, V> {
    /// Nothing yet; an answer counts for `ttl`.
    pub(super) fn new(ttl: Duration) -> Self {
        Self {
            ttl,
            latest: Mutex::default(),
        }
    }

    /// The answer to `key`: the latest one, or what `gather` gives. A failure is not kept.
    pub(super) async fn get<E>(&self, key: K, gather: impl Future<Output = Result<V, E>>) -> Result<V, E> {
        let mut latest = self.latest.lock().await;
        if let Some(latest) = &*latest
            && latest.key == key
            && latest.gathered.elapsed() < self.ttl
        {
            return Ok(latest.value.clone());
        }
        let value = gather.await?;
        *latest = Some(Latest {
            key,
            value: value.clone(),
            gathered: Instant::now(),
        });
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_gathered_once_for_all_who_ask_meanwhile() {
        let cached = Cached::new(Duration::from_secs(1));
        let gathered = AtomicU32::new(0);
        let ask = |key: &'static str| {
            cached.get(key, async {
                tokio::time::sleep(Duration::from_millis(100)).await;
                Ok::<_, Infallible>(gathered.fetch_add(1, Ordering::Relaxed))
            })
        };
        let (one, other) = tokio::join!(ask("a"), ask("a"));
        assert_eq!((one, other), (Ok(0), Ok(0)));
        assert_eq!(ask("b").await, Ok(1), "another question");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(ask("b").await, Ok(2), "too old");
    }
}
