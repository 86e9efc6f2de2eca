//! Moves on memory shards and a memory store, on paused time, while publications go on: whatever stops, stands still or
//! comes back, each partition ends open where the topology has it, with all that was accepted.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::time::Instant;

use super::*;
use crate::store::GatewayReport;
use crate::topology::{Change, MoveHistory, OpeningContent, ShardRequest, ShardState, Topology, WantedShard};

mod deaths;
mod emptied;
mod lost;
mod traffic;

use traffic::{Follower, Newest, Traffic, assert_nothing_left_elsewhere};

/// Everything has come to rest by then.
const PATIENCE: Duration = Duration::from_secs(180);

/// Shard `number` as a request describes it.
fn wanted(number: usize) -> WantedShard {
    WantedShard {
        url: ShardUrl::new(ShardUrl::MEMORY),
        address: shard(number).to_string(),
        weight: 1,
        durable: false,
    }
}

/// A coordinator on which only the first `configured` servers are in the list.
fn coordinator(cluster: &Cluster, name: &str, configured: usize, options: CoordinatorOptions) -> Coordinator {
    let mut parts = cluster.parts(name);
    parts.configured = (1..=configured)
        .map(|number| (shard(number), wanted(number)))
        .collect();
    parts.options = options;
    Coordinator::start(parts)
}

fn keep(cluster: &Cluster, name: &str, configured: usize) -> Coordinator {
    coordinator(cluster, name, configured, CoordinatorOptions::default())
}

/// Changes the stored topology, as another gateway would.
async fn change<E: std::fmt::Debug>(
    cluster: &Cluster,
    transition: impl Fn(&Topology, Change) -> Result<Topology, E>,
) -> Topology {
    loop {
        let topology = cluster.topology().await;
        let change = Change {
            generation: topology.generation.next(),
            id: rand::random(),
        };
        let next = transition(&topology, change).unwrap();
        if cluster
            .store
            .compare_and_set(Some(&topology), &next)
            .await
            .unwrap()
        {
            return next;
        }
    }
}

async fn request(cluster: &Cluster, request: ShardRequest) -> Topology {
    change(cluster, |topology, change| topology.apply(change, &request)).await
}

async fn add(cluster: &Cluster, number: usize) -> Topology {
    let (id, shard) = (shard(number), wanted(number));
    request(cluster, ShardRequest::Add { id, shard }).await
}

/// Plans moves of some partitions of shard 1 to shard 2, and no others.
async fn plan_some(cluster: &Cluster, count: usize) -> Vec<Partition> {
    let with_plan = |topology: &Topology, change: Change| {
        let mut next = topology.raised(change)?;
        let source = shard(1);
        let some = topology.owned_by(&source).take(count);
        next.plan = some.map(|(partition, _)| (partition, shard(2))).collect();
        next.planned = count;
        Ok::<_, crate::topology::TransitionError>(next)
    };
    let next = change(cluster, with_plan).await;
    next.plan.into_keys().collect()
}

fn is_at_rest(topology: &Topology) -> bool {
    let trusted = |(_, entry): (&ShardId, &crate::topology::ShardEntry)| {
        entry.incarnation.is_some() || entry.state == ShardState::Lost
    };
    let stable = |state: &PartitionState| matches!(state, PartitionState::Stable(_));
    topology.shards.iter().all(trusted)
        && topology.partitions.iter().all(stable)
        && topology.plan.is_empty()
        && topology.cleaning.is_empty()
}

