//! How many connections there may be, and how fast they may come.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use campanile_common::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Sockets without a client at most, each a file descriptor. Two threads close so many by turns in some four seconds.
const MOST_LEAVING: usize = 16 * 1024;

/// Lets connections in, up to the limits.
#[derive(Debug)]
pub struct Admission {
    /// Connections at most; 0: any number.
    limit: usize,
    rate: Option<Mutex<TokenBucket>>,
    present: AtomicUsize,
    leaving: AtomicUsize,
    /// Wakes the one that has been leaving for longest, because what it holds is needed.
    hurry: Notify,
    closed: AtomicBool,
    left: Notify,
}

/// One connection's place; given back when dropped.
#[derive(Debug)]
pub struct Permit(Arc<Admission>);

/// What a connection still holds whose client has gone: a socket, but no place. It makes room where the limit needs it.
#[derive(Debug)]
pub struct Leaving(Arc<Admission>);

/// Why a connection is not let in. Each is temporary: another gateway, or this one later, may take it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// `client.connection_limit` is reached.
    #[error("this gateway has as many connections as it may have")]
    Full,
    /// `client.connection_rate_limit` is exceeded.
    #[error("connections come too fast")]
    TooFast,
    /// The gateway is going away.
    #[error("this gateway is shutting down")]
    ShuttingDown,
}

impl Refusal {
    /// Every reason, for registering metrics.
    pub const ALL: [Self; 3] = [Self::Full, Self::TooFast, Self::ShuttingDown];

    /// The value of a metric's label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Full => "connection_limit",
            Self::TooFast => "connection_rate_limit",
            Self::ShuttingDown => "shutdown",
        }
    }
}

impl Admission {
    /// Admits `limit` connections at once and `rate` in any second; 0: any number.
    #[must_use]
    pub fn new(limit: u32, rate: u32, now: Timestamp) -> Arc<Self> {
        Arc::new(Self {
            limit: limit as usize,
            rate: (rate > 0).then(|| Mutex::new(TokenBucket::new(rate, now))),
            present: AtomicUsize::new(0),
            leaving: AtomicUsize::new(0),
            hurry: Notify::new(),
            closed: AtomicBool::new(false),
            left: Notify::new(),
        })
    }

    /// A place for one more connection.
    pub fn admit(self: &Arc<Self>, now: Timestamp) -> Result<Permit, Refusal> {
        if self.is_closed() {
            return Err(Refusal::ShuttingDown);
        }
        let present = self.present.fetch_add(1, Ordering::Relaxed);
        let permit = Permit(Arc::clone(self));
        if self.limit > 0 && present >= self.limit {
            return Err(Refusal::Full);
        }
        if self.rate.as_ref().is_some_and(|rate| !rate.lock().take(now)) {
            return Err(Refusal::TooFast);
        }
        let leaving = self.leaving();
        if self.limit > 0 && leaving > 0 && present + leaving >= self.limit {
            // There are never more sockets than the limit says, but for those that are being closed at this moment.
            self.hurry.notify_one();
        }
        Ok(permit)
    }

    /// Lets nobody in any more.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Whether nobody is let in any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// How many connections there are.
    #[must_use]
    pub fn present(&self) -> usize {
        self.present.load(Ordering::Relaxed)
    }

    /// How many connections have no client any more and are still to be closed.
    #[must_use]
    pub fn leaving(&self) -> usize {
        self.leaving.load(Ordering::Relaxed)
    }

    /// Waits until all connections have gone.
    pub async fn empty(&self) {
        loop {
            let left = self.left.notified();
            if self.present() == 0 {
                return;
            }
            left.await;
        }
    }
}

impl Permit {
    /// Gives the place back to others, before its socket is closed.
    #[must_use]
    pub fn leave(self) -> Leaving {
        let admission = Arc::clone(&self.0);
        if admission.leaving.fetch_add(1, Ordering::Relaxed) >= MOST_LEAVING {
            admission.hurry.notify_one();
        }
        Leaving(admission)
    }
}

impl Leaving {
    /// Waits for its `turn` to be closed; not any longer than until somebody needs what it holds.
    pub async fn wait(&self, turn: impl Future<Output = ()>) {
        tokio::select! {
            () = turn => {}
            () = self.0.hurry.notified() => {}
        }
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.leaving.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.0.present.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.left.notify_waiters();
        }
    }
}

/// A limit on how often something happens: `per_second` at once, and as many in the long run.
#[derive(Debug)]
struct TokenBucket {
    per_second: u64,
    /// In thousandths, so that each millisecond brings a whole number.
    tokens: u64,
    filled: Timestamp,
}

