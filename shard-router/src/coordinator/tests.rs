//! The coordinator on memory shards and a memory store, on paused time: what restarts, losses and its own death come
//! to.

use std::time::Duration;

use tokio::time::sleep;

use super::*;
use crate::fence::{FenceCommand, OwnerState};
use crate::memory::RestartWith;
use crate::partition::Partition;
use crate::store::{MemoryStore, REGISTRATION_TTL};
use crate::testing::{Judge, Verdict};
use crate::topology::{Generation, PartitionState};

mod cluster;
mod crash;
mod moves;

use cluster::Cluster;

fn shard(number: usize) -> ShardId {
    ShardId::new(&format!("memory-{number}"))
}

#[tokio::test(start_paused = true)]
async fn an_empty_deployment_is_opened() {
    let cluster = Cluster::new(4);
    let coordinator = cluster.coordinator("one");
    let topology = cluster.settled().await;
    cluster.assert_open_where_owned(&topology).await;
    assert!(
        topology
            .shares()
            .values()
            .all(|share| (972..=1076).contains(share))
    );
    let status = coordinator.status().borrow().clone();
    assert_eq!(
        status,
        CoordinatorStatus {
            leading: true,
            ..CoordinatorStatus::default()
        }
    );
    // Nothing happens any more.
    sleep(Duration::from_secs(120)).await;
    assert_eq!(cluster.topology().await, topology);
}

#[tokio::test(start_paused = true)]
async fn a_restarted_shard_gets_new_epochs_and_others_keep_theirs() {
    let cluster = Cluster::new(2);
    let _coordinator = cluster.coordinator("one");
    let before = cluster.settled().await;
    let positions = cluster.publish_everywhere(&before).await;
    cluster.server(1).restart(RestartWith::Data);
    let after = cluster.settled().await;
    cluster.assert_open_where_owned(&after).await;
    assert_eq!(after.shards[&shard(2)], before.shards[&shard(2)]);
    assert!(after.shards[&shard(1)].admitted > before.shards[&shard(1)].admitted);
    let now = cluster.positions(&after).await;
    assert_ne!(now[&shard(1)].epoch, positions[&shard(1)].epoch);
    assert!(now[&shard(1)].offset >= positions[&shard(1)].offset);
    assert_eq!(now[&shard(2)], positions[&shard(2)]);
}

#[tokio::test(start_paused = true)]
async fn a_flushed_shard_is_opened_anew() {
    let cluster = Cluster::new(2);
    let _coordinator = cluster.coordinator("one");
    let before = cluster.settled().await;
    let positions = cluster.publish_everywhere(&before).await;
    cluster.server(1).flush();
    sleep(Duration::from_secs(2)).await;
    let after = cluster.settled().await;
    cluster.assert_open_where_owned(&after).await;
    assert_eq!(
        after.shards[&shard(1)].incarnation,
        before.shards[&shard(1)].incarnation
    );
    assert!(after.shards[&shard(1)].admitted > before.shards[&shard(1)].admitted);
    let now = cluster.positions(&after).await;
    assert_ne!(now[&shard(1)].epoch, positions[&shard(1)].epoch);
    assert_eq!(now[&shard(2)], positions[&shard(2)]);
}

