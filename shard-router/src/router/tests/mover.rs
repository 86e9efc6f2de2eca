//! One partition's move, carried out by hand, step by step, with its content.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::cluster::{Cluster, fence, shard};
use super::eventually;
use crate::fence::FenceCommand;
use crate::memory::{MemoryServer, MemoryShard};
use crate::partition::Partition;
use crate::router::events::Unheard;
use crate::shard::{CopyItem, CopyScope, ScanCursor, Shard, ShardEvents, ShardOptions};
use crate::store::TopologyStore;
use crate::topology::{Generation, MoveHistory, OpeningContent, PartitionState, Token, Topology};

/// What has been done of a move so far. The steps are to be taken in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Planned,
    Announced,
    Acknowledged,
    Sealed,
    Opened,
    Committed,
}

impl Phase {
    pub(super) const ALL: [Self; 6] = [
        Self::Planned,
        Self::Announced,
        Self::Acknowledged,
        Self::Sealed,
        Self::Opened,
        Self::Committed,
    ];
}

pub(super) struct Mover<'a> {
    cluster: &'a Cluster,
    pub(super) partition: Partition,
    from: usize,
    to: usize,
    history: MoveHistory,
    pub(super) generation: Generation,
    pub(super) phase: Phase,
}

impl<'a> Mover<'a> {
    pub(super) fn new(
        cluster: &'a Cluster,
        partition: Partition,
        (from, to): (usize, usize),
        history: MoveHistory,
    ) -> Self {
        Self {
            cluster,
            partition,
            from,
            to,
            history,
            generation: Generation::default(),
            phase: Phase::Planned,
        }
    }

    /// Goes on until `phase` is reached.
    pub(super) async fn reach(&mut self, phase: Phase) {
        while self.phase < phase {
            self.phase = match self.phase {
                Phase::Planned => self.announce().await,
                Phase::Announced => self.acknowledged().await,
                Phase::Acknowledged => self.seal().await,
                Phase::Sealed => self.open().await,
                Phase::Opened | Phase::Committed => self.commit().await,
            };
        }
    }

    /// All of it, and the source's leftovers deleted.
    pub(super) async fn carry_out(mut self) {
        self.reach(Phase::Committed).await;
    }

    async fn announce(&mut self) -> Phase {
        let (from, to, history) = (shard(self.from), shard(self.to), self.history);
        let state = |generation| PartitionState::Moving {
            from,
            to,
            generation,
            aborting: None,
            history,
        };
        self.generation = decide(self.cluster, self.partition, state).await;
        let generation = self.generation;
        let floor = self
            .way(self.from)
            .records(&self.server(self.from).run(), vec![self.partition]);
        let floor = floor.await.unwrap()[0].as_ref().unwrap().floor;
        let token = self.token();
        let import = FenceCommand::Import {
            generation,
            token,
            floor,
        };
        self.act(self.to, import).await;
        let run = self.server(self.to).run();
        let wiped = self
            .way(self.to)
            .wipe(&run, vec![self.partition], generation, token);
        wiped.await.unwrap();
        self.act(self.from, FenceCommand::Migrate { generation }).await;
        self.copy_all().await;
        Phase::Announced
    }

    async fn acknowledged(&self) -> Phase {
        acknowledged(self.cluster, self.generation).await;
        Phase::Acknowledged
    }

    async fn seal(&self) -> Phase {
        let generation = self.generation;
        self.act(self.from, FenceCommand::Seal { generation }).await;
        Phase::Sealed
    }

    async fn open(&self) -> Phase {
        self.copy_changed().await;
        let (generation, token) = (self.generation, self.token());
        self.act(self.to, FenceCommand::Open { generation, token }).await;
        Phase::Opened
    }

    async fn commit(&self) -> Phase {
        let to = shard(self.to);
        decide(self.cluster, self.partition, |_| PartitionState::Stable(to)).await;
        Phase::Committed
    }

    /// Gives it up, before the seal.
    pub(super) async fn abort(self) {
        let before = self.cluster.store.read().await.unwrap().unwrap();
        let generation = before.generation.next();
        let moving = self.generation;
        self.act(self.from, FenceCommand::Abort { generation, moving })
            .await;
        let from = shard(self.from);
        decide(self.cluster, self.partition, |_| PartitionState::Stable(from)).await;
    }

