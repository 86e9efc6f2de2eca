//! Subscribers join at exactly one place in the stream and go on from there.

use super::recorder::Recorded;
use super::*;

#[tokio::test(start_paused = true)]
async fn a_subscriber_sees_what_follows_the_position_it_was_given() {
    let cluster = Cluster::open(2).await;
    let router = cluster.router();
    let channel = cluster.channel_on(1);
    router.publish(publish(&channel, "before")).await.unwrap();
    let witness = Witness::subscribe(&router, &channel, None).await.unwrap();
    let position = witness.joined().position.unwrap();
    assert_eq!(position.offset, Offset(1));
    let outcome = router.publish(publish(&channel, "after")).await.unwrap();
    assert_eq!(top(&outcome), Position::new(position.epoch, Offset(2)));
    witness.reaches(2).await;
    assert_eq!(witness.seen(), [Seen::Publication(2, "after".into())]);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_who_return_at_once_cost_one_read() {
    let recorded = Recorded::default();
    let _guard = recorded.install();
    let cluster = Cluster::open(1).await;
    let router = cluster.router();
    let channel = cluster.channel_on(1);
    let first = top(&router.publish(publish(&channel, 1)).await.unwrap());
    for data in 2..=90 {
        router.publish(publish(&channel, data)).await.unwrap();
    }
    let mut returning = tokio::task::JoinSet::new();
    for client in 0..10_000 {
        let (router, channel) = (Arc::clone(&router), channel.clone());
        let position = Position::new(first.epoch.clone(), Offset(1 + client % 80));
        returning.spawn(async move { Witness::subscribe(&router, &channel, Some(position)).await });
    }
    while let Some(witness) = returning.join_next().await {
        let witness = witness.unwrap().unwrap();
        assert_eq!(witness.joined().outcome, Some(RecoveryOutcome::Recovered));
        assert_eq!(witness.offsets().last(), Some(&90));
    }
    assert_eq!(recorded.count("campanile_recovery_reads_total"), 1);
    assert_eq!(recorded.count("campanile_recoveries_total recovered"), 10_000);
    assert_eq!(
        recorded.count("campanile_recovery_single_flight_hits_total"),
        9_999
    );
}

#[tokio::test(start_paused = true)]
async fn a_recent_absence_is_answered_from_the_window() {
    let recorded = Recorded::default();
    let _guard = recorded.install();
    let cluster = Cluster::open(1).await;
    let router = cluster.router();
    let channel = cluster.channel_on(1);
    let stays = Witness::subscribe(&router, &channel, None).await.unwrap();
    for data in 1..=20 {
        router.publish(publish(&channel, data)).await.unwrap();
    }
    stays.reaches(20).await;
    let position = Position::new(stays.joined().position.unwrap().epoch, Offset(12));
    let back = Witness::subscribe(&router, &channel, Some(position))
        .await
        .unwrap();
    assert_eq!(back.offsets(), (13..=20).collect::<Vec<_>>());
    assert_eq!(recorded.count("campanile_recovery_reads_total"), 0);
    assert_eq!(recorded.count("campanile_recovery_window_hits_total"), 1);
}

#[tokio::test(start_paused = true)]
async fn the_window_does_not_outlive_the_last_subscriber() {
    let recorded = Recorded::default();
    let _guard = recorded.install();
    let cluster = Cluster::open(1).await;
    let router = cluster.router();
    let channel = cluster.channel_on(1);
    let leaves = Witness::subscribe(&router, &channel, None).await.unwrap();
    router.publish(publish(&channel, 1)).await.unwrap();
    leaves.reaches(1).await;
    leaves.leave(&router);
    router.publish(publish(&channel, 2)).await.unwrap();
    let back = Witness::subscribe(&router, &channel, leaves.joined().position)
        .await
        .unwrap();
    assert_eq!(back.offsets(), [1, 2]);
    assert_eq!(recorded.count("campanile_recovery_reads_total"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_position_of_an_unknown_epoch_or_beyond_the_top_is_not_recovered() {
    let cluster = Cluster::open(1).await;
    let router = cluster.router();
    let channel = cluster.channel_on(1);
    let epoch = top(&router.publish(publish(&channel, 1)).await.unwrap()).epoch;
    for (position, reason) in [
        (
            Position::new("unknown".into(), Offset(1)),
            LossReason::EpochChanged,
        ),
        (Position::new(epoch.clone(), Offset(9)), LossReason::PositionAhead),
    ] {
        let back = Witness::subscribe(&router, &channel, Some(position))
            .await
            .unwrap();
        assert_eq!(back.joined().outcome, Some(RecoveryOutcome::Lost(reason)));
        assert_eq!(
            back.joined().position,
            Some(Position::new(epoch.clone(), Offset(1)))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_unreachable_shard_is_an_error_in_time_and_leaves_nothing_behind() {
    let cluster = Cluster::open(2).await;
    let router = cluster.router();
    cluster.server(1).stop();
    let before = tokio::time::Instant::now();
    let refused = Witness::subscribe(&router, &cluster.channel_on(1), None).await;
    assert!(refused.is_err_and(|error| error.temporary()));
    assert!(
        before.elapsed() <= Duration::from_millis(2100),
        "{:?}",
        before.elapsed()
    );
    eventually("the channel is let go", || router.core.channels.len() == 0).await;
    Witness::subscribe(&router, &cluster.channel_on(2), None)
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_that_goes_away_before_the_answer_leaves_nothing_behind() {
    let cluster = Cluster::open(1).await;
    let router = cluster.router();
    let channel = cluster.channel_on(1);
    router.publish(publish(&channel, 1)).await.unwrap();
    cluster.server(1).pause();
    let hasty = Witness::subscribe(&router, &channel, None);
    assert!(
        tokio::time::timeout(Duration::from_millis(100), hasty)
            .await
            .is_err()
    );
    cluster.server(1).resume();
    eventually("the channel is let go", || router.core.channels.len() == 0).await;
    router.visit_channels(|_, _| (), |name, ()| panic!("{name:?}"));
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_before_the_first_topology_is_served_when_it_is_there() {
    let cluster = Cluster::unannounced(1);
    let router = cluster.router();
    let channel = cluster.channel_on(1);
    let early = Witness::subscribe(&router, &channel, None);
    let announce = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        cluster.announce().await;
    };
    let (witness, ()) = tokio::join!(early, announce);
    assert_eq!(witness.unwrap().joined().position.unwrap().offset, Offset::ZERO);
}

#[tokio::test(start_paused = true)]
async fn channels_without_a_stream_pass_publications_joins_and_leaves_in_order() {
    use crate::shard::Announcement;
    use campanile_common::message::ClientInfo;

    let cluster = Cluster::open(1).await;
    let router = cluster.router();
    let channel = cluster.channel_on(1);
    let options = SubscribeOptions::default();
    let witness = Witness::subscribe_with(&router, &channel, options).await.unwrap();
    assert_eq!(
        witness.joined(),
        Subscribed {
            position: None,
            publications: vec![],
            outcome: None
        }
    );
    let info = ClientInfo {
        client: "c".into(),
        ..ClientInfo::default()
    };
    router
        .announce(&channel, Announcement::Join(info.clone()))
        .await
        .unwrap();
    router
        .publish(Publish {
            stream: None,
            ..publish(&channel, "plain")
        })
        .await
        .unwrap();
    router
        .announce(&channel, Announcement::Leave(info))
        .await
        .unwrap();
    eventually("all three arrive", || witness.seen().len() == 3).await;
    let expected = [
        Seen::Join("c".into()),
        Seen::Publication(0, "plain".into()),
        Seen::Leave("c".into()),
    ];
    assert_eq!(witness.seen(), expected);
}

#[tokio::test(start_paused = true)]
async fn shutting_down_ends_what_waits() {
    let cluster = Cluster::unannounced(1);
    let router = cluster.router();
    let channel = cluster.channel_on(1);
    let waits = Witness::subscribe(&router, &channel, None);
    let (refused, ()) = tokio::join!(waits, router.shutdown());
    assert!(matches!(refused, Err(RouterError::ShutDown)));
    assert!(router.publish(publish(&channel, 1)).await.is_err());
}

/// Subscribers come, stay a while, leave and come back while others publish.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_misses_or_repeats_anything_however_subscribers_come_and_go() {
    let cluster = Cluster::open(2).await;
    // All that is published can be recovered, however long a subscriber is kept from coming back.
    let router = cluster.router_with(RouterConfig {
        recovery_limit: 1000,
        ..RouterConfig::default()
    });
    let subscribe = |position: Option<Position>| SubscribeOptions {
        stream: stream(1000),
        limit: 1000,
        recover: position.map(|position| Recover {
            position,
            mode: RecoverMode::Stream,
        }),
    };
    let channels = [cluster.channel_on(1), cluster.channel_on(2)];
    let mut tasks = tokio::task::JoinSet::new();
    for client in 0..32_u64 {
        let (router, channel) = (
            Arc::clone(&router),
            channels[usize::from(client % 2 == 0)].clone(),
        );
        tasks.spawn(async move {
            let mut position: Option<Position> = None;
            for round in 0..20 {
                let options = subscribe(position.clone());
                let witness = Witness::subscribe_with(&router, &channel, options).await.unwrap();
                if position.is_some() {
                    assert_eq!(witness.joined().outcome, Some(RecoveryOutcome::Recovered));
                }
                tokio::time::sleep(Duration::from_micros(200 * ((client + round) % 9))).await;
                witness.leave(&router);
                let epoch = witness.joined().position.unwrap().epoch;
                let offsets = witness.offsets();
                if let Some(before) = &position {
                    assert!(offsets[0] == before.offset.get() || offsets[0] == before.offset.get() + 1);
                }
                position = Some(Position::new(epoch, Offset(*offsets.last().unwrap())));
            }
        });
    }
    for channel in channels {
        let router = Arc::clone(&router);
        tasks.spawn(async move {
            for data in 0..400 {
                let publication = Publish {
                    stream: stream(1000),
                    ..publish(&channel, data)
                };
                router.publish(publication).await.unwrap();
                tokio::time::sleep(Duration::from_micros(100)).await;
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
    eventually("all channels are let go", || router.core.channels.len() == 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_somebody_wants_is_never_taken_off() {
    let cluster = Cluster::open(1).await;
    let router = cluster.router();
    let channel = cluster.channel_on(1);
    let first = Witness::subscribe(&router, &channel, None).await.unwrap();
    first.leave(&router);
    // Comes back while the unsubscription is on its way.
    let second = Witness::subscribe(&router, &channel, None).await.unwrap();
    let entry = router.core.channels.get(&channel).unwrap();
    assert!(!router.core.channels.remove_unwanted(&entry));
    tokio::time::sleep(Duration::from_secs(1)).await;
    router.publish(publish(&channel, 1)).await.unwrap();
    second.reaches(1).await;
    assert_eq!(first.seen(), []);
}

#[tokio::test(start_paused = true)]
async fn the_reply_comes_before_whatever_is_published_after_it() {
    let cluster = Cluster::open(1).await;
    let router = cluster.router();
    let channel = cluster.channel_on(1);
    let mut joining = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (gateway, name) = (Arc::clone(&router), channel.clone());
        joining.spawn(async move { Witness::subscribe(&gateway, &name, None).await.unwrap() });
        for _ in 0..3 {
            router.publish(publish(&channel, "x")).await.unwrap();
        }
    }
    while let Some(witness) = joining.join_next().await {
        let witness = witness.unwrap();
        // Panics unless the reply is first and all that follows is dense.
        eventually("all is seen", || witness.offsets().last() == Some(&300)).await;
    }
}
