//! Whether clients may come, and what this gateway can reach.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use campanile_shard_router::coordinator::{ConfiguredShards, CoordinatorStatus, ShardSource as _};
use campanile_shard_router::router::ShardHealth;
use campanile_shard_router::shard::ShardStatus;
use campanile_shard_router::store::TopologyStore;
use campanile_shard_router::topology::{ShardId, ShardState, WantedShard};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::gateway::ClientRouter;
use crate::http::{Readiness, ReadyReport, ShardReport, StoreReport};
use crate::shard_list::notes::Notes;
use crate::shards;

/// How long a gateway that starts is waited for until it reaches everything. Then it serves without the rest, so that one shard
/// that is down keeps no gateway from starting.
const PATIENCE: Duration = Duration::from_secs(5);

/// The time before a gateway is of use to anybody. Once over, it does not come back.
#[derive(Debug)]
pub(super) struct Beginning {
    since: Instant,
    is_over: AtomicBool,
}

impl Beginning {
    /// It begins now.
    pub(super) fn now() -> Self {
        Self {
            since: Instant::now(),
            is_over: AtomicBool::new(false),
        }
    }

    /// Whether it is over, by what can be reached at this moment.
    fn is_over(&self, has_topology: bool, is_complete: bool) -> bool {
        let over = has_topology && (is_complete || self.since.elapsed() >= PATIENCE);
        if over {
            self.is_over.store(true, Ordering::Relaxed);
        }
        over || self.is_over.load(Ordering::Relaxed)
    }
}

/// Asks the parts.
pub(super) struct Probe {
    pub(super) gateway: String,
    pub(super) store: Arc<dyn TopologyStore>,
    pub(super) router: Arc<ClientRouter>,
    /// The shards that this gateway is told of.
    pub(super) configured: ConfiguredShards,
    pub(super) notes: Notes,
    pub(super) coordinator: watch::Receiver<CoordinatorStatus>,
    pub(super) beginning: Arc<Beginning>,
    pub(super) ending: CancellationToken,
}

impl Readiness for Probe {
    fn report(&self) -> ReadyReport {
        let topology = self.router.topology();
        let store = store(self.store.status());
        let health = match &topology {
            Some(_) => self.router.shard_health(),
            None => self.configured_health(),
        };
        let state = |id: &ShardId| {
            let entry = topology.as_ref().and_then(|topology| topology.shards.get(id));
            entry.map_or(ShardState::Active, |entry| entry.state)
        };
        let shards: Vec<ShardReport> = health
            .into_iter()
            .map(|health| shard(state(&health.id), health))
            .collect();
        let missing = missing(&shards);
        let problems = problems(&self.coordinator.borrow(), &shards);
        let notes = self.notes();
        let shutting_down = self.ending.is_cancelled();
        let has_topology = topology.is_some();
        let complete = has_topology && store.reachable && missing.is_empty() && problems.is_empty();
        let starting = !self.beginning.is_over(has_topology, complete);
        ReadyReport {
            ready: !starting && !shutting_down,
            complete,
            starting,
            gateway: self.gateway.clone(),
            shutting_down,
            generation: topology.as_ref().map(|topology| topology.generation.0),
            topology: topology.as_deref().map(Into::into),
            store,
            shards,
            missing,
            problems,
            notes,
        }
    }
}

impl Probe {
    /// What does not keep it from being ready.
    fn notes(&self) -> Vec<String> {
        let coordinator = self.coordinator.borrow();
        let list = coordinator.list.as_ref();
        let list = list.map(|difference| format!("shards: {difference}"));
        let wish = coordinator.wish.as_ref();
        let wish = wish.map(|reason| format!("the wanted list of shards cannot be carried out: {reason}"));
        list.into_iter()
            .chain(wish)
            .chain(self.store.notes())
            .chain(self.notes.texts())
            .collect()
    }

    /// How the shards are before there is a topology: those that will fill it.
    fn configured_health(&self) -> Vec<ShardHealth> {
        let shards = self.configured.list().into_iter();
        let health = |(id, configured): (ShardId, WantedShard)| {
            let shard = self.router.shard(&id, &configured.url).ok()?;
            Some(ShardHealth {
                id,
                address: configured.address,
                status: shard.status(),
                partitions: 0,
                opening: 0,
            })
        };
        shards.filter_map(health).collect()
    }
}

