//! The tasks that keep what the gateway goes by up to date: its configuration file, and the list of shards.

use std::sync::Arc;

use campanile_shard_router::coordinator::{Coordinator, ShardList, ShardRequests};
use campanile_shard_router::topology::{Topology, WantedShard};
use tokio::signal::unix::Signal;
use tokio::task::JoinSet;

use super::gateway::ClientRouter;
use super::rules::Rules;
use super::shards::{Backend, describe};
use crate::config::{Config, ManagedBy, Sources};
use crate::lookout::keep_looking;
use crate::reload::{Apply, Reload, ReloadMeters};
use crate::shard_list::discovery::Discovery;
use crate::shard_list::notes::Notes;
use crate::shard_list::proposer::propose_all;

/// Where the configuration came from, what says that it has changed, and what of it can be replaced.
pub(super) struct Origin {
    pub(super) sources: Sources,
    pub(super) hangups: Signal,
    pub(super) rules: Rules,
}

/// What keeps the list of shards up to date.
pub(super) struct ListKeeper {
    tasks: JoinSet<()>,
    notes: Notes,
}

impl ListKeeper {
    /// Begins to watch the file, to ask the DNS, and to propose what they say, each as far as it is configured.
    pub(super) fn start(
        config: &Config,
        origin: Origin,
        backend: &mut Backend,
        router: &Arc<ClientRouter>,
        coordinator: &Coordinator,
    ) -> Self {
        let (mut tasks, notes) = (JoinSet::new(), Notes::default());
        let requests = ShardRequests::new(Arc::clone(&backend.store), Arc::clone(router) as _);
        let proposals = backend.lists.proposals();
        let applied = router.applied();
        tasks.spawn(propose_all(proposals, Arc::new(requests), applied, notes.clone()));
        let rules = origin.rules;
        let apply = Apply {
            shards: backend.take_apply(),
            rules: Box::new(move |config| rules.replace(config)),
        };
        let meters = ReloadMeters::register();
        match Reload::new(&origin.sources, config, apply, notes.clone(), meters) {
            Some(reload) => drop(tasks.spawn(keep_looking(reload, origin.hangups))),
            None => drop(tasks.spawn(ignore(origin.hangups))),
        }
        if let ManagedBy::Dns(options) = &config.cluster.managed_by {
            let router = Arc::clone(router);
            let discovery = Discovery {
                options: options.clone(),
                coordinator: coordinator.status(),
                known: Box::new(move || router.topology().as_deref().map(listed).unwrap_or_default()),
                describe,
                lists: backend.lists.clone(),
                notes: notes.clone(),
            };
            tasks.spawn(discovery.run());
        }
        Self { tasks, notes }
    }

    /// What operators should know of it.
    pub(super) fn notes(&self) -> Notes {
        self.notes.clone()
    }

    /// Ends it.
    pub(super) async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}

/// The shards that are wanted, as far as the topology tells.
fn listed(topology: &Topology) -> ShardList {
    if let Some(wanted) = &topology.wanted {
        return wanted.clone();
    }
    let shards = topology.shards.iter();
    let shard = shards.map(|(id, entry)| {
        let shard = WantedShard {
            url: entry.url.clone(),
            address: entry.address.clone(),
            weight: entry.weight,
            durable: entry.durable,
        };
        (id.clone(), shard)
    });
    shard.collect()
}

/// A gateway without a file has nothing to look at.
async fn ignore(mut hangups: Signal) {
    while hangups.recv().await.is_some() {
        tracing::info!("told to look at the configuration file: there is none");
    }
}