#[tokio::test(start_paused = true)]
async fn a_durable_shard_keeps_its_epochs_exactly_if_it_kept_its_data() {
    let cluster = Cluster::durable(2);
    let _coordinator = cluster.coordinator("one");
    let before = cluster.settled().await;
    let positions = cluster.publish_everywhere(&before).await;
    cluster.server(1).restart(RestartWith::Data);
    cluster.server(2).restart(RestartWith::Nothing);
    let after = cluster.settled().await;
    cluster.assert_open_where_owned(&after).await;
    let now = cluster.positions(&after).await;
    assert_eq!(now[&shard(1)], positions[&shard(1)]);
    assert_ne!(now[&shard(2)].epoch, positions[&shard(2)].epoch);
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_is_down_at_first_delays_nobody_and_is_opened_when_it_comes() {
    let cluster = Cluster::new(3);
    cluster.server(2).stop();
    let coordinator = cluster.coordinator("one");
    sleep(Duration::from_secs(2)).await;
    let partial = cluster.topology().await;
    for (partition, state) in partial.states() {
        let down = *state.owner() == shard(2);
        assert_eq!(
            matches!(state, PartitionState::Stable(_)),
            !down,
            "partition {partition}"
        );
    }
    assert_eq!(partial.shards[&shard(2)].incarnation, None);
    assert!(coordinator.status().borrow().troubles.contains_key(&shard(2)));

    cluster.server(2).restart(RestartWith::Data);
    let topology = cluster.settled().await;
    cluster.assert_open_where_owned(&topology).await;
    assert!(coordinator.status().borrow().troubles.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_hangs_delays_no_other() {
    let cluster = Cluster::new(3);
    let _coordinator = cluster.coordinator("one");
    cluster.settled().await;
    cluster.server(2).pause();
    cluster.server(1).restart(RestartWith::Nothing);
    sleep(Duration::from_secs(2)).await;
    let topology = cluster.topology().await;
    assert_eq!(
        topology.shards[&shard(1)].incarnation,
        Some(cluster.server(1).run())
    );
    assert!(
        topology
            .owned_by(&shard(1))
            .all(|(_, state)| matches!(state, PartitionState::Stable(_)))
    );
    cluster.server(2).resume();
    let topology = cluster.settled().await;
    cluster.assert_open_where_owned(&topology).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_late_shard_holds_of_others_is_closed() {
    let cluster = Cluster::new(2);
    let generation = Generation(3);
    let way = cluster.way(2);
    let run = cluster.server(2).run();
    let admit = FenceCommand::Admit {
        generation,
        keep_epochs: false,
    };
    for command in [admit, FenceCommand::Reopen { generation }] {
        let everywhere = Partition::all()
            .map(|partition| (partition, command.clone()))
            .collect();
        way.fence(&run, everywhere).await.unwrap();
    }
    // Nobody knows of that when the first topology is made.
    cluster.server(2).stop();
    let _coordinator = cluster.coordinator("one");
    sleep(Duration::from_secs(20)).await;
    assert!(cluster.topology().await.shares()[&shard(1)] > 1900);
    cluster.server(2).restart(RestartWith::Data);
    let topology = cluster.settled().await;
    cluster.assert_open_where_owned(&topology).await;
}

#[tokio::test(start_paused = true)]
async fn what_two_shards_claim_is_opened_afresh() {
    let cluster = Cluster::new(2);
    let first = cluster.coordinator("one");
    let before = cluster.settled().await;
    let positions = cluster.publish_everywhere(&before).await;
    drop(first);
    // The other one holds everything open as well, and the store has forgotten who is right.
    let far = Generation(before.generation.0 + 100);
    for number in [1, 2] {
        let (way, run) = (cluster.way(number), cluster.server(number).run());
        let admit = FenceCommand::Admit {
            generation: far,
            keep_epochs: true,
        };
        for command in [admit, FenceCommand::Reopen { generation: far }] {
            let everywhere = Partition::all()
                .map(|partition| (partition, command.clone()))
                .collect();
            way.fence(&run, everywhere).await.unwrap();
        }
    }
    let emptied = Cluster {
        store: Arc::new(MemoryStore::new()),
        ..cluster
    };
    let _second = emptied.coordinator("two");
    let after = emptied.settled().await;
    emptied.assert_open_where_owned(&after).await;
    assert!(after.generation > far);
    let now = emptied.positions(&after).await;
    for id in [shard(1), shard(2)] {
        assert_ne!(now[&id].epoch, positions[&id].epoch);
        assert_eq!(now[&id].offset, campanile_common::Offset::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_forgets_its_admission_at_once_is_not_admitted_without_a_pause() {
    let cluster = Cluster::new(1);
    let _coordinator = cluster.coordinator("one");
    let mut generation = cluster.settled().await.generation;
    for _ in 0..100 {
        cluster.server(1).flush();
        sleep(Duration::from_millis(100)).await;
    }
    generation.0 = cluster.topology().await.generation.0 - generation.0;
    // Two changes for each admission, and ten seconds.
    assert!((2..=22).contains(&generation.0), "{generation} changes");
    cluster.assert_open_where_owned(&cluster.settled().await).await;
}

#[tokio::test(start_paused = true)]
async fn an_emptied_store_is_filled_above_what_it_held_and_data_stays_where_it_is() {
    let cluster = Cluster::new(2);
    let first = cluster.coordinator("one");
    let before = cluster.settled().await;
    let positions = cluster.publish_everywhere(&before).await;
    drop(first);
    let emptied = Cluster {
        store: Arc::new(MemoryStore::new()),
        ..cluster
    };
    let _second = emptied.coordinator("two");
    let after = emptied.settled().await;
    emptied.assert_open_where_owned(&after).await;
    assert_eq!(after.shares(), before.shares());
    let now = emptied.positions(&after).await;
    for id in [shard(1), shard(2)] {
        assert_ne!(now[&id].epoch, positions[&id].epoch);
        assert!(now[&id].offset >= positions[&id].offset);
    }
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_somebody_closed_is_found_and_reopened() {
    let cluster = Cluster::new(2);
    let _coordinator = cluster.coordinator("one");
    let before = cluster.settled().await;
    let (partition, _) = before.owned_by(&shard(1)).next().unwrap();
    let far = Generation(before.generation.0 + 100);
    let close = FenceCommand::Admit {
        generation: far,
        keep_epochs: false,
    };
    let run = cluster.server(1).run();
    cluster
        .way(1)
        .fence(&run, vec![(partition, close)])
        .await
        .unwrap();
    sleep(Duration::from_secs(35)).await;
    let after = cluster.settled().await;
    assert!(after.generation > far);
    cluster.assert_open_where_owned(&after).await;
    assert_eq!(after.shards, before.shards);
}

#[tokio::test(start_paused = true)]
async fn what_was_closed_to_be_reopened_is_not_forgotten_when_the_store_does_not_answer() {
    let cluster = Cluster::new(2);
    let cut = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let judge: Judge = {
        let cut = Arc::clone(&cut);
        Arc::new(move || match cut.load(std::sync::atomic::Ordering::Relaxed) {
            true => Verdict::Fail,
            false => Verdict::Pass,
        })
    };
    let pass: Judge = Arc::new(|| Verdict::Pass);
    let coordinator = cluster.coordinator_behind("one", &judge, &pass);
    let before = cluster.settled().await;
    let (partition, _) = before.owned_by(&shard(1)).next().unwrap();
    let far = before.generation;
    let close = FenceCommand::Admit {
        generation: far,
        keep_epochs: false,
    };
    let (run, way) = (cluster.server(1).run(), cluster.way(1));
    way.fence(&run, vec![(partition, close)]).await.unwrap();
    // The next audit, half a minute after the first, closes it once more, at a generation that cannot be written down.
    sleep(Duration::from_secs(28)).await;
    cut.store(true, std::sync::atomic::Ordering::Relaxed);
    let closed_again = async || {
        let records = way.owners(&run).await.unwrap();
        let record = records.into_iter().find(|(found, _)| *found == partition);
        record.is_some_and(|(_, record)| record.generation > far)
    };
    for _ in 0..60 {
        if closed_again().await {
            break;
        }
        sleep(Duration::from_millis(100)).await;
    }
    assert!(closed_again().await);
    cut.store(false, std::sync::atomic::Ordering::Relaxed);
    sleep(Duration::from_secs(5)).await;
    assert!(coordinator.status().borrow().leading);
    let after = cluster.topology().await;
    assert!(cluster.is_settled(&after));
    cluster.assert_open_where_owned(&after).await;
}

#[tokio::test(start_paused = true)]
async fn another_gateway_takes_over_at_once_after_a_stop_and_in_time_after_a_death() {
    let cluster = Cluster::new(2);
    let one = cluster.coordinator("one");
    cluster.settled().await;
    let two = cluster.coordinator("two");
    let waiting = two.status();
    sleep(Duration::from_secs(5)).await;
    assert!(one.status().borrow().leading && !waiting.has_changed().unwrap());
    one.stop().await;
    sleep(Duration::from_secs(3)).await;
    assert!(two.status().borrow().leading);

    drop(two);
    let three = cluster.coordinator("three");
    cluster.server(1).restart(RestartWith::Data);
    sleep(REGISTRATION_TTL / 2).await;
    assert!(!three.status().borrow().leading);
    sleep(REGISTRATION_TTL).await;
    assert!(three.status().borrow().leading);
    let topology = cluster.settled().await;
    cluster.assert_open_where_owned(&topology).await;
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_that_cannot_reach_the_store_stops_before_its_lease_ends() {
    let cluster = Cluster::new(2);
    let cut = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let judge: Judge = {
        let cut = Arc::clone(&cut);
        Arc::new(move || match cut.load(std::sync::atomic::Ordering::Relaxed) {
            true => Verdict::Fail,
            false => Verdict::Pass,
        })
    };
    let pass: Judge = Arc::new(|| Verdict::Pass);
    let coordinator = cluster.coordinator_behind("one", &judge, &pass);
    cluster.settled().await;
    cut.store(true, std::sync::atomic::Ordering::Relaxed);
    sleep(REGISTRATION_TTL - Duration::from_secs(1)).await;
    assert!(!coordinator.status().borrow().leading);
    cluster.server(1).restart(RestartWith::Data);
    cut.store(false, std::sync::atomic::Ordering::Relaxed);
    let topology = cluster.settled().await;
    cluster.assert_open_where_owned(&topology).await;
    assert!(coordinator.status().borrow().leading);
}

#[tokio::test(start_paused = true)]
async fn another_list_of_shards_is_said_and_alters_nothing() {
    let cluster = Cluster::new(2);
    let one = cluster.coordinator("one");
    let before = cluster.settled().await;
    assert_eq!(one.status().borrow().list, None);
    let mut parts = cluster.parts("two");
    let mut configured = parts.configured.list();
    let moved = configured.remove(&shard(1)).unwrap();
    configured.insert(shard(9), moved);
    configured.get_mut(&shard(2)).unwrap().weight = 5;
    parts.configured = configured.into_iter().collect();
    let two = Coordinator::start(parts);
    sleep(Duration::from_secs(5)).await;
    let list = two.status().borrow().list.clone().unwrap();
    assert_eq!(
        list.to_string(),
        "configured but not in the topology: memory-9; in the topology but not configured: memory-1; \
         configured otherwise than in the topology: memory-2"
    );
    one.stop().await;
    sleep(Duration::from_secs(60)).await;
    assert!(two.status().borrow().leading);
    assert_eq!(two.status().borrow().list, Some(list));
    assert_eq!(cluster.topology().await, before);
}

#[tokio::test(start_paused = true)]
async fn an_empty_store_is_filled_once_shards_are_told_of() {
    let cluster = Cluster::new(2);
    let mut parts = cluster.parts("one");
    let list = parts.configured.list();
    let (tell, configured) = ConfiguredShards::new(ShardList::new());
    parts.configured = configured;
    let _coordinator = Coordinator::start(parts);
    sleep(Duration::from_secs(5)).await;
    assert!(cluster.store.read().await.unwrap().is_none());
    tell.send_replace(list.clone());
    let topology = cluster.settled().await;
    assert!(topology.shards.keys().eq(list.keys()));
}

#[tokio::test(start_paused = true)]
async fn a_list_is_compared_anew_when_it_changes() {
    let cluster = Cluster::new(2);
    let mut parts = cluster.parts("one");
    let list = parts.configured.list();
    let (tell, configured) = ConfiguredShards::new(list.clone());
    parts.configured = configured;
    let coordinator = Coordinator::start(parts);
    cluster.settled().await;
    assert_eq!(coordinator.status().borrow().list, None);
    let less = list.into_iter().skip(1).collect();
    tell.send_replace(less);
    let mut status = coordinator.status();
    let status = status.wait_for(|status| status.list.is_some()).await.unwrap();
    assert_eq!(status.list.as_ref().unwrap().unknown, [shard(1)]);
}

/// Two that both believe to hold the lease, with operations that take all kinds of time.
#[tokio::test(start_paused = true)]
async fn two_coordinators_at_once_come_to_one_end() {
    for seed in 0..8_u64 {
        let cluster = Cluster::new(2);
        let late = |salt: u64| -> Judge {
            let state = parking_lot::Mutex::new(seed * 2 + salt + 1);
            Arc::new(move || {
                let mut state = state.lock();
                *state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                Verdict::Late(Duration::from_millis((*state >> 33) % 400))
            })
        };
        let both = [0, 100].map(|salt| {
            let judge = late(salt);
            // The same gateway to the store, so that each is given the lease.
            cluster.coordinator_behind("both", &judge, &judge)
        });
        cluster.settled().await;
        for fault in [1, 2, 1] {
            cluster.server(fault).restart(RestartWith::Data);
            sleep(Duration::from_millis(1500)).await;
        }
        // An audit of each is behind them.
        sleep(Duration::from_secs(90)).await;
        let topology = cluster.settled().await;
        cluster.assert_open_where_owned(&topology).await;
        assert!(
            both.iter()
                .all(|coordinator| coordinator.status().borrow().leading),
            "seed {seed}"
        );
    }
}