const CONNECTED: &str = "connected";
const OPENING: &str = "opening";
const UNTRUSTED: &str = "untrusted";
const UNREACHABLE: &str = "unreachable";

/// Nobody is connected to it, and nothing is missing for that.
const LOST: &str = "lost";

/// Every status that a shard may have.
pub(super) const STATUSES: [&str; 5] = [CONNECTED, OPENING, UNTRUSTED, UNREACHABLE, LOST];

fn store(status: Result<(), String>) -> StoreReport {
    StoreReport {
        reachable: status.is_ok(),
        error: status.err(),
    }
}

fn shard(state: ShardState, health: ShardHealth) -> ShardReport {
    let (status, error) = match health.status {
        _ if state == ShardState::Lost => (LOST, None),
        ShardStatus::Connected if health.opening > 0 => {
            let error = format!("{} of its partitions are not open yet", health.opening);
            (OPENING, Some(error))
        }
        ShardStatus::Connected => (CONNECTED, None),
        ShardStatus::Untrusted(run) => (UNTRUSTED, Some(format!("run {run} is not admitted (yet)"))),
        ShardStatus::Unreachable(error) => (UNREACHABLE, Some(error)),
    };
    ShardReport {
        name: health.id.to_string(),
        address: health.address,
        state: shards::state(state),
        status,
        error,
        partitions: health.partitions,
    }
}

/// Whether nothing is to be asked of it: it was emptied, so it may be stopped at any time.
fn is_emptied(shard: &ShardReport) -> bool {
    let leaves = [ShardState::Draining, ShardState::Leaving].map(shards::state);
    leaves.contains(&shard.state) && shard.partitions == 0
}

/// The names of the shards that somebody may miss.
fn missing(shards: &[ShardReport]) -> Vec<String> {
    let missing = shards
        .iter()
        .filter(|shard| ![CONNECTED, LOST].contains(&shard.status) && !is_emptied(shard));
    missing.map(|shard| shard.name.clone()).collect()
}

/// What the coordinator sees and the shards' connections do not show.
fn problems(status: &CoordinatorStatus, shards: &[ShardReport]) -> Vec<String> {
    let is_missed = |id: &ShardId| {
        !shards
            .iter()
            .any(|shard| shard.name == id.as_str() && is_emptied(shard))
    };
    let troubles = status.troubles.iter().filter(|(shard, _)| is_missed(shard));
    troubles
        .map(|(shard, trouble)| format!("{shard}: {trouble}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_beginning_is_over_once_all_is_there_or_after_a_while_what_matters() {
        let quick = Beginning::now();
        assert!(!quick.is_over(false, false), "nothing is there");
        assert!(!quick.is_over(true, false), "a shard is missing");
        assert!(quick.is_over(true, true));
        assert!(quick.is_over(true, false), "and is missing again");
        let poor = Beginning::now();
        tokio::time::sleep(PATIENCE).await;
        assert!(!poor.is_over(false, false), "without a topology it is of no use");
        assert!(poor.is_over(true, false));
    }

    fn report(name: &str, state: ShardState, partitions: usize) -> ShardReport {
        let health = ShardHealth {
            id: ShardId::new(name),
            address: String::new(),
            status: ShardStatus::Unreachable("nobody is there".to_owned()),
            partitions,
            opening: 0,
        };
        shard(state, health)
    }

    #[test]
    fn a_shard_that_was_emptied_is_not_missed() {
        let shards = [
            report("active", ShardState::Active, 0),
            report("emptied", ShardState::Draining, 0),
            report("leaving", ShardState::Leaving, 0),
            report("moving", ShardState::Draining, 1),
            report("lost", ShardState::Lost, 0),
        ];
        assert_eq!(missing(&shards), ["active", "moving"]);
        let mut status = CoordinatorStatus::default();
        for name in ["active", "emptied", "unknown"] {
            status.troubles.insert(ShardId::new(name), "silent".to_owned());
        }
        assert_eq!(problems(&status, &shards), ["active: silent", "unknown: silent"]);
    }
}
