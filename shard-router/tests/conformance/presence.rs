//! Presence: who is in a channel.

use std::ops::Range;
use std::time::Duration;

use campanile_common::message::ClientInfo;
use campanile_shard_router::shard::{PresenceEntry, PresencePage, ShardError};

use crate::gateway::{Channel, Gateway, channels_apart, info};
use crate::world::World;

const MINUTE: Duration = Duration::from_secs(60);

fn entry(channel: &Channel, info: ClientInfo, ttl: Duration) -> PresenceEntry {
    PresenceEntry {
        partition: channel.partition,
        channel: channel.name.clone(),
        info: info.into(),
        ttl,
    }
}

async fn enter(gateway: &Gateway, entries: Vec<PresenceEntry>) {
    for answer in gateway.shard.refresh_presence(entries).await.unwrap() {
        answer.unwrap();
    }
}

async fn present(gateway: &Gateway, channel: &Channel) -> Vec<String> {
    let present = gateway
        .shard
        .presence(channel.partition, &channel.name)
        .await
        .unwrap();
    assert!(present.iter().all(|(client, info)| *client == info.client));
    present.into_keys().collect()
}

pub async fn members_come_and_go(world: impl World) {
    let channel = Channel::new("room");
    let gateway = world.gateway();
    gateway.open_for(&channel).await;
    assert_eq!(present(&gateway, &channel).await, Vec::<String>::new());
    enter(
        &gateway,
        ["a", "b", "c"]
            .map(|client| entry(&channel, info(client), MINUTE))
            .into(),
    )
    .await;
    assert_eq!(present(&gateway, &channel).await, ["a", "b", "c"]);
    let members = gateway
        .shard
        .presence(channel.partition, &channel.name)
        .await
        .unwrap();
    assert_eq!(members["b"], info("b"));
    for client in ["b", "nobody"] {
        gateway
            .shard
            .remove_presence(channel.partition, &channel.name, client)
            .await
            .unwrap();
    }
    assert_eq!(present(&gateway, &channel).await, ["a", "c"]);
}

pub async fn of_a_crowd_some_are_told_and_how_many_there_are(world: impl World) {
    let channel = Channel::new("room");
    let gateway = world.gateway();
    gateway.open_for(&channel).await;
    let page = async |limit| {
        let page = gateway
            .shard
            .presence_page(channel.partition, &channel.name, limit);
        page.await.unwrap()
    };
    assert_eq!(page(3).await, PresencePage::default());
    let crowd = |numbers: Range<u32>, ttl| {
        let member = |number| entry(&channel, info(&format!("client-{number}")), ttl);
        numbers.map(member).collect()
    };
    let short = Duration::from_millis(200);
    enter(&gateway, crowd(0..1200, MINUTE)).await;
    enter(&gateway, crowd(1200..1205, short)).await;
    world.pass(short).await;
    for (limit, told) in [(0, 0), (3, 3), (999, 999), (1_000_000, 1000)] {
        let page = page(limit).await;
        assert_eq!((page.total, page.members.len()), (1200, told));
        assert!(
            page.members
                .iter()
                .all(|(client, member)| *member == info(client))
        );
    }
}

pub async fn members_expire_one_by_one(world: impl World) {
    let channel = Channel::new("room");
    let gateway = world.gateway();
    gateway.open_for(&channel).await;
    let short = Duration::from_millis(200);
    // The one that stays longer comes first: the later, shorter one must not take it along.
    enter(&gateway, vec![entry(&channel, info("long"), MINUTE)]).await;
    enter(&gateway, vec![entry(&channel, info("short"), short)]).await;
    world.pass(short).await;
    assert_eq!(present(&gateway, &channel).await, ["long"]);
    gateway
        .shard
        .remove_presence(channel.partition, &channel.name, "long")
        .await
        .unwrap();
    assert_eq!(present(&gateway, &channel).await, Vec::<String>::new());
}

pub async fn a_refresh_keeps_and_replaces(world: impl World) {
    let channel = Channel::new("room");
    let gateway = world.gateway();
    gateway.open_for(&channel).await;
    let short = Duration::from_millis(200);
    enter(
        &gateway,
        vec![
            entry(&channel, info("a"), short),
            entry(&channel, info("b"), short),
        ],
    )
    .await;
    let renamed = ClientInfo {
        user: "another".to_owned(),
        ..info("a")
    };
    enter(&gateway, vec![entry(&channel, renamed.clone(), MINUTE)]).await;
    world.pass(short).await;
    let members = gateway
        .shard
        .presence(channel.partition, &channel.name)
        .await
        .unwrap();
    assert_eq!(members.into_values().collect::<Vec<_>>(), [renamed]);
}

pub async fn batches_are_answered_one_by_one(world: impl World) {
    let channels = channels_apart(4);
    let gateway = world.gateway();
    gateway
        .open(channels.iter().take(2).map(|channel| channel.partition))
        .await;
    let entries = channels
        .iter()
        .map(|channel| entry(channel, info("a"), MINUTE))
        .collect();
    let answers = gateway.shard.refresh_presence(entries).await.unwrap();
    let served: Vec<_> = answers.iter().map(Result::is_ok).collect();
    assert_eq!(served, [true, true, false, false]);
    assert!(matches!(answers[2], Err(ShardError::NotOwner)));
    assert_eq!(present(&gateway, &channels[1]).await, ["a"]);
}