impl TokenBucket {
    fn new(per_second: u32, now: Timestamp) -> Self {
        let per_second = u64::from(per_second);
        Self {
            per_second,
            tokens: per_second * 1000,
            filled: now,
        }
    }

    fn take(&mut self, now: Timestamp) -> bool {
        let elapsed = now.as_millis().saturating_sub(self.filled.as_millis()).min(1000);
        self.filled = self.filled.max(now);
        self.tokens = (self.tokens + elapsed * self.per_second).min(self.per_second * 1000);
        let enough = self.tokens >= 1000;
        if enough {
            self.tokens -= 1000;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::time::Duration;

    use tokio::task::{JoinHandle, yield_now};

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1000);

    #[test]
    fn a_place_is_free_again_when_its_connection_has_gone() {
        let admission = Admission::new(2, 0, NOW);
        let first = admission.admit(NOW).unwrap();
        let _second = admission.admit(NOW).unwrap();
        assert_eq!(admission.admit(NOW).unwrap_err(), Refusal::Full);
        assert_eq!(admission.present(), 2);
        drop(first);
        assert!(admission.admit(NOW).is_ok());
    }

    #[test]
    fn connections_may_come_at_the_rate_and_not_faster() {
        let admission = Admission::new(0, 10, NOW);
        let admitted = |millis| {
            let now = NOW + Duration::from_millis(millis);
            std::iter::from_fn(|| admission.admit(now).ok()).count()
        };
        assert_eq!(admitted(0), 10);
        assert_eq!(admission.admit(NOW).unwrap_err(), Refusal::TooFast);
        assert_eq!(admitted(99), 0);
        assert_eq!(admitted(250), 2);
        assert_eq!(admitted(300), 1);
        assert_eq!(admitted(100_000), 10);
    }

    /// Somebody who leaves and whose turn does not come.
    fn leave(permit: Permit) -> JoinHandle<()> {
        let leaving = permit.leave();
        tokio::spawn(async move { leaving.wait(pending()).await })
    }

    /// Lets all tasks of this test's only thread run until they wait.
    async fn settle() {
        for _ in 0..8 {
            yield_now().await;
        }
    }

    #[tokio::test]
    async fn who_leaves_holds_its_socket_until_the_limit_needs_it() {
        let admission = Admission::new(3, 0, NOW);
        let admit = || admission.admit(NOW).unwrap();
        let (first, second) = (leave(admit()), leave(admit()));
        assert_eq!((admission.present(), admission.leaving()), (0, 2));
        settle().await;
        let _third = admit();
        settle().await;
        assert!(!first.is_finished(), "three sockets are as many as there may be");
        let _fourth = admit();
        first.await.unwrap();
        settle().await;
        assert!(!second.is_finished(), "one for one");
        let _fifth = admit();
        second.await.unwrap();
        assert_eq!((admission.present(), admission.leaving()), (3, 0));
        assert_eq!(admission.admit(NOW).unwrap_err(), Refusal::Full);
    }

    #[tokio::test]
    async fn not_more_than_so_many_leave_at_a_time() {
        let admission = Admission::new(0, 0, NOW);
        let leaving: Vec<_> = (0..MOST_LEAVING)
            .map(|_| leave(admission.admit(NOW).unwrap()))
            .collect();
        settle().await;
        assert_eq!(admission.leaving(), MOST_LEAVING);
        let _one_more = leave(admission.admit(NOW).unwrap());
        leaving.into_iter().next().unwrap().await.unwrap();
        assert_eq!(admission.leaving(), MOST_LEAVING);
    }

    #[tokio::test]
    async fn whose_turn_comes_is_not_kept() {
        let admission = Admission::new(0, 0, NOW);
        let leaving = admission.admit(NOW).unwrap().leave();
        leaving.wait(async {}).await;
        drop(leaving);
        assert_eq!(admission.leaving(), 0);
    }

    #[tokio::test]
    async fn emptiness_can_be_waited_for() {
        let admission = Admission::new(0, 0, NOW);
        admission.empty().await;
        let permit = admission.admit(NOW).unwrap();
        admission.close();
        assert_eq!(admission.admit(NOW).unwrap_err(), Refusal::ShuttingDown);
        let waiting = tokio::spawn({
            let admission = Arc::clone(&admission);
            async move { admission.empty().await }
        });
        yield_now().await;
        assert!(!waiting.is_finished());
        drop(permit);
        waiting.await.unwrap();
    }
}
