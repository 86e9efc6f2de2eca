//! Polling with a deadline, the only way in which a test waits.

use std::fmt::Display;
use std::future::Future;
use std::panic::Location;
use std::time::{Duration, Instant};

/// Long enough for anything that should happen at once, also on a machine that is busy compiling.
pub const SOON: Duration = Duration::from_secs(15);

/// Pause between two looks.
const STEP: Duration = Duration::from_millis(20);

/// Calls `look` until it gives `Some`, and panics with `what` and the caller's line once `deadline` has passed without.
#[track_caller]
pub fn until<T, F: Future<Output = Option<T>>>(
    what: impl Display,
    deadline: Duration,
    mut look: impl FnMut() -> F,
) -> impl Future<Output = T> {
    let caller = Location::caller();
    async move {
        let start = Instant::now();
        loop {
            if let Some(found) = look().await {
                return found;
            }
            assert!(
                start.elapsed() < deadline,
                "{caller}: not within {deadline:?}: {what}"
            );
            tokio::time::sleep(STEP).await;
        }
    }
}

/// Calls `holds` until it is true, and panics with `what` and the caller's line once `deadline` has passed without.
#[track_caller]
pub fn eventually<F: Future<Output = bool>>(
    what: impl Display,
    deadline: Duration,
    mut holds: impl FnMut() -> F,
) -> impl Future<Output = ()> {
    until(what, deadline, move || {
        let answer = holds();
        async { answer.await.then_some(()) }
    })
}
