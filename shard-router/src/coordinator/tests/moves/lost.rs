//! Shards that stop in the midst of moves, are given up, and come back.

use super::*;
use crate::fence::OwnerRecord;

/// Longer than a shard may be silent.
const GIVEN_UP: Duration = Duration::from_secs(40);

/// How far a move is, by the records of its partitions at source and target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    Copying,
    Sealed,
}

/// A gateway that misses the shards of `down`.
fn witness(
    cluster: &Cluster,
    down: &Arc<parking_lot::Mutex<std::collections::BTreeSet<ShardId>>>,
) -> Follower {
    let down = Arc::clone(down);
    Follower::with(cluster, "witness", move |topology| GatewayReport {
        unreachable: down.lock().clone(),
        ..GatewayReport::applied(topology.generation)
    })
}

/// Waits until a move of one of `partitions` from shard 1 to shard 2 is at `moment`.
async fn reaches(cluster: &Cluster, partitions: &[Partition], moment: Moment) {
    let state = match moment {
        Moment::Copying => OwnerState::Migrating,
        Moment::Sealed => OwnerState::Sealed,
    };
    let ways = [1, 2].map(|number| (cluster.way(number), cluster.server(number).run()));
    let is =
        |record: &Option<OwnerRecord>, state| record.as_ref().is_some_and(|record| record.state == state);
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < deadline, "no move is at {moment:?}");
        let [(source, first), (target, second)] = &ways;
        let sources = source.records(first, partitions.to_vec()).await.unwrap();
        let targets = target.records(second, partitions.to_vec()).await.unwrap();
        let mut both = sources.iter().zip(&targets);
        if both.any(|(source, target)| is(source, state) && is(target, OwnerState::Importing)) {
            return;
        }
        sleep(Duration::from_millis(2)).await;
    }
}

/// Stops shard `number` of a move 1 → 2 at `moment`, restarts it after a while, and waits for the end.
async fn interrupt(moment: Moment, number: usize, with: RestartWith, down_for: Duration) {
    let cluster = Cluster::new(3);
    let pass: Judge = Arc::new(|| Verdict::Pass);
    let slow: Judge = Arc::new(|| Verdict::Late(Duration::from_millis(15)));
    let _coordinator = cluster.coordinator_behind("one", &pass, &slow);
    let down = Arc::default();
    let _gateway = witness(&cluster, &down);
    at_rest(&cluster).await;
    let traffic = Traffic::start(&cluster);
    sleep(Duration::from_millis(300)).await;
    let moved = plan_some(&cluster, 40).await;
    reaches(&cluster, &moved, moment).await;
    cluster.server(number).stop();
    down.lock().insert(shard(number));
    sleep(down_for).await;
    down.lock().clear();
    cluster.server(number).restart(with);
    // Noticed, admitted, and whatever was evicted taken into use again.
    sleep(Duration::from_secs(10)).await;
    let end = at_rest(&cluster).await;
    let other = end.owned_by(&ShardId::new("memory-3")).count();
    assert!(other > 1000);
    assert_in_order(&cluster, &end).await;
    assert!(end.shards.values().all(|entry| entry.state == ShardState::Active));
    // What was not at the stopped shard, and was not to go there, has lost nothing.
    let renewed = traffic.renewed().await;
    assert!(
        renewed
            .iter()
            .all(|partition| { *end.partition(*partition).owner() != shard(3) || down_for == GIVEN_UP })
    );
}

