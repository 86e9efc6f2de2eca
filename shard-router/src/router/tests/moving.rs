//! Publications, reads and presence while their partition moves: they go where it is served, in order, and wait no longer
//! than nobody serves it.

use campanile_common::message::ClientInfo;
use futures_util::future::join_all;
use tokio::time::Instant;

use super::cluster::{fence, shard};
use super::*;
use crate::fence::FenceCommand;
use crate::memory::MemoryFactory;
use crate::partition::Partition;
use crate::router::events::Unheard;
use crate::shard::ShardOptions;
use crate::topology::{MoveHistory, OpeningContent, PartitionState, ShardState, Token};

/// One partition's move, carried out by hand and without its content.
struct Move<'a> {
    cluster: &'a Cluster,
    partition: Partition,
    from: usize,
    to: usize,
    generation: Generation,
}

impl<'a> Move<'a> {
    /// Up to where nothing is left but the seal.
    async fn prepare(cluster: &'a Cluster, channel: &ChannelName, (from, to): (usize, usize)) -> Self {
        let partition = Partition::of(channel);
        let announced = |generation| PartitionState::Moving {
            from: shard(from),
            to: shard(to),
            generation,
            aborting: None,
            history: MoveHistory::Drop,
        };
        let generation = decide(cluster, partition, announced).await;
        let this = Self {
            cluster,
            partition,
            from,
            to,
            generation,
        };
        let token = Token(generation.0);
        let floor = generation;
        let import = FenceCommand::Import {
            generation,
            token,
            floor,
        };
        this.act(to, import).await;
        this.wipe(token).await;
        this.act(from, FenceCommand::Migrate { generation }).await;
        this
    }

    async fn seal(&self) {
        let generation = self.generation;
        self.act(self.from, FenceCommand::Seal { generation }).await;
    }

    async fn open(&self) {
        let (generation, token) = (self.generation, Token(self.generation.0));
        self.act(self.to, FenceCommand::Open { generation, token }).await;
    }

    async fn commit(&self) {
        let to = shard(self.to);
        decide(self.cluster, self.partition, |_| PartitionState::Stable(to)).await;
    }

    async fn act(&self, number: usize, command: FenceCommand) {
        let server = &self.cluster.servers[&shard(number)];
        fence(&shard(number), server, &[self.partition], command).await;
    }

    async fn wipe(&self, token: Token) {
        let servers = self.cluster.servers.clone();
        let factory = MemoryFactory::new(servers, ShardOptions::default());
        let (id, url) = (shard(self.to), Default::default());
        let way = factory.open(&id, &url, Arc::new(Unheard)).unwrap();
        let run = self.cluster.server(self.to).run();
        let wiped = way.wipe(&run, vec![self.partition], self.generation, token);
        wiped.await.unwrap();
    }
}

/// Writes the next topology, in which `partition` is in another state.
async fn decide(
    cluster: &Cluster,
    partition: Partition,
    state: impl FnOnce(Generation) -> PartitionState,
) -> Generation {
    let before = cluster.store.read().await.unwrap().unwrap();
    let mut after = before.clone();
    after.generation = before.generation.next();
    after.change_id += 1;
    after.partitions[partition.index()] = state(after.generation);
    assert!(
        cluster
            .store
            .compare_and_set(Some(&before), &after)
            .await
            .unwrap()
    );
    after.generation
}

async fn applies(router: &Router<Witnesses>, generation: Generation) {
    let applied = || {
        router
            .topology()
            .is_some_and(|topology| topology.generation >= generation)
    };
    eventually("the topology is applied", applied).await;
}

/// Positions in the order of the calls: dense in each epoch, and no epoch comes back.
fn assert_in_order(positions: &[Position]) {
    let mut seen = Vec::new();
    for position in positions {
        match seen.last() {
            Some(Position { epoch, offset }) if *epoch == position.epoch => {
                assert_eq!(position.offset, offset.next());
            }
            _ => assert_eq!(position.offset, Offset(1), "{position} after {seen:?}"),
        }
        let known = seen
            .iter()
            .rev()
            .skip_while(|known: &&Position| known.epoch == position.epoch);
        assert!(
            !known.clone().any(|known| known.epoch == position.epoch),
            "{position}"
        );
        seen.push(position.clone());
    }
}

