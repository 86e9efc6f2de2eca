//! Answers that are costly to gather, gathered once for all who ask the same at the same time, and not at once again.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// How long a failure counts: a deployment that does not answer is not asked again by each who looks.
const FAILURE_TTL: Duration = Duration::from_secs(3);

/// Questions whose answers are held at a time. Of more, each is gathered for whoever asks alone.
const MAX_QUESTIONS: usize = 32;

/// The latest answers. While one is being gathered, others who ask the same wait for it, and nobody else does.
pub(super) struct Cached<K, V, E> {
    ttl: Duration,
    slots: Mutex<HashMap<K, Slot<V, E>>>,
}

/// The latest answer to one question. It is held by those who wait for it too.
type Shared<V, E> = Arc<tokio::sync::Mutex<Option<Latest<V, E>>>>;

struct Slot<V, E> {
    latest: Shared<V, E>,
    /// When somebody last asked.
    asked: Instant,
}

struct Latest<V, E> {
    answer: Result<V, E>,
    until: Instant,
}

impl<K: Eq + Hash + Clone, V: Clone, E: Clone> Cached<K, V, E> {
    /// Nothing yet; an answer counts for `ttl`, or as long as it took to gather, if that is longer.
    pub(super) fn new(ttl: Duration) -> Self {
        Self {
            ttl,
            slots: Mutex::default(),
        }
    }

    /// The answer to `question`: the latest one, or what `gather` gives.
    pub(super) async fn get(&self, question: K, gather: impl Future<Output = Result<V, E>>) -> Result<V, E> {
        let Some(slot) = self.slot(question) else {
            return gather.await;
        };
        let mut latest = slot.lock().await;
        let began = Instant::now();
        if let Some(latest) = latest.as_ref().filter(|latest| began < latest.until) {
            return latest.answer.clone();
        }
        let answer = gather.await;
        let now = Instant::now();
        let ttl = if answer.is_ok() { self.ttl } else { FAILURE_TTL };
        *latest = Some(Latest {
            answer: answer.clone(),
            until: now + ttl.max(now - began),
        });
        answer
    }

    /// Where the answer is, or will be; `None`: there are too many that somebody waits for.
    fn slot(&self, question: K) -> Option<Shared<V, E>> {
        let mut slots = self.slots.lock();
        if slots.len() >= MAX_QUESTIONS && !slots.contains_key(&question) {
            let unused = slots
                .iter()
                .filter(|(_, slot)| Arc::strong_count(&slot.latest) == 1);
            let oldest = unused.min_by_key(|(_, slot)| slot.asked);
            let oldest = oldest.map(|(question, _)| question.clone())?;
            slots.remove(&oldest);
        }
        let asked = Instant::now();
        let slot = slots.entry(question).or_insert_with(|| Slot {
            latest: Arc::default(),
            asked,
        });
        slot.asked = asked;
        Some(Arc::clone(&slot.latest))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    /// Asks of which each is counted, and takes a while.
    struct Asked {
        cached: Cached<&'static str, u32, &'static str>,
        gathered: AtomicU32,
    }

    impl Asked {
        fn new() -> Self {
            Self {
                cached: Cached::new(Duration::from_secs(1)),
                gathered: AtomicU32::new(0),
            }
        }

        async fn ask(&self, question: &'static str, takes: Duration) -> Result<u32, &'static str> {
            let gather = async {
                tokio::time::sleep(takes).await;
                let number = self.gathered.fetch_add(1, Ordering::Relaxed);
                if question == "broken" {
                    Err("it is broken")
                } else {
                    Ok(number)
                }
            };
            self.cached.get(question, gather).await
        }
    }

    const BRIEF: Duration = Duration::from_millis(100);

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_gathered_once_for_all_who_ask_meanwhile() {
        let asked = Asked::new();
        let (one, other) = tokio::join!(asked.ask("a", BRIEF), asked.ask("a", BRIEF));
        assert_eq!((one, other), (Ok(0), Ok(0)));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(asked.ask("a", BRIEF).await, Ok(1), "too old");
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_ask_something_else_neither_wait_nor_take_the_place() {
        let asked = Asked::new();
        let slow = asked.ask("a", Duration::from_secs(60));
        let quick = async {
            for _ in 0..5 {
                assert_eq!(asked.ask("b", Duration::ZERO).await, Ok(0));
            }
        };
        tokio::select! {
            biased;
            _ = slow => panic!("nothing else was answered before"),
            () = quick => {}
        }
        assert_eq!(asked.ask("a", BRIEF).await, Ok(1), "the first one has gone away");
        assert_eq!(asked.ask("b", BRIEF).await, Ok(0));
        assert_eq!(asked.ask("a", BRIEF).await, Ok(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_counts_for_a_moment() {
        let asked = Asked::new();
        for _ in 0..3 {
            assert_eq!(asked.ask("broken", BRIEF).await, Err("it is broken"));
        }
        assert_eq!(asked.gathered.load(Ordering::Relaxed), 1);
        tokio::time::advance(FAILURE_TTL).await;
        assert!(asked.ask("broken", BRIEF).await.is_err());
        assert_eq!(asked.gathered.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn what_took_long_is_not_gathered_again_at_once() {
        let asked = Asked::new();
        assert_eq!(asked.ask("a", Duration::from_secs(20)).await, Ok(0));
        tokio::time::advance(Duration::from_secs(19)).await;
        assert_eq!(asked.ask("a", BRIEF).await, Ok(0));
    }

    #[tokio::test(start_paused = true)]
    async fn the_questions_are_bounded() {
        let cached: Cached<usize, usize, ()> = Cached::new(Duration::from_secs(1));
        for number in 0..3 * MAX_QUESTIONS {
            assert_eq!(cached.get(number, async { Ok(number) }).await, Ok(number));
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        assert_eq!(cached.slots.lock().len(), MAX_QUESTIONS);
        let (kept, forgotten) = (3 * MAX_QUESTIONS - 1, 0);
        assert_eq!(cached.get(kept, async { Ok(7) }).await, Ok(kept));
        assert_eq!(cached.get(forgotten, async { Ok(7) }).await, Ok(7));

        let go = Semaphore::new(0);
        let waiting = (1000..1000 + MAX_QUESTIONS).map(|number| {
            let go = &go;
            cached.get(number, async move {
                go.acquire().await.unwrap().forget();
                Ok(number)
            })
        });
        let all = futures_util::future::join_all(waiting);
        let one_more = async {
            while cached.slots.lock().keys().any(|question| *question < 1000) {
                tokio::task::yield_now().await;
            }
            assert_eq!(cached.get(7, async { Ok(8) }).await, Ok(8), "it is not refused");
            assert!(!cached.slots.lock().contains_key(&7));
            go.add_permits(MAX_QUESTIONS);
        };
        tokio::join!(all, one_more);
    }
}