#[tokio::test(start_paused = true)]
async fn a_target_may_stop_before_or_after_the_seal() {
    for moment in [Moment::Copying, Moment::Sealed] {
        interrupt(moment, 2, RestartWith::Data, Duration::from_secs(5)).await;
        interrupt(moment, 2, RestartWith::Nothing, Duration::from_secs(5)).await;
        interrupt(moment, 2, RestartWith::Data, GIVEN_UP).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_may_stop_before_or_after_the_seal() {
    for moment in [Moment::Copying, Moment::Sealed] {
        interrupt(moment, 1, RestartWith::Data, Duration::from_secs(5)).await;
        interrupt(moment, 1, RestartWith::Nothing, Duration::from_secs(5)).await;
        interrupt(moment, 1, RestartWith::Data, GIVEN_UP).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_shard_is_given_up_in_time_and_nothing_of_it_counts_when_it_returns() {
    let cluster = Cluster::new(3);
    let coordinator = keep(&cluster, "one", 3);
    let down = Arc::default();
    let _gateway = witness(&cluster, &down);
    let before = at_rest(&cluster).await;
    let traffic = Traffic::start(&cluster);
    sleep(Duration::from_secs(1)).await;
    cluster.server(1).stop();
    down.lock().insert(shard(1));
    sleep(Duration::from_secs(28)).await;
    assert_eq!(
        cluster.topology().await.shards[&shard(1)].state,
        ShardState::Active
    );
    let lost = until(&cluster, "eviction", |topology| {
        topology.shards[&shard(1)].state == ShardState::Lost && topology.shares()[&shard(1)] == 0
    });
    lost.await;
    sleep(Duration::from_secs(1)).await;
    let without = cluster.topology().await;
    assert!(
        without
            .partitions
            .iter()
            .all(|state| matches!(state, PartitionState::Stable(_)))
    );
    sleep(Duration::from_secs(20)).await;
    assert!(!coordinator.status().borrow().troubles.contains_key(&shard(1)));

    cluster.server(1).restart(RestartWith::Data);
    down.lock().clear();
    let end = until(&cluster, "its return", |topology| {
        topology.shares()[&shard(1)] > 1000 && is_at_rest(topology)
    });
    let end = end.await;
    assert_in_order(&cluster, &end).await;
    let renewed = traffic.renewed().await;
    assert!(!renewed.is_empty());
    assert!(
        renewed
            .iter()
            .all(|partition| *before.partition(*partition).owner() == shard(1))
    );
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_most_gateways_reach_is_not_given_up() {
    let cluster = Cluster::new(2);
    let _coordinator = keep(&cluster, "one", 2);
    let _gateways = ["a", "b"].map(|name| Follower::start(&cluster, name));
    at_rest(&cluster).await;
    cluster.server(1).stop();
    sleep(Duration::from_secs(120)).await;
    assert_eq!(
        cluster.topology().await.shards[&shard(1)].state,
        ShardState::Active
    );
}

#[tokio::test(start_paused = true)]
async fn the_last_shard_that_answers_is_not_given_up() {
    let cluster = Cluster::new(2);
    let _coordinator = keep(&cluster, "one", 2);
    let down = Arc::new(parking_lot::Mutex::new([shard(1), shard(2)].into()));
    let _gateway = witness(&cluster, &down);
    let before = at_rest(&cluster).await;
    cluster.server(1).stop();
    cluster.server(2).stop();
    sleep(Duration::from_secs(120)).await;
    assert_eq!(cluster.topology().await, before);
}

#[tokio::test(start_paused = true)]
async fn a_partition_is_taken_back_where_its_target_was_lost_after_the_seal() {
    let cluster = Cluster::new(3);
    let pass: Judge = Arc::new(|| Verdict::Pass);
    let slow: Judge = Arc::new(|| Verdict::Late(Duration::from_millis(15)));
    let _coordinator = cluster.coordinator_behind("one", &pass, &slow);
    let down = Arc::default();
    let _gateway = witness(&cluster, &down);
    at_rest(&cluster).await;
    let moved = plan_some(&cluster, 40).await;
    reaches(&cluster, &moved, Moment::Sealed).await;
    cluster.server(2).stop();
    down.lock().insert(shard(2));
    let lost = until(&cluster, "eviction", |topology| {
        topology.shards[&shard(2)].state == ShardState::Lost && topology.moving() == 0
    });
    let lost = lost.await;
    assert!(
        lost.partitions
            .iter()
            .all(|state| !matches!(state, PartitionState::Moving { .. }))
    );
    let taken_back = moved.iter().filter(|partition| {
        matches!(
            lost.partition(**partition),
            PartitionState::Opening {
                content: OpeningContent::Reclaim,
                ..
            } | PartitionState::Stable(_)
        ) && *lost.partition(**partition).owner() == shard(1)
    });
    assert!(taken_back.count() > 0);
    let end = until(&cluster, "rest", |topology| {
        topology
            .partitions
            .iter()
            .all(|state| matches!(state, PartitionState::Stable(_)))
            && topology.plan.is_empty()
    });
    let end = end.await;
    assert_eq!(end.shares()[&shard(2)], 0);
}

#[tokio::test(start_paused = true)]
async fn what_a_name_leads_to_that_is_another_shards_server_is_left_alone() {
    let cluster = Cluster::new(3);
    let coordinator = cluster.coordinator("one");
    at_rest(&cluster).await;
    change(&cluster, |topology, change| topology.evict(change, &shard(3))).await;
    cluster.server(3).stop();
    sleep(Duration::from_secs(5)).await;
    coordinator.stop().await;
    let records = async || cluster.way(1).owners(&cluster.server(1).run()).await.unwrap();
    let before = records().await;
    assert!(before.len() > 1000);

    let mut servers = cluster.servers.clone();
    servers.insert(shard(3), Arc::clone(&servers[&shard(1)]));
    let misled = Cluster {
        store: Arc::clone(&cluster.store),
        servers,
        durable: false,
    };
    let coordinator = misled.coordinator("two");
    sleep(Duration::from_secs(60)).await;
    let topology = cluster.topology().await;
    assert_eq!(topology.shards[&shard(3)].state, ShardState::Lost);
    assert_eq!(records().await, before);
    let trouble = coordinator.status().borrow().troubles[&shard(3)].clone();
    assert!(trouble.contains("same server"), "{trouble}");
}
