//! What subscribers notice of trouble between the gateway and a shard: nothing, or the truth.

use super::cluster::{Fate, shard};
use super::recorder::Recorded;
use super::*;
use crate::memory::RestartWith;
use crate::publication::ShardMessage;
use crate::router::events::Listener;
use crate::shard::{LinkId, ShardEvents};
use crate::store::TopologyStore;

/// Lets the publications with these offsets meet `fate` on the link.
fn tamper(cluster: &Cluster, offsets: impl Fn(u64) -> bool + Send + 'static, fate: Fate) {
    cluster.tamper(move |message| match message {
        ShardMessage::Publication {
            position: Some(position),
            ..
        } if offsets(position.offset.get()) => fate,
        _ => Fate::Arrives,
    });
}

async fn publish_all(router: &Router<Witnesses>, channel: &ChannelName, count: usize) {
    for data in 0..count {
        router.publish(publish(channel, data)).await.unwrap();
    }
}

fn lost(witness: &Witness) -> Vec<LossReason> {
    let seen = witness.seen().into_iter();
    seen.filter_map(|seen| {
        if let Seen::Lost(reason) = seen {
            Some(reason)
        } else {
            None
        }
    })
    .collect()
}

#[tokio::test(start_paused = true)]
async fn messages_lost_or_repeated_on_the_link_are_healed_invisibly() {
    let recorded = Recorded::default();
    let _guard = recorded.install();
    let cluster = Cluster::open(1).await;
    let router = cluster.router();
    let channel = cluster.channel_on(1);
    let witness = Witness::subscribe(&router, &channel, None).await.unwrap();
    tamper(&cluster, |offset| offset % 3 == 0, Fate::Vanishes);
    publish_all(&router, &channel, 10).await;
    witness.reaches(10).await;
    tamper(&cluster, |_| true, Fate::ArrivesTwice);
    publish_all(&router, &channel, 5).await;
    witness.reaches(15).await;
    assert_eq!(witness.offsets(), (0..=15).collect::<Vec<_>>());
    assert_eq!(lost(&witness), []);
    assert_eq!(recorded.count("campanile_messages_received_total duplicate"), 5);
}

