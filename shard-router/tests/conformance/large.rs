//! Streams and presences that are copied in parts.

use std::time::Duration;

use campanile_common::Offset;
use campanile_shard_router::shard::{CopyItem, CopyPart, PresenceEntry};
use futures_util::future::join_all;

use crate::gateway::{Channel, Gateway, info};
use crate::mover::{MOVE, Mover};
use crate::world::World;

/// More than any shard copies at once.
const MANY: u32 = 3_000;

/// A channel whose stream has many entries.
fn large() -> Channel {
    let mut channel = Channel::new("large");
    channel.limits.size = MANY;
    channel
}

async fn publish_many(gateway: &Gateway, channel: &Channel, count: u32) {
    let publishing = (0..count).map(|number| {
        let request = channel.request(&number.to_string());
        gateway.shard.publish(channel.partition, request)
    });
    for published in join_all(publishing).await {
        published.unwrap();
    }
}

async fn enter_many(gateway: &Gateway, channel: &Channel, count: u32) {
    let entry = |number| PresenceEntry {
        partition: channel.partition,
        channel: channel.name.clone(),
        info: info(&format!("client-{number}")).into(),
        ttl: channel.limits.ttl,
    };
    let entries = (0..count).map(entry).collect();
    for entered in gateway.shard.refresh_presence(entries).await.unwrap() {
        entered.unwrap();
    }
}

/// A move of a channel with a large stream, which has been copied once.
async fn copied<W: World>(world: &W, other: &W) -> (Mover, Channel, usize) {
    let channel = large();
    let mut mover = Mover::open(world, other, std::slice::from_ref(&channel)).await;
    publish_many(&mover.source.gateway, &channel, MANY).await;
    mover.begin().await;
    let items = mover.scan().await;
    let parts = mover.copy(items).await;
    (mover, channel, stream_parts(&parts).len())
}

fn stream_parts(parts: &[CopyPart]) -> Vec<&CopyPart> {
    parts
        .iter()
        .filter(|part| part.name.starts_with(b"stream:"))
        .collect()
}

/// Ends the move, and checks that the target has what the source had.
async fn arrives(mut mover: Mover, channel: &Channel) {
    let before = mover.source.gateway.content(channel).await;
    mover.finish().await;
    let after = mover.target.gateway.content(channel).await;
    assert_eq!(after.0, before.0);
    assert!(after.1 == before.1, "the content is the same");
    let next = mover.target.gateway.append(channel, "next").await;
    assert_eq!(
        (next.epoch, next.offset),
        (before.0.epoch, before.0.offset.next())
    );
}

pub async fn a_large_stream_is_copied_in_parts(world: impl World) {
    let other = world.another();
    let (mover, channel, parts) = copied(&world, &other).await;
    assert!(parts >= 3, "{parts}");
    arrives(mover, &channel).await;
}

pub async fn only_the_end_is_copied_again(world: impl World) {
    let other = world.another();
    let (mut mover, channel, parts) = copied(&world, &other).await;
    publish_many(&mover.source.gateway, &channel, 50).await;
    let again = mover.copy_dirty().await;
    let ends = stream_parts(&again);
    assert!(ends.len() == 1 && parts > 1);
    assert!(ends[0].content.len() < 50 * 200, "{}", ends[0].content.len());
    // Published more than the stream keeps: what was copied first is trimmed at the target, too.
    publish_many(&mover.source.gateway, &channel, MANY / 2).await;
    mover.copy_dirty().await;
    arrives(mover, &channel).await;
}

pub async fn a_copy_far_behind_starts_over(world: impl World) {
    let other = world.another();
    let (mut mover, channel, _) = copied(&world, &other).await;
    publish_many(&mover.source.gateway, &channel, MANY + 10).await;
    mover.copy_dirty().await;
    arrives(mover, &channel).await;
}

pub async fn a_removed_history_is_not_continued(world: impl World) {
    let other = world.another();
    let (mut mover, channel, _) = copied(&world, &other).await;
    let removed = mover
        .source
        .gateway
        .shard
        .remove_history(channel.partition, &channel.name);
    removed.await.unwrap();
    publish_many(&mover.source.gateway, &channel, 10).await;
    mover.copy_dirty().await;
    let (position, content) = mover.source.gateway.content(&channel).await;
    assert_eq!(
        (position.offset, content.len()),
        (Offset(u64::from(MANY) + 10), 10)
    );
    arrives(mover, &channel).await;
}

pub async fn another_epoch_is_not_continued(world: impl World) {
    let brief = Duration::from_secs(2);
    let mut channel = large();
    (channel.limits.ttl, channel.limits.meta_ttl) = (brief, brief);
    let other = world.another();
    let mut mover = Mover::open(&world, &other, std::slice::from_ref(&channel)).await;
    publish_many(&mover.source.gateway, &channel, MANY).await;
    mover.begin().await;
    let items = mover.scan().await;
    mover.copy(items).await;
    world.pass(brief).await;
    // Only the first life was to end.
    let minute = Duration::from_secs(60);
    (channel.limits.ttl, channel.limits.meta_ttl) = (minute, minute);
    publish_many(&mover.source.gateway, &channel, MANY / 2).await;
    mover.copy_dirty().await;
    let position = mover.source.gateway.content(&channel).await.0;
    assert_eq!(position.offset, Offset(u64::from(MANY) / 2));
    arrives(mover, &channel).await;
}

pub async fn a_part_that_would_leave_a_gap_is_refused(world: impl World) {
    let channel = large();
    let other = world.another();
    let mover = Mover::open(&world, &other, std::slice::from_ref(&channel)).await;
    publish_many(&mover.source.gateway, &channel, MANY).await;
    mover.begin().await;
    let item = CopyItem {
        partition: channel.partition,
        name: "stream:large".into(),
        resume: None,
    };
    let first = mover.read(MOVE.0, item.clone()).await.unwrap();
    let resume = first.mark.clone();
    let second = mover.read(MOVE.0, CopyItem { resume, ..item }).await.unwrap();
    assert!(!mover.write(MOVE, second.clone()).await, "the first is missing");
    for part in [first, second.clone(), second] {
        assert!(mover.write(MOVE, part).await, "twice does no harm");
    }
}

pub async fn a_large_presence_is_copied_in_parts_and_changes_by_member(world: impl World) {
    let channel = Channel::new("crowded");
    let other = world.another();
    let mut mover = Mover::open(&world, &other, std::slice::from_ref(&channel)).await;
    enter_many(&mover.source.gateway, &channel, MANY).await;
    mover.begin().await;
    let items = mover.scan().await;
    let parts = mover.copy(items).await;
    assert!(parts.len() >= 3, "{}", parts.len());
    enter_many(&mover.source.gateway, &channel, 2).await;
    for client in ["client-5", "client-6"] {
        let left = mover
            .source
            .gateway
            .shard
            .remove_presence(channel.partition, &channel.name, client);
        left.await.unwrap();
    }
    let parts = mover.copy_dirty().await;
    assert_eq!(parts.len(), 4);
    assert!(parts.iter().all(|part| part.content.len() < 1000));
    mover.finish().await;
    let presence = mover
        .target
        .gateway
        .shard
        .presence(channel.partition, &channel.name)
        .await
        .unwrap();
    assert_eq!(presence.len(), usize::try_from(MANY).unwrap() - 2);
    for (client, member) in presence {
        assert_eq!(member, info(&client));
    }
}