#[tokio::test(start_paused = true)]
async fn a_publisher_pauses_as_long_as_nobody_serves_its_partition_and_hardly_longer() {
    let recorded = recorder::Recorded::default();
    let _guard = recorded.install();
    let cluster = Cluster::open(2).await;
    let router = cluster.router();
    let channel = cluster.channel_on(1);
    let mut positions = vec![top(&router.publish(publish(&channel, 0)).await.unwrap())];
    let moving = Move::prepare(&cluster, &channel, (1, 2)).await;
    applies(&router, moving.generation).await;
    positions.push(top(&router.publish(publish(&channel, 1)).await.unwrap()));
    moving.seal().await;
    let sealed = Instant::now();
    let pending: Vec<_> = (2..50)
        .map(|data| tokio::spawn(router.publish(publish(&channel, data))))
        .collect();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(pending.iter().all(|pending| !pending.is_finished()));
    moving.open().await;
    for accepted in join_all(pending).await {
        positions.push(top(&accepted.unwrap().unwrap()));
    }
    let pause = sealed.elapsed();
    assert!(pause <= Duration::from_millis(70), "{pause:?}");
    assert_in_order(&positions);
    let before = Instant::now();
    router
        .publish(publish(&channel, "to the target at once"))
        .await
        .unwrap();
    assert!(before.elapsed() < Duration::from_millis(2));
    assert!(recorded.count("campanile_stale_publications_refused_total") >= 48);
}

#[tokio::test(start_paused = true)]
async fn reads_and_presence_go_where_the_partition_is_served() {
    let cluster = Cluster::open(2).await;
    let router = cluster.router();
    let channel = cluster.channel_on(1);
    let info = |client: &str| {
        Arc::new(ClientInfo {
            client: client.to_owned(),
            ..ClientInfo::default()
        })
    };
    router.publish(publish(&channel, "before")).await.unwrap();
    router.enter(&channel, info("a")).await.unwrap();
    let moving = Move::prepare(&cluster, &channel, (1, 2)).await;
    applies(&router, moving.generation).await;
    let query = HistoryQuery {
        since: None,
        limit: None,
        reverse: false,
        meta_ttl: Duration::from_secs(60),
    };
    let found = async || {
        router
            .history(&channel, query.clone())
            .await
            .unwrap()
            .publications
            .len()
    };
    assert_eq!(found().await, 1);
    moving.seal().await;
    let enter = tokio::spawn({
        let (router, channel) = (Arc::clone(&router), channel.clone());
        async move { router.enter(&channel, info("b")).await }
    });
    tokio::time::sleep(Duration::from_millis(20)).await;
    moving.open().await;
    enter.await.unwrap().unwrap();
    assert_eq!(found().await, 0, "the target has no history");
    assert!(router.presence(&channel).await.unwrap().contains_key("b"));
    moving.commit().await;
    assert_eq!(found().await, 0);
    router.leave(&channel, "b").await.unwrap();
    // The one that was entered before is refreshed at its partition's new shard.
    tokio::time::sleep(RouterConfig::default().presence_refresh_interval).await;
    let present: Vec<_> = router.presence(&channel).await.unwrap().into_keys().collect();
    assert_eq!(present, ["a"]);
}

#[tokio::test(start_paused = true)]
async fn an_abandoned_move_leaves_everything_with_the_source() {
    let cluster = Cluster::open(2).await;
    let router = cluster.router();
    let channel = cluster.channel_on(1);
    let mut positions = Vec::new();
    positions.push(top(&router.publish(publish(&channel, 0)).await.unwrap()));
    let moving = Move::prepare(&cluster, &channel, (1, 2)).await;
    applies(&router, moving.generation).await;
    let generation = moving.generation.next();
    let abort = FenceCommand::Abort {
        generation,
        moving: moving.generation,
    };
    moving.act(1, abort).await;
    positions.push(top(&router.publish(publish(&channel, 1)).await.unwrap()));
    let back = decide(&cluster, moving.partition, |_| PartitionState::Stable(shard(1))).await;
    applies(&router, back).await;
    positions.push(top(&router.publish(publish(&channel, 2)).await.unwrap()));
    assert_eq!(
        positions
            .iter()
            .map(|position| position.offset.get())
            .collect::<Vec<_>>(),
        [1, 2, 3]
    );
    assert_eq!(positions[0].epoch, positions[2].epoch);
}