#[tokio::test(start_paused = true)]
async fn a_lost_message_on_which_nothing_follows_is_found_by_the_check() {
    let cluster = Cluster::open(1).await;
    let router = cluster.router();
    let channel = cluster.channel_on(1);
    let witness = Witness::subscribe(&router, &channel, None).await.unwrap();
    tamper(&cluster, |_| true, Fate::Vanishes);
    publish_all(&router, &channel, 1).await;
    // Twice the interval: the first check may find the channel not idle yet.
    tokio::time::sleep(Duration::from_secs(80)).await;
    assert_eq!(witness.offsets(), [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn idle_channels_are_checked_in_batches() {
    let recorded = Recorded::default();
    let _guard = recorded.install();
    let cluster = Cluster::open(2).await;
    let router = cluster.router();
    for number in 0..500 {
        let channel = ChannelName::from_trusted(&format!("idle:{number}"));
        Witness::subscribe(&router, &channel, None).await.unwrap();
    }
    let before = recorded.count("campanile_shard_requests_total s1 positions ok");
    tokio::time::sleep(Duration::from_secs(400)).await;
    let checks = recorded.count("campanile_position_checks_total");
    assert!(
        (4500..=5500).contains(&checks),
        "{checks} checks of 500 channels in ten intervals"
    );
    let trips = recorded.count("campanile_shard_requests_total s1 positions ok") - before;
    assert!((70..=90).contains(&trips), "{trips} round trips in eighty slices");
    assert_eq!(recorded.count("campanile_position_checks_differed_total"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_link_that_breaks_while_publishing_goes_on_is_healed_invisibly() {
    let cluster = Cluster::open(1).await;
    let router = cluster.router();
    let channel = cluster.channel_on(1);
    let witness = Witness::subscribe(&router, &channel, None).await.unwrap();
    for round in 0..40 {
        publish_all(&router, &channel, 2).await;
        if round % 10 == 5 {
            cluster.server(1).break_links();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    witness.reaches(80).await;
    assert_eq!(witness.offsets(), (0..=80).collect::<Vec<_>>());
    assert_eq!(lost(&witness), []);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_channels_come_back_in_batches() {
    let recorded = Recorded::default();
    let _guard = recorded.install();
    let cluster = Cluster::open(1).await;
    let router = cluster.router();
    let mut witnesses = Vec::new();
    for number in 0..1000 {
        let channel = ChannelName::from_trusted(&format!("many:{number}"));
        witnesses.push(Witness::subscribe(&router, &channel, None).await.unwrap());
    }
    let before = recorded.count("campanile_shard_requests_total s1 subscribe ok");
    cluster.server(1).break_links();
    for witness in witnesses.iter().take(100) {
        router
            .publish(publish(&witness.channel, "meanwhile"))
            .await
            .unwrap();
    }
    for witness in witnesses.iter().take(100) {
        witness.reaches(1).await;
    }
    for witness in &witnesses {
        router
            .publish(publish(&witness.channel, "afterwards"))
            .await
            .unwrap();
    }
    for (number, witness) in witnesses.iter().enumerate() {
        witness.reaches(if number < 100 { 2 } else { 1 }).await;
        assert_eq!(lost(witness), []);
        witness.offsets();
    }
    let heals = recorded.count("campanile_stream_reads_total heal");
    assert!(heals <= 110, "{heals} reads for the 100 channels that are behind");
    let subscribes = recorded.count("campanile_shard_requests_total s1 subscribe ok") - before;
    assert!(subscribes <= 70, "{subscribes} round trips for 64 segments");
}

#[tokio::test(start_paused = true)]
async fn a_flushed_shard_is_announced_and_never_recovered_from() {
    let cluster = Cluster::open(2).await;
    let router = cluster.router();
    let (channel, other) = (cluster.channel_on(1), cluster.channel_on(2));
    let witness = Witness::subscribe(&router, &channel, None).await.unwrap();
    let bystander = Witness::subscribe(&router, &other, None).await.unwrap();
    publish_all(&router, &channel, 3).await;
    witness.reaches(3).await;
    let position = Position::new(witness.joined().position.unwrap().epoch, Offset(3));
    cluster.server(1).flush();
    cluster.admit(1, false).await;
    assert_eq!(witness.loses().await, LossReason::EpochChanged);
    publish_all(&router, &channel, 3).await;
    publish_all(&router, &other, 3).await;
    let back = Witness::subscribe(&router, &channel, Some(position))
        .await
        .unwrap();
    assert_eq!(
        back.joined().outcome,
        Some(RecoveryOutcome::Lost(LossReason::EpochChanged))
    );
    bystander.reaches(3).await;
    assert_eq!(lost(&bystander), []);
}

#[tokio::test(start_paused = true)]
async fn a_restart_that_may_have_lost_the_end_is_announced_even_with_all_data_there() {
    let cluster = Cluster::open(1).await;
    let router = cluster.router();
    let channel = cluster.channel_on(1);
    let witness = Witness::subscribe(&router, &channel, None).await.unwrap();
    publish_all(&router, &channel, 3).await;
    witness.reaches(3).await;
    cluster.server(1).restart(RestartWith::Data);
    cluster.admit(1, false).await;
    assert_eq!(witness.loses().await, LossReason::EpochChanged);
}

#[tokio::test(start_paused = true)]
async fn a_durable_shard_that_restarts_is_healed_invisibly() {
    let cluster = Cluster::open(1).await;
    let router = cluster.router();
    let channel = cluster.channel_on(1);
    let witness = Witness::subscribe(&router, &channel, None).await.unwrap();
    publish_all(&router, &channel, 3).await;
    witness.reaches(3).await;
    cluster.server(1).restart(RestartWith::Data);
    cluster.admit(1, true).await;
    publish_all(&router, &channel, 3).await;
    witness.reaches(6).await;
    assert_eq!(witness.offsets(), (0..=6).collect::<Vec<_>>());
    assert_eq!(lost(&witness), []);
}

#[tokio::test(start_paused = true)]
async fn what_was_trimmed_before_it_could_be_healed_is_announced() {
    let cluster = Cluster::open(1).await;
    let router = cluster.router();
    let channel = cluster.channel_on(1);
    let witness = Witness::subscribe(&router, &channel, None).await.unwrap();
    tamper(&cluster, |offset| offset < 9, Fate::Vanishes);
    for data in 0..9 {
        let short = Publish {
            stream: stream(4),
            ..publish(&channel, data)
        };
        router.publish(short).await.unwrap();
    }
    assert_eq!(witness.loses().await, LossReason::PositionExpired);
    let position = witness.joined().position;
    let back = Witness::subscribe(&router, &channel, position).await.unwrap();
    assert_eq!(
        back.joined().outcome,
        Some(RecoveryOutcome::Lost(LossReason::PositionExpired))
    );
}

#[tokio::test(start_paused = true)]
async fn a_paused_shard_is_waited_for_and_nobody_is_told_anything() {
    let cluster = Cluster::open(2).await;
    let router = cluster.router();
    let channel = cluster.channel_on(1);
    let witness = Witness::subscribe(&router, &channel, None).await.unwrap();
    publish_all(&router, &channel, 2).await;
    cluster.server(1).pause();
    tokio::time::sleep(Duration::from_secs(20)).await;
    let refused = Witness::subscribe(&router, &cluster.channel_on(1), None).await;
    assert!(refused.is_err_and(|error| error.temporary()));
    cluster.server(1).resume();
    tokio::time::sleep(Duration::from_secs(2)).await;
    publish_all(&router, &channel, 2).await;
    witness.reaches(4).await;
    assert_eq!(witness.offsets(), [0, 1, 2, 3, 4]);
    assert_eq!(lost(&witness), []);
}

#[tokio::test(start_paused = true)]
async fn an_expired_gateway_joins_anew_and_its_subscribers_notice_nothing() {
    let recorded = Recorded::default();
    let _guard = recorded.install();
    let cluster = Cluster::open(1).await;
    let router = cluster.router();
    let channel = cluster.channel_on(1);
    let witness = Witness::subscribe(&router, &channel, None).await.unwrap();
    publish_all(&router, &channel, 2).await;
    witness.reaches(2).await;
    cluster.store.deregister(&GatewayId("g1".into())).await.unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    publish_all(&router, &channel, 2).await;
    witness.reaches(4).await;
    assert_eq!(lost(&witness), []);
    // The window of before does not answer any more.
    let back = Witness::subscribe(&router, &channel, witness.joined().position)
        .await
        .unwrap();
    assert_eq!(back.offsets(), [1, 2, 3, 4]);
    assert_eq!(recorded.count("campanile_recovery_reads_total"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_heal_that_fails_is_tried_again() {
    let cluster = Cluster::open(1).await;
    let router = cluster.router();
    let channel = cluster.channel_on(1);
    let witness = Witness::subscribe(&router, &channel, None).await.unwrap();
    tamper(&cluster, |offset| offset == 1, Fate::Vanishes);
    publish_all(&router, &channel, 2).await;
    // The second message, which shows the gap, has not been handled yet.
    cluster.server(1).refuse(Some("busy"));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(witness.seen(), []);
    cluster.server(1).refuse(None);
    witness.reaches(2).await;
    assert_eq!(witness.offsets(), [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_message_of_an_earlier_life_of_a_link_is_not_delivered() {
    let recorded = Recorded::default();
    let _guard = recorded.install();
    let cluster = Cluster::open(1).await;
    let router = cluster.router();
    let channel = cluster.channel_on(1);
    let witness = Witness::subscribe_with(&router, &channel, SubscribeOptions::default())
        .await
        .unwrap();
    let links = Arc::clone(&router.core.opened.get(&shard(1)).unwrap().links);
    let late = LinkId {
        shard: shard(1),
        lane: 0,
        serial: u64::MAX,
    };
    let message = ShardMessage::Publication {
        position: None,
        publication: publication("late"),
    };
    Listener::new(&router.core, links).message(&late, &channel, message);
    assert_eq!(witness.seen(), []);
    assert_eq!(recorded.count("campanile_messages_received_total stray"), 1);
}
