//! Looks at the topology's version now and then, so that a lost notification costs seconds, not forever.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::connection::Connection;
use super::keys::Keys;

/// How often: two numbers read, and nothing more unless they have changed.
const EVERY: Duration = Duration::from_secs(2);

/// Wakes `changes` whenever generation or change id differ from what was seen before.
pub(super) async fn run(connection: Connection, keys: Keys, changes: watch::Sender<u64>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seen: Option<(Option<u64>, Option<u64>)> = None;
    loop {
        ticks.tick().await;
        let mut command = redis::cmd("HMGET");
        command.arg(&keys.topology).arg("generation").arg("change_id");
        let read = connection
            .run(async |connection| command.query_async(connection).await)
            .await;
        // An error says nothing about the topology, and the connection has noted it.
        let Ok(version) = read else { continue };
        if seen.replace(version) != Some(version) {
            changes.send_modify(|wakes| *wakes += 1);
        }
    }
}
