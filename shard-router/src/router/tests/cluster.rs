//! Memory servers, a topology over them, and a stand-in for the coordinator.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use campanile_common::{ChannelName, Epoch, Timestamp};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{Router, RouterConfig, Witnesses};
use crate::fence::{FenceCommand, FenceReply, OwnerRecord};
use crate::memory::{Clock, MemoryFactory, MemoryServer, MemoryShard};
use crate::partition::Partition;
use crate::publication::ShardMessage;
use crate::shard::{HistoryRange, HistoryRequest, LinkId, Shard, ShardEvents, ShardFactory, ShardOptions};
use crate::store::{GatewayId, MemoryStore, TopologyStore};
use crate::testing::Deaf;
use crate::topology::{
    Change, Generation, PartitionState, ShardEntry, ShardId, ShardState, ShardUrl, Token, Topology,
};

/// What becomes of a message on its way to the router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Arrives,
    Vanishes,
    ArrivesTwice,
}

type Judge = Box<dyn FnMut(&ShardMessage) -> Fate + Send>;

pub(super) struct Cluster {
    pub(super) servers: BTreeMap<ShardId, Arc<MemoryServer>>,
    pub(super) store: Arc<MemoryStore>,
    gateways: AtomicUsize,
    /// Decides over each message on any link.
    judge: Arc<Mutex<Judge>>,
}

impl Cluster {
    /// Servers named `s1` and so on, whose partitions are open and evenly spread, and a topology that says so.
    pub(super) async fn open(count: usize) -> Self {
        let cluster = Self::unannounced(count);
        cluster.announce().await;
        cluster
    }

    /// The same before there is a topology or any partition.
    pub(super) fn unannounced(count: usize) -> Self {
        let start = Instant::now();
        let millis = move || u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        // The servers' time is the tests'.
        let clock: Clock = Arc::new(move || Timestamp::from_millis(millis()));
        let server = |number| {
            (
                shard(number),
                Arc::new(MemoryServer::with_clock(1 << 30, clock.clone())),
            )
        };
        let judge: Judge = Box::new(|_| Fate::Arrives);
        Self {
            servers: (1..=count).map(server).collect(),
            store: Arc::new(MemoryStore::new()),
            gateways: AtomicUsize::new(1),
            judge: Arc::new(Mutex::new(judge)),
        }
    }

    /// Opens all partitions and writes the first topology.
    pub(super) async fn announce(&self) {
        let generation = Generation(1);
        let ids: Vec<_> = self.servers.keys().cloned().collect();
        let owner = |partition: Partition| ids[partition.index() % ids.len()].clone();
        for (id, server) in &self.servers {
            let own: Vec<_> = Partition::all()
                .filter(|partition| owner(*partition) == *id)
                .collect();
            fence(
                id,
                server,
                &own,
                FenceCommand::Fresh {
                    generation,
                    token: Token(1),
                    unless_open: None,
                },
            )
            .await;
            fence(
                id,
                server,
                &own,
                FenceCommand::Open {
                    generation,
                    token: Token(1),
                },
            )
            .await;
        }
        let entry = |(id, server): (&ShardId, &Arc<MemoryServer>)| {
            let entry = ShardEntry {
                url: ShardUrl::default(),
                address: format!("memory://{id}"),
                weight: 1,
                durable: false,
                state: ShardState::Active,
                incarnation: Some(server.run()),
                admitted: generation,
            };
            (id.clone(), entry)
        };
        let stable = |partition| PartitionState::Stable(owner(partition));
        let topology = Topology::new(
            Change { generation, id: 1 },
            self.servers.iter().map(entry).collect(),
            Partition::all().map(stable).collect(),
        );
        assert!(self.store.compare_and_set(None, &topology).await.unwrap());
    }

    /// What the coordinator does about a restarted or emptied server: closes it, under a new epoch floor unless
    /// `keep_epochs`, admits the run that answers, and opens it again.
    pub(super) async fn admit(&self, number: usize, keep_epochs: bool) {
        let id = shard(number);
        let generation = self.seal(number, keep_epochs).await;
        let before = self.store.read().await.unwrap().unwrap();
        let mut after = before.clone();
        after.generation = generation;
        after.change_id += 1;
        let entry = after.shards.get_mut(&id).unwrap();
        entry.incarnation = Some(self.servers[&id].run());
        entry.admitted = generation;
        assert!(self.store.compare_and_set(Some(&before), &after).await.unwrap());
        self.reopen(number).await;
    }

    /// Closes all partitions of a server, as the next generation.
    pub(super) async fn seal(&self, number: usize, keep_epochs: bool) -> Generation {
        let generation = self.store.read().await.unwrap().unwrap().generation.next();
        self.fence_own(
            number,
            FenceCommand::Admit {
                generation,
                keep_epochs,
            },
        )
        .await;
        generation
    }

    /// Opens what the present generation, or the coming one, closed.
    pub(super) async fn reopen(&self, number: usize) {
        let server = &self.servers[&shard(number)];
        let generation = owners(number, server)
            .await
            .iter()
            .map(|(_, record)| record.generation)
            .max();
        self.fence_own(
            number,
            FenceCommand::Reopen {
                generation: generation.unwrap(),
            },
        )
        .await;
    }

