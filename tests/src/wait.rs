//! Polling with a deadline, the only way in which a test waits.

use std::future::Future;
use std::time::{Duration, Instant};

/// Long enough for anything that should happen at once, also on a machine that is busy compiling.
pub const SOON: Duration = Duration::from_secs(15);

/// Pause between two looks.
const STEP: Duration = Duration::from_millis(20);

/// Calls `look` until it gives `Some`, and panics with `what` once `deadline` has passed without.
pub async fn until<T, F: Future<Output = Option<T>>>(
    what: &str,
    deadline: Duration,
    mut look: impl FnMut() -> F,
) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(start.elapsed() < deadline, "not within {deadline:?}: {what}");
        tokio::time::sleep(STEP).await;
    }
}

/// Calls `holds` until it is true, and panics with `what` once `deadline` has passed without.
pub async fn eventually<F: Future<Output = bool>>(
    what: &str,
    deadline: Duration,
    mut holds: impl FnMut() -> F,
) {
    until(what, deadline, || {
        let answer = holds();
        async { answer.await.then_some(()) }
    })
    .await;
}

/// Calls `holds` again and again for `span`, and panics with `what` if it is ever false.
pub async fn throughout<F: Future<Output = bool>>(what: &str, span: Duration, mut holds: impl FnMut() -> F) {
    let start = Instant::now();
    while start.elapsed() < span {
        assert!(holds().await, "did not hold throughout {span:?}: {what}");
        tokio::time::sleep(STEP).await;
    }
}
