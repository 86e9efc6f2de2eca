//! What subscribers notice of moves: nothing. Of everything else that happens meanwhile: the truth.

use std::sync::atomic::{AtomicBool, Ordering};

use super::cluster::{Cluster, shard};
use super::mover::{Mover, Phase, acknowledged, applied, evict};
use super::recorder::Recorded;
use super::*;
use crate::fence::FenceCommand;
use crate::partition::Partition;
use crate::store::TopologyStore;
use crate::testing::{InterceptedStore, Verdict};
use crate::topology::MoveHistory;

/// A channel with a publisher who numbers what it publishes, one after another.
struct Stage {
    cluster: Cluster,
    router: Arc<Router<Witnesses>>,
    channel: ChannelName,
    stream: Option<StreamLimits>,
    published: u64,
}

impl Stage {
    async fn new(shards: usize, stream: Option<StreamLimits>) -> Self {
        Self::with(shards, stream, RouterConfig::default()).await
    }

    async fn with(shards: usize, stream: Option<StreamLimits>, config: RouterConfig) -> Self {
        let cluster = Cluster::open(shards).await;
        let router = cluster.router_with(config);
        let channel = cluster.channel_on(1);
        Self {
            cluster,
            router,
            channel,
            stream,
            published: 0,
        }
    }

    fn partition(&self) -> Partition {
        Partition::of(&self.channel)
    }

    fn mover(&self, from: usize, to: usize, history: MoveHistory) -> Mover<'_> {
        Mover::new(&self.cluster, self.partition(), (from, to), history)
    }

    async fn subscribe(&self) -> Listener {
        let options = SubscribeOptions {
            stream: self.stream,
            limit: 100,
            ..SubscribeOptions::default()
        };
        let witness = Witness::subscribe_with(&self.router, &self.channel, options);
        Listener {
            witness: witness.await.unwrap(),
            after: self.published,
        }
    }
}

/// A subscriber, and how much had been published when it came.
struct Listener {
    witness: Witness,
    after: u64,
}

impl Listener {
    /// The numbers it saw.
    fn numbers(&self) -> Vec<u64> {
        let number = |seen: &Seen| match seen {
            Seen::Publication(_, data) => data.parse().ok(),
            _ => None,
        };
        self.witness.seen().iter().filter_map(number).collect()
    }

    fn losses(&self) -> usize {
        let seen = self.witness.seen();
        seen.iter().filter(|seen| matches!(seen, Seen::Lost(_))).count()
    }

    /// Has seen everything since it came, up to `last`, once and in order, and was told nothing else.
    async fn has_all(&self, last: u64) {
        eventually("the last arrives", || self.numbers().last() == Some(&last)).await;
        assert_eq!(self.numbers(), (self.after + 1..=last).collect::<Vec<_>>());
        assert_eq!(self.losses(), 0);
    }
}

/// Publishes the next number, which must be accepted.
macro_rules! publish_next {
    ($stage:expr) => {{
        $stage.published += 1;
        let publish = Publish {
            stream: $stage.stream,
            ..publish(&$stage.channel, $stage.published)
        };
        $stage.router.publish(publish).await.unwrap();
    }};
}

/// With a stream and without, moving it along or not.
const KINDS: [(bool, MoveHistory); 3] = [
    (true, MoveHistory::Keep),
    (true, MoveHistory::Drop),
    (false, MoveHistory::Keep),
];

fn kept(with_stream: bool) -> Option<StreamLimits> {
    with_stream.then(|| stream(100)).flatten()
}