    async fn fence_own(&self, number: usize, command: FenceCommand) {
        let id = shard(number);
        let topology = self.store.read().await.unwrap().unwrap();
        let own: Vec<_> = topology.owned_by(&id).map(|(partition, _)| partition).collect();
        fence(&id, &self.servers[&id], &own, command).await;
    }

    /// One more gateway: `g1`, `g2` and so on.
    pub(super) fn router(&self) -> Arc<Router<Witnesses>> {
        self.router_with(RouterConfig::default())
    }

    pub(super) fn router_with(&self, config: RouterConfig) -> Arc<Router<Witnesses>> {
        self.router_over(config, self.store.clone())
    }

    /// The same with another way to the store.
    pub(super) fn router_over(
        &self,
        config: RouterConfig,
        store: Arc<dyn TopologyStore>,
    ) -> Arc<Router<Witnesses>> {
        let factory = TamperingFactory {
            inner: MemoryFactory::new(self.servers.clone(), ShardOptions::default()),
            judge: Arc::clone(&self.judge),
        };
        let number = self.gateways.fetch_add(1, Ordering::Relaxed);
        let gateway = GatewayId(format!("g{number}").into());
        Router::start(config, Arc::new(Witnesses), store, Arc::new(factory), gateway)
    }

    /// Lets `judge` decide over each message from now on.
    pub(super) fn tamper(&self, judge: impl FnMut(&ShardMessage) -> Fate + Send + 'static) {
        *self.judge.lock() = Box::new(judge);
    }

    /// Under which epoch shard `number` has a channel's stream, whether or not it is the owner.
    pub(super) async fn epoch_on(&self, number: usize, channel: &ChannelName) -> Epoch {
        let deaf: Arc<dyn ShardEvents> = Arc::new(Deaf);
        let server = Arc::clone(&self.servers[&shard(number)]);
        let (run, admitted) = (server.run(), Generation(u64::MAX));
        let way = MemoryShard::open(shard(number), server, &deaf, ShardOptions::default());
        way.trust(Some(run), admitted);
        let request = HistoryRequest {
            channel: channel.clone(),
            range: HistoryRange {
                since: None,
                limit: Some(0),
                reverse: false,
            },
            meta_ttl: Duration::from_secs(60),
            new_epoch: Epoch::default(),
        };
        let page = way.history(Partition::of(channel), request).await.unwrap();
        page.position.epoch
    }

    /// A channel that lives on shard `number`, counted from 1.
    pub(super) fn channel_on(&self, number: usize) -> ChannelName {
        let here = |name: &String| Partition::of(name).index() % self.servers.len() == number - 1;
        let name = (0..)
            .map(|n| format!("test:{n}"))
            .find(here)
            .expect("one of the names falls there");
        ChannelName::from_trusted(&name)
    }

    pub(super) fn server(&self, number: usize) -> &MemoryServer {
        &self.servers[&shard(number)]
    }
}

/// The shard with that number, counted from 1.
pub(super) fn shard(number: usize) -> ShardId {
    ShardId::new(&format!("s{number}"))
}

async fn owners(number: usize, server: &Arc<MemoryServer>) -> Vec<(Partition, OwnerRecord)> {
    let deaf: Arc<dyn ShardEvents> = Arc::new(Deaf);
    let way = MemoryShard::open(shard(number), Arc::clone(server), &deaf, ShardOptions::default());
    way.owners(&server.run()).await.unwrap()
}

pub(super) async fn fence(
    id: &ShardId,
    server: &Arc<MemoryServer>,
    partitions: &[Partition],
    command: FenceCommand,
) {
    let deaf: Arc<dyn ShardEvents> = Arc::new(Deaf);
    let shard = MemoryShard::open(id.clone(), Arc::clone(server), &deaf, ShardOptions::default());
    let commands = partitions
        .iter()
        .map(|partition| (*partition, command.clone()))
        .collect();
    let replies = shard.fence(&server.run(), commands).await.unwrap();
    assert!(replies.iter().all(|reply| *reply == FenceReply::Done), "refused");
}

/// Opens memory shards whose messages pass the judge.
struct TamperingFactory {
    inner: MemoryFactory,
    judge: Arc<Mutex<Judge>>,
}

impl ShardFactory for TamperingFactory {
    fn open(
        &self,
        shard: &ShardId,
        url: &ShardUrl,
        events: Arc<dyn ShardEvents>,
    ) -> Result<Arc<dyn Shard>, String> {
        let judge = Arc::clone(&self.judge);
        self.inner.open(shard, url, Arc::new(Tampered { events, judge }))
    }
}

struct Tampered {
    events: Arc<dyn ShardEvents>,
    judge: Arc<Mutex<Judge>>,
}

impl ShardEvents for Tampered {
    fn message(&self, link: &LinkId, channel: &str, message: ShardMessage) {
        let fate = (self.judge.lock())(&message);
        if fate == Fate::ArrivesTwice {
            self.events.message(link, channel, message.clone());
        }
        if fate != Fate::Vanishes {
            self.events.message(link, channel, message);
        }
    }

    fn marker(&self, link: &LinkId, partition: Partition, generation: Generation) {
        self.events.marker(link, partition, generation);
    }

    fn link_up(&self, link: &LinkId) {
        self.events.link_up(link);
    }

    fn link_down(&self, link: &LinkId) {
        self.events.link_down(link);
    }
}
