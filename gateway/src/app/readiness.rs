//! What this gateway can reach.

use std::sync::Arc;

use campanile_shard_router::coordinator::{ConfiguredShards, CoordinatorStatus, ShardSource as _};
use campanile_shard_router::router::ShardHealth;
use campanile_shard_router::shard::ShardStatus;
use campanile_shard_router::store::TopologyStore;
use campanile_shard_router::topology::{ShardId, ShardState, WantedShard};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::gateway::ClientRouter;
use crate::http::{Readiness, ReadyReport, ShardReport, StoreReport};
use crate::shard_list::notes::Notes;
use crate::shards;

/// Asks the parts.
pub(super) struct Probe {
    pub(super) gateway: String,
    pub(super) store: Arc<dyn TopologyStore>,
    pub(super) router: Arc<ClientRouter>,
    /// The shards that this gateway is told of.
    pub(super) configured: ConfiguredShards,
    pub(super) notes: Notes,
    pub(super) coordinator: watch::Receiver<CoordinatorStatus>,
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
        let missing: Vec<String> = shards
            .iter()
            .filter(|shard| ![CONNECTED, LOST].contains(&shard.status))
            .map(|shard| shard.name.clone())
            .collect();
        let problems = problems(&self.coordinator.borrow());
        let notes = self.notes();
        let shutting_down = self.ending.is_cancelled();
        let reaches_all = topology.is_some() && store.reachable && missing.is_empty();
        ReadyReport {
            ready: reaches_all && problems.is_empty() && !shutting_down,
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
        list.into_iter().chain(wish).chain(self.notes.texts()).collect()
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

/// Nobody is connected to it, and nothing is missing for that.
const LOST: &str = "lost";

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
            ("opening", Some(error))
        }
        ShardStatus::Connected => (CONNECTED, None),
        ShardStatus::Untrusted(run) => ("untrusted", Some(format!("run {run} is not admitted (yet)"))),
        ShardStatus::Unreachable(error) => ("unreachable", Some(error)),
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

/// What the coordinator sees and the shards' connections do not show.
fn problems(status: &CoordinatorStatus) -> Vec<String> {
    let troubles = status.troubles.iter();
    troubles
        .map(|(shard, trouble)| format!("{shard}: {trouble}"))
        .collect()
}