#[tokio::test(start_paused = true)]
async fn a_move_goes_unnoticed_whichever_shard_is_slow() {
    for (with_stream, history) in KINDS {
        for slow in [None, Some(1), Some(2)] {
            let mut stage = Stage::new(2, kept(with_stream)).await;
            let listener = stage.subscribe().await;
            if let Some(slow) = slow {
                stage.cluster.server(slow).stall(true);
            }
            let (cluster, partition) = (&stage.cluster, stage.partition());
            let mut moving = Mover::new(cluster, partition, (1, 2), history);
            for phase in Phase::ALL {
                moving.reach(phase).await;
                if phase == Phase::Sealed {
                    continue;
                }
                for _ in 0..5 {
                    publish_next!(stage);
                }
            }
            stage.cluster.server(1).stall(false);
            stage.cluster.server(2).stall(false);
            listener.has_all(stage.published).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_new_owners_messages_wait_for_the_former_ones() {
    let recorded = Recorded::default();
    let _guard = recorded.install();
    let mut stage = Stage::new(2, None).await;
    let listener = stage.subscribe().await;
    let mut moving = Mover::new(&stage.cluster, stage.partition(), (1, 2), MoveHistory::Keep);
    moving.reach(Phase::Acknowledged).await;
    stage.cluster.server(1).stall(true);
    publish_next!(stage);
    moving.reach(Phase::Committed).await;
    publish_next!(stage);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(listener.numbers().is_empty(), "the first is on its way");
    assert_eq!(recorded.count("campanile_messages_received_total held_back"), 1);
    let gateways = stage.cluster.store.gateways().await.unwrap();
    let (_, report) = &gateways[0];
    assert_eq!(
        report.applied, moving.generation,
        "the commit is not acknowledged"
    );
    assert!(report.obstacle.as_ref().unwrap().contains("s1"), "{report:?}");
    stage.cluster.server(1).stall(false);
    listener.has_all(2).await;
    acknowledged(&stage.cluster, moving.generation.next()).await;
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_in_any_phase_gets_all_that_follows() {
    for (with_stream, history) in KINDS {
        let mut stage = Stage::new(2, kept(with_stream)).await;
        let mut listeners = vec![stage.subscribe().await];
        let mut moving = Mover::new(&stage.cluster, stage.partition(), (1, 2), history);
        for phase in Phase::ALL {
            moving.reach(phase).await;
            if phase == Phase::Sealed {
                continue;
            }
            publish_next!(stage);
            listeners[0].has_all(stage.published).await;
            listeners.push(stage.subscribe().await);
            publish_next!(stage);
        }
        for listener in &listeners {
            listener.has_all(stage.published).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_subscriber_of_a_channel_may_come_in_any_phase() {
    for with_stream in [true, false] {
        for first in Phase::ALL.into_iter().filter(|phase| *phase != Phase::Sealed) {
            let mut stage = Stage::new(2, kept(with_stream)).await;
            let mut moving = Mover::new(&stage.cluster, stage.partition(), (1, 2), MoveHistory::Keep);
            moving.reach(first).await;
            publish_next!(stage);
            let listener = stage.subscribe().await;
            for phase in Phase::ALL.into_iter().filter(|phase| *phase >= first) {
                moving.reach(phase).await;
                if phase != Phase::Sealed {
                    publish_next!(stage);
                }
            }
            listener.has_all(stage.published).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_goes_in_any_phase_leaves_nothing_behind() {
    for leaves in Phase::ALL {
        let mut stage = Stage::new(2, stream(100)).await;
        let listener = stage.subscribe().await;
        let mut moving = Mover::new(&stage.cluster, stage.partition(), (1, 2), MoveHistory::Keep);
        publish_next!(stage);
        listener.has_all(1).await;
        for phase in Phase::ALL {
            moving.reach(phase).await;
            if phase == leaves {
                listener.witness.leave(&stage.router);
            }
        }
        eventually("the channel is let go", || stage.router.core.channels.len() == 0).await;
        assert_eq!(
            stage.cluster.server(1).listeners() + stage.cluster.server(2).listeners(),
            0
        );
        let back = stage.subscribe().await;
        publish_next!(stage);
        back.has_all(2).await;
        assert_eq!(stage.cluster.server(1).listeners(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_link_that_breaks_in_any_phase_is_healed_from_the_stream() {
    for breaks in [1, 2] {
        for when in Phase::ALL {
            let mut stage = Stage::new(2, stream(100)).await;
            let listener = stage.subscribe().await;
            let mut moving = Mover::new(&stage.cluster, stage.partition(), (1, 2), MoveHistory::Keep);
            for phase in Phase::ALL {
                moving.reach(phase).await;
                if phase == when {
                    stage.cluster.server(breaks).break_links();
                }
                if phase != Phase::Sealed {
                    publish_next!(stage);
                    publish_next!(stage);
                }
            }
            listener.has_all(stage.published).await;
            acknowledged(&stage.cluster, moving.generation.next()).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_stream_a_broken_link_loses_what_was_on_it_and_says_so() {
    for breaks in [1, 2] {
        for when in Phase::ALL {
            let recorded = Recorded::default();
            let _guard = recorded.install();
            let mut stage = Stage::new(2, None).await;
            let listener = stage.subscribe().await;
            let mut moving = Mover::new(&stage.cluster, stage.partition(), (1, 2), MoveHistory::Keep);
            for phase in Phase::ALL {
                moving.reach(phase).await;
                if phase == when {
                    stage.cluster.server(breaks).break_links();
                }
                if phase != Phase::Sealed {
                    publish_next!(stage);
                }
            }
            acknowledged(&stage.cluster, moving.generation.next()).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            publish_next!(stage);
            let last = stage.published;
            eventually("the last arrives", || listener.numbers().last() == Some(&last)).await;
            let numbers = listener.numbers();
            assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
            let missing = last - numbers.len() as u64;
            let interrupted = recorded.count("campanile_channels_interrupted_total");
            assert!(
                missing == 0 || interrupted > 0,
                "{missing} lost in silence at {when:?}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn moves_follow_one_another_while_the_first_owner_is_slow() {
    for (with_stream, history) in KINDS {
        for last in [1, 3] {
            let mut stage = Stage::new(3, kept(with_stream)).await;
            let listener = stage.subscribe().await;
            publish_next!(stage);
            let mut first = Mover::new(&stage.cluster, stage.partition(), (1, 2), history);
            first.reach(Phase::Acknowledged).await;
            stage.cluster.server(1).stall(true);
            publish_next!(stage);
            first.reach(Phase::Committed).await;
            publish_next!(stage);
            let mut second = Mover::new(&stage.cluster, stage.partition(), (2, last), history);
            second.reach(Phase::Announced).await;
            publish_next!(stage);
            tokio::time::sleep(Duration::from_millis(300)).await;
            assert!(
                stage.router.core.generation() < second.generation,
                "it has to wait"
            );
            stage.cluster.server(1).stall(false);
            for phase in [Phase::Acknowledged, Phase::Opened, Phase::Committed] {
                second.reach(phase).await;
                publish_next!(stage);
            }
            listener.has_all(stage.published).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_abandoned_move_goes_unnoticed_and_can_be_made_again() {
    for (with_stream, history) in KINDS {
        let mut stage = Stage::new(3, kept(with_stream)).await;
        let listener = stage.subscribe().await;
        for target in [2, 3, 2] {
            let mut moving = Mover::new(&stage.cluster, stage.partition(), (1, target), history);
            moving.reach(Phase::Acknowledged).await;
            publish_next!(stage);
            moving.abort().await;
            publish_next!(stage);
        }
        let mut moving = Mover::new(&stage.cluster, stage.partition(), (1, 2), history);
        moving.reach(Phase::Committed).await;
        publish_next!(stage);
        listener.has_all(stage.published).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_evicted_owner_that_lives_on_ends_its_streams_honestly() {
    let mut stage = Stage::new(2, stream(100)).await;
    let listener = stage.subscribe().await;
    publish_next!(stage);
    listener.has_all(1).await;
    evict(&stage.cluster, stage.partition(), 2).await;
    assert_eq!(listener.witness.loses().await, LossReason::EpochChanged);
    publish_next!(stage);
    eventually("publications go on", || listener.numbers() == [1, 2]).await;
}

#[tokio::test(start_paused = true)]
async fn too_much_held_back_is_healed_from_the_stream_or_counted_as_lost() {
    for with_stream in [true, false] {
        let recorded = Recorded::default();
        let _guard = recorded.install();
        let config = RouterConfig {
            held_messages: 4,
            ..RouterConfig::default()
        };
        let mut stage = Stage::with(2, kept(with_stream), config).await;
        let listener = stage.subscribe().await;
        let mut moving = Mover::new(&stage.cluster, stage.partition(), (1, 2), MoveHistory::Keep);
        moving.reach(Phase::Acknowledged).await;
        stage.cluster.server(1).stall(true);
        publish_next!(stage);
        moving.reach(Phase::Committed).await;
        for _ in 0..7 {
            publish_next!(stage);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        stage.cluster.server(1).stall(false);
        if with_stream {
            listener.has_all(8).await;
        } else {
            eventually("the rest arrives", || listener.numbers().last() == Some(&8)).await;
            assert_eq!(listener.numbers(), [1, 7, 8]);
            assert_eq!(recorded.count("campanile_channels_interrupted_total"), 1);
        }
        assert_eq!(recorded.count("campanile_messages_received_total dropped"), 5);
    }
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_expired_begins_anew() {
    let mut stage = Stage::new(2, stream(100)).await;
    let listener = stage.subscribe().await;
    let mut moving = Mover::new(&stage.cluster, stage.partition(), (1, 2), MoveHistory::Keep);
    moving.reach(Phase::Acknowledged).await;
    stage.cluster.server(1).stall(true);
    publish_next!(stage);
    let (gateway, _) = stage.cluster.store.gateways().await.unwrap().remove(0);
    stage.cluster.store.deregister(&gateway).await.unwrap();
    moving.reach(Phase::Committed).await;
    publish_next!(stage);
    // Notices at its next heartbeat, and connects anew; what the old link holds comes to nobody.
    listener.has_all(2).await;
    stage.cluster.server(1).stall(false);
    publish_next!(stage);
    listener.has_all(3).await;
    acknowledged(&stage.cluster, moving.generation.next()).await;
}

#[tokio::test(start_paused = true)]
async fn a_partition_sealed_for_an_unknown_topology_is_served_again_when_it_is_known() {
    let mut stage = Stage::new(2, stream(100)).await;
    let listener = stage.subscribe().await;
    publish_next!(stage);
    let partition = stage.partition();
    let generation = stage.router.core.generation().next();
    for command in [
        FenceCommand::Migrate { generation },
        FenceCommand::Seal { generation },
    ] {
        let server = &stage.cluster.servers[&shard(1)];
        cluster::fence(&shard(1), server, &[partition], command).await;
    }
    let expired = || stage.router.core.handovers.lock(partition).is_expired();
    eventually("the partition is given up", expired).await;
    let hasty = tokio::time::timeout(Duration::from_secs(1), stage.subscribe()).await;
    assert!(hasty.is_err(), "nobody joins what may be elsewhere");
    evict(&stage.cluster, partition, 2).await;
    assert_eq!(listener.witness.loses().await, LossReason::EpochChanged);
    publish_next!(stage);
    eventually("publications go on", || listener.numbers() == [1, 2]).await;
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_skipped_generations_goes_on_with_the_newest() {
    let mut stage = Stage::new(3, stream(100)).await;
    let cut = Arc::new(AtomicBool::new(false));
    let judge = {
        let cut = Arc::clone(&cut);
        move || {
            if cut.load(Ordering::Relaxed) {
                Verdict::Fail
            } else {
                Verdict::Pass
            }
        }
    };
    let store = InterceptedStore::new(stage.cluster.store.clone(), Arc::new(judge));
    stage.router.shutdown().await;
    stage.router = stage
        .cluster
        .router_over(RouterConfig::default(), Arc::new(store));
    let listener = stage.subscribe().await;
    publish_next!(stage);
    listener.has_all(1).await;
    // Nobody waits for this gateway: it is told of nothing until the partition is where it never knew it to be.
    cut.store(true, Ordering::Relaxed);
    for ends in [(1, 2), (2, 3)] {
        let mut moving = Mover::new(&stage.cluster, stage.partition(), ends, MoveHistory::Keep);
        moving.reach(Phase::Announced).await;
        moving.phase = Phase::Acknowledged;
        moving.reach(Phase::Committed).await;
    }
    cut.store(false, Ordering::Relaxed);
    let newest = stage.cluster.store.read().await.unwrap().unwrap().generation;
    applied(&stage.router, newest).await;
    publish_next!(stage);
    listener.has_all(2).await;
    acknowledged(&stage.cluster, newest).await;
}

#[tokio::test(start_paused = true)]
async fn what_moves_is_subscribed_in_batches() {
    let recorded = Recorded::default();
    let _guard = recorded.install();
    let stage = Stage::new(2, None).await;
    let mut channels = vec![stage.channel.clone()];
    let partition = stage.partition();
    let names = (0..).map(|number| ChannelName::from_trusted(&format!("batch:{number}")));
    channels.extend(names.filter(|name| Partition::of(name) == partition).take(299));
    for channel in &channels {
        Witness::subscribe_with(&stage.router, channel, SubscribeOptions::default())
            .await
            .unwrap();
    }
    stage.mover(1, 2, MoveHistory::Keep).carry_out().await;
    acknowledged(&stage.cluster, stage.router.core.generation()).await;
    eventually("all are moved", || stage.cluster.server(1).listeners() == 0).await;
    assert_eq!(stage.cluster.server(2).listeners(), 300);
    assert_eq!(
        recorded.count("campanile_shard_requests_total s2 subscribe ok"),
        2
    );
    assert_eq!(
        recorded.count("campanile_shard_requests_total s1 unsubscribe ok"),
        2
    );
}