/// A publisher with many publications under way while the partition goes to and fro.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publications_keep_their_order_whichever_way_the_partition_goes() {
    const MOVES: usize = 12;
    let cluster = Cluster::open(2).await;
    // However slow the machine is.
    let router = cluster.router_with(RouterConfig {
        publish_wait: Duration::from_secs(60),
        publish_queue_messages: 1 << 20,
        ..RouterConfig::default()
    });
    let channel = cluster.channel_on(1);
    router.publish(publish(&channel, "warm up")).await.unwrap();
    let moved = CancellationToken::new();
    let publisher = tokio::spawn({
        let (router, channel, moved) = (Arc::clone(&router), channel.clone(), moved.clone());
        async move {
            let mut pending = Vec::new();
            for number in 0.. {
                if moved.is_cancelled() {
                    break;
                }
                pending.push(tokio::spawn(router.publish(publish(&channel, number))));
                if number % 5 == 0 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
            join_all(pending).await
        }
    });
    for round in 0..MOVES {
        let ends = if round % 2 == 0 { (1, 2) } else { (2, 1) };
        let moving = Move::prepare(&cluster, &channel, ends).await;
        applies(&router, moving.generation).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
        moving.seal().await;
        tokio::time::sleep(Duration::from_millis(3)).await;
        moving.open().await;
        moving.commit().await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    moved.cancel();
    let accepted = publisher.await.unwrap();
    let positions: Vec<_> = accepted
        .into_iter()
        .map(|accepted| top(&accepted.unwrap().unwrap()))
        .skip_while(|position| position.offset > Offset(1))
        .collect();
    assert_in_order(&positions);
    let epochs = positions
        .iter()
        .map(|position| &position.epoch)
        .collect::<std::collections::HashSet<_>>();
    assert!(
        epochs.len() > MOVES / 2,
        "published in {} lives of the stream",
        epochs.len()
    );
}

#[tokio::test(start_paused = true)]
async fn the_loss_of_a_shard_is_told_to_those_who_stay_and_to_those_who_return() {
    let cluster = Cluster::open(2).await;
    let router = cluster.router();
    let (channel, other) = (cluster.channel_on(1), cluster.channel_on(2));
    for channel in [&channel, &other] {
        router.publish(publish(channel, 1)).await.unwrap();
    }
    let witness = Witness::subscribe(&router, &channel, None).await.unwrap();
    let unconcerned = Witness::subscribe(&router, &other, None).await.unwrap();
    let position = witness.joined().position;
    cluster.server(1).stop();
    evict(&cluster).await;
    assert_eq!(witness.loses().await, LossReason::ShardLost);
    let returned = Witness::subscribe(&router, &channel, position).await.unwrap();
    let lost = RecoveryOutcome::Lost(LossReason::ShardLost);
    assert_eq!(returned.joined().outcome, Some(lost));
    router.publish(publish(&channel, "elsewhere")).await.unwrap();
    returned.reaches(1).await;
    router.publish(publish(&other, "as before")).await.unwrap();
    unconcerned.reaches(2).await;
    assert!(
        !unconcerned
            .seen()
            .iter()
            .any(|seen| matches!(seen, Seen::Lost(_)))
    );
}

/// What the coordinator does about the loss of the first of two shards.
async fn evict(cluster: &Cluster) {
    let before = cluster.store.read().await.unwrap().unwrap();
    let (lost, heir) = (shard(1), shard(2));
    let generation = before.generation.next();
    let orphans: Vec<_> = before.owned_by(&lost).map(|(partition, _)| partition).collect();
    let mut after = before.clone();
    after.generation = generation;
    after.change_id += 1;
    let entry = after.shards.get_mut(&lost).unwrap();
    entry.state = ShardState::Lost;
    entry.incarnation = None;
    for partition in &orphans {
        after.partitions[partition.index()] = PartitionState::Opening {
            shard: heir.clone(),
            generation,
            content: OpeningContent::Fresh,
        };
    }
    assert!(
        cluster
            .store
            .compare_and_set(Some(&before), &after)
            .await
            .unwrap()
    );
    let token = Token(generation.0);
    let fresh = FenceCommand::Fresh {
        generation,
        token,
        unless_open: None,
    };
    for command in [fresh, FenceCommand::Open { generation, token }] {
        fence(&heir, &cluster.servers[&heir], &orphans, command).await;
    }
}