/// Waits until the topology is as `wanted`.
async fn until(cluster: &Cluster, what: &str, wanted: impl Fn(&Topology) -> bool) -> Topology {
    let deadline = Instant::now() + PATIENCE;
    let mut newest = Newest::of(&cluster.store);
    loop {
        if let Some(topology) = newest.read().await.filter(|topology| wanted(topology)) {
            return topology.clone();
        }
        assert!(Instant::now() < deadline, "not in time: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

async fn at_rest(cluster: &Cluster) -> Topology {
    until(cluster, "rest", is_at_rest).await
}

/// What must be so when everything is over.
async fn assert_in_order(cluster: &Cluster, topology: &Topology) {
    cluster.assert_open_where_owned(topology).await;
    assert_nothing_left_elsewhere(cluster, topology).await;
}

#[tokio::test(start_paused = true)]
async fn a_shard_joins_and_the_first_leaves_while_publications_go_on() {
    let cluster = Cluster::new(4);
    let coordinator = keep(&cluster, "one", 3);
    let _gateways = ["a", "b"].map(|name| Follower::start(&cluster, name));
    let before = at_rest(&cluster).await;
    let traffic = Traffic::start(&cluster);
    sleep(Duration::from_secs(1)).await;

    let planned = add(&cluster, 4).await;
    let summary = before.summary(&planned);
    let joined = at_rest(&cluster).await;
    assert_eq!(joined.shares(), summary.after);
    assert!(summary.total() * 10 <= summary.minimum * 11);
    assert!(joined.shares().values().all(|share| *share <= 1076));
    cluster.assert_open_where_owned(&joined).await;

    request(&cluster, ShardRequest::Remove(shard(1))).await;
    let left = until(&cluster, "the first to leave", |topology| {
        topology.shards.len() == 3
    })
    .await;
    assert!(!left.shards.contains_key(&shard(1)));
    let end = at_rest(&cluster).await;
    assert!(traffic.count() > 500);
    traffic.assert_nothing_lost().await;
    assert_in_order(&cluster, &end).await;
    sleep(Duration::from_secs(2)).await;
    let status = coordinator.status().borrow().clone();
    assert_eq!((status.moves, status.wish), (None, None));
}

#[tokio::test(start_paused = true)]
async fn dropped_history_begins_new_epochs_where_partitions_moved_and_nowhere_else() {
    let cluster = Cluster::new(2);
    let options = CoordinatorOptions {
        history_on_move: MoveHistory::Drop,
        ..CoordinatorOptions::default()
    };
    let _coordinator = coordinator(&cluster, "one", 2, options);
    let _gateway = Follower::start(&cluster, "a");
    at_rest(&cluster).await;
    let traffic = Traffic::start(&cluster);
    sleep(Duration::from_secs(1)).await;
    let moved = plan_some(&cluster, 500).await;
    sleep(Duration::from_secs(1)).await;
    let end = at_rest(&cluster).await;
    assert_in_order(&cluster, &end).await;
    let renewed = traffic.renewed().await;
    assert!(renewed.len() > 10);
    assert!(renewed.iter().all(|partition| moved.contains(partition)));
    let channels: Vec<Partition> = (0..Traffic::CHANNELS)
        .map(|number| Partition::of(&format!("channel-{number}")))
        .filter(|partition| moved.contains(partition))
        .collect();
    assert!(channels.iter().all(|partition| renewed.contains(partition)));
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_never_acknowledges_has_moves_abandoned_and_is_named() {
    let cluster = Cluster::new(2);
    let coordinator = keep(&cluster, "one", 2);
    let before = at_rest(&cluster).await;
    let deaf = Follower::with(&cluster, "deaf", |_| GatewayReport {
        obstacle: Some("channel x".to_owned()),
        ..GatewayReport::applied(Generation(1))
    });
    let traffic = Traffic::start(&cluster);
    sleep(Duration::from_millis(200)).await;
    plan_some(&cluster, 3).await;
    sleep(Duration::from_secs(15)).await;
    let moves = coordinator.status().borrow().moves.clone().unwrap();
    assert_eq!((moves.planned, moves.left), (3, 3));
    assert_eq!(
        moves.trouble.as_deref(),
        Some("a move was abandoned: gateway deaf has not applied it in time: channel x")
    );
    // It is tried again, but not without a pause.
    let generation = cluster.topology().await.generation.0 - before.generation.0;
    assert!(generation < 20, "{generation} changes");
    drop(deaf);
    let end = at_rest(&cluster).await;
    assert_eq!(end.shares()[&shard(1)], before.shares()[&shard(1)] - 3);
    traffic.assert_nothing_lost().await;
    assert_in_order(&cluster, &end).await;
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_leaves_is_forgotten_only_when_every_gateway_has_followed() {
    let cluster = Cluster::new(2);
    let _coordinator = keep(&cluster, "one", 2);
    at_rest(&cluster).await;
    let follows = Arc::new(AtomicBool::new(true));
    let heard = Arc::clone(&follows);
    let last = parking_lot::Mutex::new(Generation::default());
    let _gateway = Follower::with(&cluster, "slow", move |topology| {
        let mut last = last.lock();
        // It acknowledges moves, but not that they are over.
        if topology.moving() > 0 || heard.load(Ordering::Relaxed) {
            *last = topology.generation;
        }
        GatewayReport::applied(*last)
    });
    sleep(Duration::from_secs(1)).await;
    follows.store(false, Ordering::Relaxed);
    request(&cluster, ShardRequest::Remove(shard(1))).await;
    let empty = until(&cluster, "an empty shard", |topology| {
        topology.shares()[&shard(1)] == 0 && is_at_rest(topology)
    });
    assert_eq!(empty.await.shards[&shard(1)].state, ShardState::Leaving);
    sleep(Duration::from_secs(30)).await;
    assert!(cluster.topology().await.shards.contains_key(&shard(1)));
    follows.store(true, Ordering::Relaxed);
    until(&cluster, "forgetting", |topology| {
        !topology.shards.contains_key(&shard(1))
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_wanted_list_is_brought_about_when_nothing_else_moves() {
    let cluster = Cluster::new(3);
    let coordinator = keep(&cluster, "one", 2);
    let _gateway = Follower::start(&cluster, "a");
    at_rest(&cluster).await;
    plan_some(&cluster, 40).await;
    let list: BTreeMap<ShardId, WantedShard> = [2, 3].map(|number| (shard(number), wanted(number))).into();
    cluster.server(3).stop();
    change(&cluster, |topology, change| {
        topology.propose(change, list.clone())
    })
    .await;
    sleep(Duration::from_secs(20)).await;
    // Its new shard does not answer: nothing is begun.
    let waiting = at_rest(&cluster).await;
    assert_eq!(waiting.shards.len(), 2);
    let wish = coordinator.status().borrow().wish.clone().unwrap();
    assert!(wish.starts_with("shard memory-3 cannot be used"), "{wish}");

    cluster.server(3).restart(RestartWith::Data);
    let end = until(&cluster, "the wanted list", |topology| {
        is_at_rest(topology) && topology.shards.keys().eq(list.keys())
    });
    let end = end.await;
    assert_eq!(
        end.shares().values().sum::<usize>(),
        usize::from(Partition::COUNT)
    );
    assert_in_order(&cluster, &end).await;
    sleep(Duration::from_secs(20)).await;
    assert_eq!(cluster.topology().await, end);
    assert_eq!(coordinator.status().borrow().wish, None);
}

/// Has shard 1 drained by its own wish, restarts it, and waits until it is used again.
async fn drain_by_own_wish(with: RestartWith) {
    let cluster = Cluster::new(3);
    let _coordinator = keep(&cluster, "one", 3);
    let _gateway = Follower::start(&cluster, "a");
    at_rest(&cluster).await;
    let traffic = Traffic::start(&cluster);
    cluster.server(1).ask_to_drain();
    let empty = until(&cluster, "draining", |topology| {
        topology.shares()[&shard(1)] == 0 && is_at_rest(topology)
    });
    assert_eq!(empty.await.shards[&shard(1)].state, ShardState::Draining);
    sleep(Duration::from_secs(3)).await;
    assert!(cluster.server(1).drained());
    let drained = cluster.topology().await;
    sleep(Duration::from_secs(30)).await;
    assert_eq!(cluster.topology().await, drained);

    cluster.server(1).restart(with);
    let used = until(&cluster, "its return", |topology| {
        topology.shares()[&shard(1)] > 1000 && is_at_rest(topology)
    });
    let used = used.await;
    assert_eq!(used.shards[&shard(1)].state, ShardState::Active);
    assert!(!cluster.server(1).drained());
    traffic.assert_nothing_lost().await;
    assert_in_order(&cluster, &used).await;
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_asks_for_it_is_drained_and_told_so_and_used_again_when_it_comes_back() {
    drain_by_own_wish(RestartWith::Data).await;
}

#[tokio::test(start_paused = true)]
async fn a_drained_shard_that_has_forgotten_its_wish_is_used_again_when_it_comes_back() {
    drain_by_own_wish(RestartWith::Nothing).await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_refuses_for_a_while_delays_moves_and_nothing_else() {
    let cluster = Cluster::new(2);
    let cut = Arc::new(AtomicBool::new(false));
    let judge: Judge = {
        let cut = Arc::clone(&cut);
        Arc::new(move || match cut.load(Ordering::Relaxed) {
            true => Verdict::Fail,
            false => Verdict::Pass,
        })
    };
    let slow: Judge = Arc::new(|| Verdict::Late(Duration::from_millis(20)));
    let _coordinator = cluster.coordinator_behind("one", &judge, &slow);
    let _gateway = Follower::start(&cluster, "a");
    at_rest(&cluster).await;
    let traffic = Traffic::start(&cluster);
    plan_some(&cluster, 200).await;
    until(&cluster, "a move", |topology| topology.moving() > 0).await;
    for _ in 0..5 {
        cut.store(true, Ordering::Relaxed);
        sleep(Duration::from_millis(700)).await;
        cut.store(false, Ordering::Relaxed);
        sleep(Duration::from_millis(300)).await;
    }
    let end = at_rest(&cluster).await;
    traffic.assert_nothing_lost().await;
    assert_in_order(&cluster, &end).await;
}
