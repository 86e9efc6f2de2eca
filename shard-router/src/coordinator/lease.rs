//! Whose turn it is: acting only while the lease is certainly held.

use std::sync::Arc;
use std::time::Duration;

use metrics::{Gauge, describe_gauge, gauge};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tracing::{error, info, warn};

use super::list::ListDifference;
use super::term::Term;
use super::{CoordinatorParts, CoordinatorStatus, ManagedBy, ShardList};
use crate::store::REGISTRATION_TTL;
use crate::topology::Topology;

/// How often the lease is extended, or tried for: so often that three attempts in a row may fail.
const RENEW_EVERY: Duration = REGISTRATION_TTL.checked_div(4).expect("4 is not 0");

/// How long before the lease runs out its holder stops: for what is under way, and for clocks that differ.
const MARGIN: Duration = Duration::from_secs(2);

/// Waits for the lease and acts while it is held, again and again; ends only by being aborted.
pub(super) async fn take_turns(parts: CoordinatorParts, board: watch::Sender<CoordinatorStatus>) {
    let mut changes = parts.store.changes();
    changes.mark_changed();
    let gauge = LeadingGauge::register();
    loop {
        let asked = Instant::now();
        // An unreachable store is waited for like another's lease; its own status says so.
        if let Ok(true) = parts.store.hold_lease(&parts.gateway).await {
            lead(&parts, &gauge, &board, asked).await;
        }
        if changes.has_changed().unwrap_or(false) {
            changes.mark_unchanged();
            compare_list(&parts, &board).await;
        }
        sleep(RENEW_EVERY).await;
    }
}

/// Acts from `held` on until the lease cannot be extended.
async fn lead(
    parts: &CoordinatorParts,
    gauge: &LeadingGauge,
    board: &watch::Sender<CoordinatorStatus>,
    held: Instant,
) {
    let token = match parts.store.next_token().await {
        Ok(token) => token,
        Err(error) => return warn!(%error, "the coordinator gets no token"),
    };
    info!(token = token.0, "this gateway coordinates");
    board.send_modify(|status| status.leading = true);
    let _leading = gauge.raise();
    let mut term = JoinSet::new();
    term.spawn(Arc::new(Term::new(parts.clone(), token, board.clone())).run());
    tokio::select! {
        () = extend(parts, held) => warn!("this gateway coordinates no longer: the lease is lost"),
        // A term never ends by itself; the next one begins anew.
        _ = term.join_next() => error!("the coordinator's work has failed"),
    }
    term.shutdown().await;
    board.send_modify(|status| {
        status.leading = false;
        status.troubles.clear();
        status.wish = None;
        status.moves = None;
    });
}

/// Says in the metrics whether this gateway coordinates.
struct LeadingGauge(Gauge);

/// It coordinates, as long as this is held.
struct Raised<'a>(&'a Gauge);

impl LeadingGauge {
    fn register() -> Self {
        const NAME: &str = "campanile_coordinator_leading";
        describe_gauge!(
            NAME,
            "Whether this gateway is the one that coordinates (1) or not (0)"
        );
        let gauge = gauge!(NAME);
        gauge.set(0.0);
        Self(gauge)
    }

    fn raise(&self) -> Raised<'_> {
        self.0.set(1.0);
        Raised(&self.0)
    }
}

impl Drop for Raised<'_> {
    fn drop(&mut self) {
        self.0.set(0.0);
    }
}

/// Extends the lease in time; ends when that has not been possible, early enough to stop before it runs out.
async fn extend(parts: &CoordinatorParts, held: Instant) {
    let mut until = held + REGISTRATION_TTL - MARGIN;
    loop {
        sleep_until((Instant::now() + RENEW_EVERY).min(until)).await;
        let asked = Instant::now();
        match timeout_at(until, parts.store.hold_lease(&parts.gateway)).await {
            Ok(Ok(true)) => until = asked + REGISTRATION_TTL - MARGIN,
            Ok(Err(_)) if asked < until => {}
            Ok(_) | Err(_) => return,
        }
    }
}

/// Compares the configured list with the stored topology, for a gateway that does not act.
async fn compare_list(parts: &CoordinatorParts, board: &watch::Sender<CoordinatorStatus>) {
    if let Ok(Some(topology)) = parts.store.read().await {
        note_list(
            board,
            &parts.configured.list(),
            parts.options.managed_by,
            &topology,
        );
    }
}

/// Puts the difference between the configured shards and those that count on the board; logs what is new.
pub(super) fn note_list(
    board: &watch::Sender<CoordinatorStatus>,
    configured: &ShardList,
    managed_by: ManagedBy,
    topology: &Topology,
) {
    let difference = ListDifference::between(configured, managed_by, topology);
    board.send_if_modified(|status| {
        let news = status.list != difference;
        if news {
            match &difference {
                Some(difference) if managed_by == ManagedBy::File => {
                    warn!(%difference, "the configured shards are not those that were proposed last, which count");
                }
                Some(difference) => info!(%difference, "the topology's shards count, not the configured ones"),
                None => info!("the configured shards are those that count"),
            }
            status.list = difference;
        }
        news
    });
}
