//! Shards that are not there, for tests of what operators see.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use campanile_shard_router::coordinator::{Planned, SubmitError};
use campanile_shard_router::partition::Partition;
use campanile_shard_router::router::ShardHealth;
use campanile_shard_router::shard::{ShardStatus, ShardUsage};
use campanile_shard_router::store::{GatewayId, MemoryStore};
use campanile_shard_router::topology::{
    Change as TopologyChange, Generation, MoveHistory, PartitionState, PlanSummary, ShardEntry, ShardId,
    ShardState, ShardUrl, Topology, WantedShard,
};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};
use parking_lot::Mutex;

use super::{Change, Refusal, RefusalCode, ShardAdmin, ShardChanges, ShardView};
use crate::cluster::{Cluster, Leading, LocalGateway, NodeInfo, Standing, Target};
use crate::config::ManagedBy;
use crate::session::ServerCommand;

/// A deployment that does as it is told.
pub(crate) struct Fake {
    pub(crate) topology: Mutex<Option<Topology>>,
    /// Shards that cannot be used, and why.
    pub(crate) broken: Mutex<BTreeMap<ShardId, ShardStatus>>,
    /// What the coordinating gateway says; `None`: nobody coordinates.
    pub(crate) leading: Mutex<Option<Leading>>,
    /// What was asked for.
    pub(crate) asked: Mutex<Vec<Change>>,
    /// Whether somebody else is a moment faster with the next change.
    overtakes: AtomicBool,
}

/// An admin of two shards of 2048 partitions each, `a` and `b`, and the deployment behind it. Needs a runtime.
pub(crate) fn admin(managed_by: ManagedBy) -> (Arc<ShardAdmin>, Arc<Fake>) {
    let fake = Arc::new(Fake {
        topology: Mutex::new(Some(topology())),
        broken: Mutex::default(),
        leading: Mutex::new(Some(Leading {
            gateway: "g-1".to_owned(),
            ..Leading::default()
        })),
        asked: Mutex::default(),
        overtakes: AtomicBool::default(),
    });
    let cluster = Cluster::join(
        GatewayId("g-1".into()),
        Arc::new(MemoryStore::new()),
        Arc::clone(&fake) as _,
        Duration::from_secs(2),
    );
    let admin = ShardAdmin {
        view: Arc::clone(&fake) as _,
        changes: Arc::clone(&fake) as _,
        cluster: Arc::new(cluster),
        managed_by,
    };
    (Arc::new(admin), fake)
}

/// A shard's name.
pub(crate) fn id(name: &str) -> ShardId {
    ShardId::new(name)
}

fn topology() -> Topology {
    let entry = |port: u16| {
        let shard = WantedShard {
            url: ShardUrl::new(&format!("redis://u:secret@10.0.0.1:{port}")),
            address: format!("10.0.0.1:{port}"),
            weight: 1,
            durable: false,
        };
        shard.entry()
    };
    let shards = BTreeMap::from([(id("a"), entry(1)), (id("b"), entry(2))]);
    let owner = |partition: Partition| {
        if partition.index() < 2048 {
            id("a")
        } else {
            id("b")
        }
    };
    let change = TopologyChange {
        generation: Generation(7),
        id: 1,
    };
    let states = Partition::all().map(|partition| PartitionState::Stable(owner(partition)));
    Topology::new(change, shards, states.collect())
}

impl Fake {
    /// Changes the topology.
    pub(crate) fn edit(&self, edit: impl FnOnce(&mut Topology)) {
        edit(self.topology.lock().as_mut().unwrap());
    }

    /// Has somebody else change the topology just before the next change is decided.
    pub(crate) fn overtake(&self) {
        self.overtakes.store(true, Ordering::Relaxed);
    }

