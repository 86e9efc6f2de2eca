//! Publications keep their order, wait for an owner within bounds, and are never dropped in silence.

use futures_util::future::join_all;
use tokio::time::Instant;

use super::cluster::shard;
use super::mover::evict;
use super::*;
use crate::partition::Partition;
use crate::shard::{IdempotencyKey, ShardError, Suppressed};

/// A router that has applied its topology and reached all shards.
async fn ready(cluster: &Cluster) -> Arc<Router<Witnesses>> {
    ready_with(cluster, RouterConfig::default()).await
}

async fn ready_with(cluster: &Cluster, config: RouterConfig) -> Arc<Router<Witnesses>> {
    let router = cluster.router_with(config);
    for number in 1..=cluster.servers.len() {
        router
            .publish(publish(&cluster.channel_on(number), "warm up"))
            .await
            .unwrap();
    }
    // What had to wait for the topology has opened its line again.
    tokio::time::sleep(Duration::from_millis(1)).await;
    router
}

fn offset(result: &Result<PublishOutcome, RouterError>) -> u64 {
    top(result.as_ref().unwrap()).offset.get()
}

#[tokio::test(start_paused = true)]
async fn publications_are_accepted_in_the_order_of_the_calls() {
    let cluster = Cluster::open(2).await;
    let router = ready(&cluster).await;
    let channel = cluster.channel_on(1);
    let mut pending: Vec<_> = (2..200)
        .map(|data| router.publish(publish(&channel, data)))
        .collect();
    // The order in which the answers are awaited does not matter.
    pending.reverse();
    let results = join_all(pending).await;
    let offsets: Vec<_> = results.iter().rev().map(offset).collect();
    assert_eq!(offsets, (2..200).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_an_owner_keeps_its_order_and_delays_no_other_partition() {
    let cluster = Cluster::open(2).await;
    let router = ready(&cluster).await;
    let (closed, other) = (cluster.channel_on(1), cluster.channel_on(2));
    let witness = Witness::subscribe(&router, &closed, None).await.unwrap();
    cluster.seal(1, true).await;
    let mut pending: Vec<_> = (2..50)
        .map(|data| tokio::spawn(router.publish(publish(&closed, data))))
        .collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    pending.extend((50..100).map(|data| tokio::spawn(router.publish(publish(&closed, data)))));
    let before = Instant::now();
    router.publish(publish(&other, "meanwhile")).await.unwrap();
    assert!(before.elapsed() < Duration::from_millis(5));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(pending.iter().all(|pending| !pending.is_finished()));
    cluster.reopen(1).await;
    for pending in pending {
        pending.await.unwrap().unwrap();
    }
    witness.reaches(99).await;
    let expected: Vec<_> = (2..100)
        .map(|data| Seen::Publication(data, data.to_string()))
        .collect();
    assert_eq!(witness.seen(), expected);
}

#[tokio::test(start_paused = true)]
async fn waiting_ends_with_a_temporary_error_after_the_configured_time() {
    let recorded = recorder::Recorded::default();
    let _guard = recorded.install();
    let cluster = Cluster::open(1).await;
    let router = ready(&cluster).await;
    let channel = cluster.channel_on(1);
    cluster.seal(1, true).await;
    let before = Instant::now();
    let first = router.publish(publish(&channel, 1)).await.unwrap_err();
    assert!(
        matches!(first, RouterError::Shard(ShardError::NotOwner)),
        "{first:?}"
    );
    assert!(first.temporary());
    let waited = before.elapsed();
    assert!((1.0..1.3).contains(&waited.as_secs_f64()), "{waited:?}");
    assert_eq!(recorded.count("campanile_publications_waited_total timed_out"), 1);
    cluster.reopen(1).await;
    let after = router.publish(publish(&channel, 2)).await;
    assert_eq!(offset(&after), 2, "what was refused was not accepted later");
}

#[tokio::test(start_paused = true)]
async fn the_line_is_bounded_in_count_and_bytes() {
    let recorded = recorder::Recorded::default();
    let _guard = recorded.install();
    let cluster = Cluster::open(1).await;
    let config = RouterConfig {
        publish_queue_messages: 4,
        publish_queue_bytes: 100_000,
        ..RouterConfig::default()
    };
    let router = ready_with(&cluster, config).await;
    let channel = cluster.channel_on(1);
    cluster.seal(1, true).await;
    let mut waiting: Vec<_> = (0..4)
        .map(|data| tokio::spawn(router.publish(publish(&channel, data))))
        .collect();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let full = router.publish(publish(&channel, 5)).await;
    assert!(matches!(full, Err(RouterError::Overloaded)), "{full:?}");
    waiting.pop().unwrap().abort();
    tokio::time::sleep(Duration::from_millis(1)).await;
    let large = router.publish(publish(&channel, "x".repeat(100_000))).await;
    assert!(matches!(large, Err(RouterError::Overloaded)), "{large:?}");
    assert_eq!(
        recorded.count("campanile_publications_waited_total overflowed"),
        2
    );
    cluster.reopen(1).await;
    for pending in waiting {
        pending.await.unwrap().unwrap();
    }
    assert_eq!(offset(&router.publish(publish(&channel, "open")).await), 5);
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_goes_away_does_not_hold_up_the_line() {
    let cluster = Cluster::open(1).await;
    let router = ready(&cluster).await;
    let channel = cluster.channel_on(1);
    // Never polled: it is at the shard nevertheless, and its place is free again.
    drop(router.publish(publish(&channel, "unpolled")));
    cluster.seal(1, true).await;
    let first = tokio::spawn(router.publish(publish(&channel, "gone")));
    tokio::time::sleep(Duration::from_millis(20)).await;
    drop(router.publish(publish(&channel, "unpolled in line")));
    let second = tokio::spawn(router.publish(publish(&channel, "stays")));
    tokio::time::sleep(Duration::from_millis(20)).await;
    first.abort();
    cluster.reopen(1).await;
    assert_eq!(offset(&second.await.unwrap()), 3);
}

#[tokio::test(start_paused = true)]
async fn a_publication_made_again_elsewhere_does_not_begin_a_second_stream_of_one_name() {
    let cluster = Cluster::open(2).await;
    let router = ready(&cluster).await;
    let here = |name: &ChannelName| Partition::of(name).index().is_multiple_of(2);
    let names = (0..).map(|number| ChannelName::from_trusted(&format!("new:{number}")));
    let channel = names
        .into_iter()
        .find(here)
        .expect("one of the names falls there");
    cluster.server(1).pause();
    let ttl = Duration::from_secs(300);
    let keyed = Publish {
        idempotency: Some(IdempotencyKey { key: "k".into(), ttl }),
        ..publish(&channel, "keyed")
    };
    let keyed = tokio::spawn(router.publish(keyed));
    // The first attempt is given up, and its shard is taken for lost.
    tokio::time::sleep(Duration::from_millis(2300)).await;
    evict(&cluster, Partition::of(&channel), 2).await;
    let accepted = top(&keyed.await.unwrap().unwrap());
    // It was alive, and carries the first attempt out.
    cluster.server(1).resume();
    let begun = cluster.epoch_on(1, &channel).await;
    assert_eq!(cluster.epoch_on(2, &channel).await, accepted.epoch);
    assert_ne!(begun, Epoch::default(), "the first attempt began a stream");
    assert_ne!(begun, accepted.epoch);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_an_error_unless_a_key_makes_it_safe_to_ask_again() {
    let cluster = Cluster::open(1).await;
    let router = ready(&cluster).await;
    let channel = cluster.channel_on(1);
    cluster.server(1).pause();
    let ttl = Duration::from_secs(300);
    let keyed = Publish {
        idempotency: Some(IdempotencyKey { key: "k".into(), ttl }),
        ..publish(&channel, "keyed")
    };
    let plain = tokio::spawn(router.publish(publish(&channel, "plain")));
    let keyed = tokio::spawn(router.publish(keyed));
    tokio::time::sleep(Duration::from_millis(2300)).await;
    let lost = plain.await.unwrap();
    assert!(
        matches!(lost, Err(RouterError::Shard(ShardError::Unanswered(_)))),
        "{lost:?}"
    );
    cluster.server(1).resume();
    let outcome = keyed.await.unwrap().unwrap();
    assert_eq!(outcome.suppressed, Some(Suppressed::Repeated));
    assert_eq!(top(&outcome).offset, Offset(3));
    assert_eq!(offset(&router.publish(publish(&channel, "next")).await), 4);
}

#[tokio::test(start_paused = true)]
async fn a_stalled_shard_fails_its_own_publications_within_bounds_and_no_others() {
    let cluster = Cluster::open(2).await;
    let router = ready(&cluster).await;
    let (stalled, other) = (cluster.channel_on(1), cluster.channel_on(2));
    cluster.server(1).pause();
    for round in 0..5 {
        let before = Instant::now();
        let result = router.publish(publish(&stalled, round)).await;
        assert!(result.is_err_and(|error| error.temporary()));
        assert!(
            before.elapsed() < Duration::from_millis(3300),
            "{:?}",
            before.elapsed()
        );
        let before = Instant::now();
        router.publish(publish(&other, round)).await.unwrap();
        assert!(before.elapsed() < Duration::from_millis(5));
    }
    cluster.server(1).resume();
    tokio::time::sleep(Duration::from_secs(1)).await;
    router.publish(publish(&stalled, "again")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_the_server_refuses_is_an_error_at_once() {
    let cluster = Cluster::open(1).await;
    let router = ready(&cluster).await;
    cluster.server(1).refuse(Some("OOM"));
    let before = Instant::now();
    let refused = router.publish(publish(&cluster.channel_on(1), 1)).await;
    assert!(
        matches!(refused, Err(RouterError::Shard(ShardError::Refused(_)))),
        "{refused:?}"
    );
    assert!(before.elapsed() < Duration::from_millis(5));
}

#[tokio::test(start_paused = true)]
async fn health_tells_which_shard_is_missing() {
    let cluster = Cluster::open(2).await;
    let router = ready(&cluster).await;
    cluster.server(1).stop();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let health = router.shard_health();
    assert_eq!(health.len(), 2);
    assert_eq!((&health[0].id, health[0].partitions), (&shard(1), 2048));
    assert!(
        matches!(health[0].status, ShardStatus::Unreachable(_)),
        "{:?}",
        health[0].status
    );
    assert_eq!(health[1].status, ShardStatus::Connected);
}

/// Publishers of one channel each, all partitions closed and opened again and again under them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_publisher_sees_its_own_order_whatever_happens_to_the_partition() {
    let cluster = Arc::new(Cluster::open(1).await);
    // However slow the machine is.
    let config = RouterConfig {
        publish_wait: Duration::from_secs(60),
        ..RouterConfig::default()
    };
    let router = ready_with(&cluster, config).await;
    let channel = cluster.channel_on(1);
    // All of it, so that nothing is lost however long the link takes to come back.
    let stream = stream(1000);
    let options = SubscribeOptions {
        stream,
        ..SubscribeOptions::default()
    };
    let witness = Witness::subscribe_with(&router, &channel, options).await.unwrap();
    let fickle = tokio::spawn({
        let cluster = Arc::clone(&cluster);
        async move {
            for _ in 0..10 {
                tokio::time::sleep(Duration::from_millis(7)).await;
                cluster.admit(1, true).await;
            }
        }
    });
    let publishers = (0..4).map(|publisher| {
        let (router, channel) = (Arc::clone(&router), channel.clone());
        tokio::spawn(async move {
            for number in 0..200 {
                let publication = Publish {
                    stream,
                    ..publish(&channel, format!("{publisher} {number}"))
                };
                router.publish(publication).await.unwrap();
                tokio::time::sleep(Duration::from_micros(300)).await;
            }
        })
    });
    for publisher in join_all(publishers).await {
        publisher.unwrap();
    }
    fickle.await.unwrap();
    witness.reaches(801).await;
    witness.offsets();
    for publisher in 0..4 {
        let own = witness.seen().into_iter().filter_map(|seen| match seen {
            Seen::Publication(_, data) => data.strip_prefix(&format!("{publisher} ")).map(str::to_owned),
            other => panic!("{other:?}"),
        });
        assert!(own.eq((0..200).map(|number| number.to_string())));
    }
}