    async fn copy_all(&self) {
        let run = self.server(self.from).run();
        let partitions = Arc::new(BTreeSet::from([self.partition]));
        let way = self.way(self.from);
        let mut cursor = Some(ScanCursor::START);
        while let Some(next) = cursor.take() {
            let step = way.scan(&run, Arc::clone(&partitions), self.scope(), next);
            let (items, next) = step.await.unwrap();
            self.copy(items).await;
            cursor = next;
        }
    }

    async fn copy_changed(&self) {
        let run = self.server(self.from).run();
        let mut since = 0;
        loop {
            let ask = vec![(self.partition, since)];
            let pages = self
                .way(self.from)
                .dirty(&run, self.generation, ask, self.scope());
            let page = pages.await.unwrap().remove(0).expect("it is sealed");
            self.copy(page.items).await;
            since = page.through;
            if !page.more {
                return;
            }
        }
    }

    async fn copy(&self, items: Vec<CopyItem>) {
        let (source, target) = (self.way(self.from), self.way(self.to));
        let (source_run, target_run) = (self.server(self.from).run(), self.server(self.to).run());
        for mut item in items {
            loop {
                let parts = source.copy(&source_run, self.generation, vec![item.clone()]);
                let part = parts.await.unwrap().remove(0).expect("it is migrating");
                let (complete, mark) = (part.complete, part.mark.clone());
                let written = target.restore(&target_run, self.generation, self.token(), vec![part]);
                assert_eq!(written.await.unwrap(), [true]);
                if complete {
                    break;
                }
                item.resume = mark;
            }
        }
    }

    fn scope(&self) -> CopyScope {
        match self.history {
            MoveHistory::Keep => CopyScope::All,
            MoveHistory::Drop => CopyScope::Results,
        }
    }

    fn token(&self) -> Token {
        Token(self.generation.0)
    }

    async fn act(&self, number: usize, command: FenceCommand) {
        fence(&shard(number), self.server(number), &[self.partition], command).await;
    }

    fn server(&self, number: usize) -> &Arc<MemoryServer> {
        &self.cluster.servers[&shard(number)]
    }

    fn way(&self, number: usize) -> MemoryShard {
        let unheard: Arc<dyn ShardEvents> = Arc::new(Unheard);
        MemoryShard::open(
            shard(number),
            Arc::clone(self.server(number)),
            &unheard,
            ShardOptions::default(),
        )
    }
}

/// Opens `partition` on another shard, as after an eviction of its owner, and writes that down.
pub(super) async fn evict(cluster: &Cluster, partition: Partition, to: usize) {
    let opening = |generation| PartitionState::Opening {
        shard: shard(to),
        generation,
        content: OpeningContent::Fresh,
    };
    let generation = decide(cluster, partition, opening).await;
    let token = Token(generation.0);
    let server = &cluster.servers[&shard(to)];
    let fresh = FenceCommand::Fresh {
        generation,
        token,
        unless_open: None,
    };
    fence(&shard(to), server, &[partition], fresh).await;
    fence(
        &shard(to),
        server,
        &[partition],
        FenceCommand::Open { generation, token },
    )
    .await;
    decide(cluster, partition, |_| PartitionState::Stable(shard(to))).await;
}

/// Writes the next topology, in which `partition` is in another state.
pub(super) async fn decide(
    cluster: &Cluster,
    partition: Partition,
    state: impl FnOnce(Generation) -> PartitionState,
) -> Generation {
    let before = cluster.store.read().await.unwrap().unwrap();
    let generation = before.generation.next();
    let mut after: Topology = before.clone();
    after.generation = generation;
    after.change_id += 1;
    after.partitions[partition.index()] = state(generation);
    let written = cluster.store.compare_and_set(Some(&before), &after).await;
    assert!(written.unwrap());
    generation
}

/// Waits until every gateway has acknowledged `generation`.
pub(super) async fn acknowledged(cluster: &Cluster, generation: Generation) {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        let gateways = cluster.store.gateways().await.unwrap();
        if gateways.iter().all(|(_, report)| report.applied >= generation) {
            return;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "not acknowledged: {gateways:?}"
        );
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

/// Waits until a router has applied `generation`.
pub(super) async fn applied(router: &super::Router<super::Witnesses>, generation: Generation) {
    let reached = || router.core.generation() >= generation;
    eventually("the topology is applied", reached).await;
}