    /// Plans to move these partitions from `a` to `b`, the first `moving` of which are on their way.
    pub(crate) fn plan_moves(&self, partitions: u16, moving: u16) {
        self.edit(|topology| {
            topology.planned = usize::from(partitions);
            for number in 0..partitions {
                let partition = Partition::from_index(number).unwrap();
                if number >= moving {
                    topology.plan.insert(partition, id("b"));
                    continue;
                }
                topology.partitions[partition.index()] = PartitionState::Moving {
                    from: id("a"),
                    to: id("b"),
                    generation: Generation(7),
                    aborting: None,
                    history: MoveHistory::Keep,
                };
            }
        });
    }

    fn generation(&self) -> Generation {
        self.topology.lock().as_ref().unwrap().generation
    }

    fn present(&self) -> Planned {
        let topology = self.topology.lock().clone().unwrap();
        Planned {
            generation: topology.generation,
            summary: topology.summary(&topology),
            sizes: sizes(),
        }
    }

    /// What comes of a change, in the document of that generation.
    fn decide(&self, change: &Change, generation: Generation) -> Result<Planned, Refusal> {
        let topology = self.topology.lock().clone().unwrap();
        match change {
            Change::Drain(drain) if !topology.shards.contains_key(&id(&drain.name)) => {
                Err(RefusalCode::UnknownShard.because(format!("there is no shard {}", drain.name)))
            }
            _ => Ok(Planned {
                generation,
                summary: PlanSummary {
                    moves: BTreeMap::from([((id("a"), id("b")), 1024), ((id("b"), id("a")), 1)]),
                    before: topology.shares(),
                    after: BTreeMap::from([(id("a"), 1025), (id("b"), 3071)]),
                    minimum: 1000,
                },
                sizes: sizes(),
            }),
        }
    }
}

/// A partition of `a` holds a kilobyte; `b` does not say.
fn sizes() -> BTreeMap<ShardId, u64> {
    BTreeMap::from([(id("a"), 1024)])
}

impl ShardView for Fake {
    fn topology(&self) -> Option<Arc<Topology>> {
        self.topology.lock().clone().map(Arc::new)
    }

    fn health(&self) -> Vec<ShardHealth> {
        let broken = self.broken.lock().clone();
        let topology = self.topology.lock();
        let listed = topology.iter().flat_map(|topology| &topology.shards);
        let connected = |(id, entry): (&ShardId, &ShardEntry)| ShardHealth {
            id: id.clone(),
            address: entry.address.clone(),
            status: broken.get(id).cloned().unwrap_or(ShardStatus::Connected),
            partitions: 0,
            opening: 0,
        };
        listed
            .filter(|(_, entry)| entry.state != ShardState::Lost)
            .map(connected)
            .collect()
    }

    fn usage(&self) -> BoxFuture<'_, BTreeMap<ShardId, ShardUsage>> {
        let usage = ShardUsage {
            bytes: 2 << 20,
            keys: 300,
            operations: Some(40),
        };
        ready(BTreeMap::from([(id("a"), usage)])).boxed()
    }
}

impl ShardChanges for Fake {
    fn plan(&self, change: Option<Change>) -> BoxFuture<'_, Result<Planned, Refusal>> {
        let planned = match change {
            Some(change) => self.decide(&change, self.generation()),
            None => Ok(self.present()),
        };
        ready(planned).boxed()
    }

    fn submit(&self, change: Change, on: Option<Generation>) -> BoxFuture<'_, Result<Planned, Refusal>> {
        if self.overtakes.swap(false, Ordering::Relaxed) {
            self.edit(|topology| topology.generation = topology.generation.next());
        }
        let present = self.generation();
        if on.is_some_and(|on| on != present) {
            return ready(Err(SubmitError::Outdated.into())).boxed();
        }
        let decided = self.decide(&change, present.next());
        self.asked.lock().push(change);
        ready(decided).boxed()
    }
}

impl LocalGateway for Fake {
    fn command(&self, _: &Target, _: ServerCommand) -> usize {
        0
    }

    fn visit_channels(&self, _: &mut dyn FnMut(Standing)) {}

    fn info(&self) -> NodeInfo {
        NodeInfo::default()
    }

    fn leading(&self) -> Option<Leading> {
        self.leading.lock().clone()
    }
}
