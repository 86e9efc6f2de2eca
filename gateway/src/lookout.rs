//! Looking again and again, at files that may have changed.

use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::time::{MissedTickBehavior, interval};

/// How often one looks. That is one look at the metadata of each file.
const EVERY: Duration = Duration::from_secs(1);

/// Who looks.
pub trait Lookout: Send + 'static {
    /// What nobody does any more should looking come to an end: a constant message for the log.
    const GIVEN_UP: &'static str;

    /// Looks once and acts on what has changed. With `insist` what is found counts at once. May wait for the disk.
    fn look(&mut self, insist: bool);
}

/// Looks every second, and at once when told to by the signal; ends only by being aborted.
pub async fn keep_looking<L: Lookout>(mut lookout: L, mut hangups: Signal) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let insist = tokio::select! {
            _ = ticks.tick() => false,
            Some(()) = hangups.recv() => true,
        };
        let looked = tokio::task::spawn_blocking(move || {
            lookout.look(insist);
            lookout
        });
        match looked.await {
            Ok(this) => lookout = this,
            Err(error) => {
                tracing::error!(%error, "{}", L::GIVEN_UP);
                return;
            }
        }
    }
}
