//! Copying partitions from server to server.

use std::collections::BTreeSet;

use campanile_shard_router::shard::{CopyScope, IdempotencyKey, PublishRequest, ShardError, Suppressed};

use crate::changes::{LATER, enter, keyed, leave, present, remove_history, versioned};
use crate::gateway::{Channel, channels_apart};
use crate::mover::{Mover, name};
use crate::world::World;

pub async fn a_moved_partition_keeps_all_that_it_held(world: impl World) {
    let channel = Channel::new("all of it");
    let other = world.another();
    let mut mover = Mover::open(&world, &other, std::slice::from_ref(&channel)).await;
    let gateway = &mover.source.gateway;
    gateway
        .shard
        .publish(channel.partition, keyed(&channel, "k1"))
        .await
        .unwrap();
    gateway
        .shard
        .publish(channel.partition, versioned(&channel, 8))
        .await
        .unwrap();
    enter(gateway, &channel, "a", channel.limits.ttl).await;
    mover.begin().await;
    mover.copy_all().await;
    let gateway = &mover.source.gateway;
    gateway
        .shard
        .publish(channel.partition, keyed(&channel, "k2"))
        .await
        .unwrap();
    enter(gateway, &channel, "b", channel.limits.ttl).await;
    let before = gateway.content(&channel).await;
    mover.finish().await;

    let refused = mover.source.gateway.publish(&channel, "too late").await;
    assert!(matches!(refused, Err(ShardError::NotOwner)), "{refused:?}");
    let gateway = &mover.target.gateway;
    assert_eq!(gateway.content(&channel).await, before);
    assert_eq!(before.1, ["k1", "8", "k2"]);
    for key in ["k1", "k2"] {
        let again = gateway
            .shard
            .publish(channel.partition, keyed(&channel, key))
            .await
            .unwrap();
        assert_eq!(again.suppressed, Some(Suppressed::Repeated));
    }
    let old = gateway
        .shard
        .publish(channel.partition, versioned(&channel, 8))
        .await
        .unwrap();
    assert_eq!(old.suppressed, Some(Suppressed::Outdated));
    assert_eq!(present(gateway, &channel).await, ["a", "b"]);
    let next = gateway.append(&channel, "next").await;
    assert_eq!(
        (next.epoch, next.offset),
        (before.0.epoch, before.0.offset.next())
    );
}

pub async fn what_is_copied_expires_when_it_would_have(world: impl World) {
    let mut channel = Channel::new("short-lived");
    channel.limits.ttl = LATER;
    let other = world.another();
    let mut mover = Mover::open(&world, &other, std::slice::from_ref(&channel)).await;
    let gateway = &mover.source.gateway;
    let position = gateway.append(&channel, "short-lived").await;
    enter(gateway, &channel, "a", LATER).await;
    enter(gateway, &channel, "b", 100 * LATER).await;
    mover.run().await;
    let gateway = &mover.target.gateway;
    assert_eq!(gateway.content(&channel).await.1, ["short-lived"]);
    assert_eq!(present(gateway, &channel).await, ["a", "b"]);
    other.pass(LATER).await;
    assert_eq!(gateway.content(&channel).await, (position, vec![]));
    assert_eq!(present(gateway, &channel).await, ["b"]);
}

pub async fn what_is_gone_is_deleted_at_the_target(world: impl World) {
    let [kept, gone] = &channels_apart(2)[..] else {
        unreachable!("two were asked for")
    };
    let other = world.another();
    let mut mover = Mover::open(&world, &other, &[kept.clone(), gone.clone()]).await;
    for channel in [kept, gone] {
        mover.source.gateway.append(channel, "copied").await;
        enter(&mover.source.gateway, channel, "a", channel.limits.ttl).await;
        enter(&mover.source.gateway, channel, "b", channel.limits.ttl).await;
    }
    mover.begin().await;
    mover.copy_all().await;
    remove_history(&mover.source.gateway, gone).await;
    leave(&mover.source.gateway, gone, "a").await;
    let dirty = mover.copy_dirty().await;
    assert_eq!(dirty.len(), 2);
    mover.finish().await;
    let gateway = &mover.target.gateway;
    assert_eq!(gateway.content(kept).await.1, ["copied"]);
    assert_eq!(present(gateway, kept).await, ["a", "b"]);
    let (position, content) = gateway.content(gone).await;
    assert_eq!((position.offset.get(), content.len()), (1, 0));
    assert_eq!(present(gateway, gone).await, ["b"]);
}

pub async fn what_expired_meanwhile_is_deleted_at_the_target(world: impl World) {
    let channel = Channel::new("expires");
    let other = world.another();
    let mut mover = Mover::open(&world, &other, std::slice::from_ref(&channel)).await;
    let request = PublishRequest {
        idempotency: Some(IdempotencyKey {
            key: "k".to_owned(),
            ttl: LATER,
        }),
        ..channel.request("x")
    };
    mover.begin().await;
    mover
        .source
        .gateway
        .shard
        .publish(channel.partition, request)
        .await
        .unwrap();
    let items = mover.dirty().await;
    world.pass(LATER).await;
    let parts = mover.copy(items).await;
    assert_eq!(parts.len(), 3);
    mover.finish().await;
    let again = keyed(&channel, "k");
    let published = mover
        .target
        .gateway
        .shard
        .publish(channel.partition, again)
        .await
        .unwrap();
    assert_eq!(published.suppressed, None);
}

pub async fn a_walk_meets_all_that_the_partitions_hold(world: impl World) {
    let channels = channels_apart(40);
    let other = world.another();
    let mut mover = Mover::open(&world, &other, &channels).await;
    let mut expected = BTreeSet::new();
    for (number, channel) in channels.iter().enumerate() {
        let gateway = &mover.source.gateway;
        for key in 0..20 {
            let key = key.to_string();
            gateway
                .shard
                .publish(channel.partition, keyed(channel, &key))
                .await
                .unwrap();
            if number % 2 == 0 {
                expected.insert(format!(
                    "idem:{}:{}:{key}",
                    channel.name.len(),
                    channel.name.as_str()
                ));
            }
        }
        enter(gateway, channel, "a", channel.limits.ttl).await;
    }
    let half = channels.iter().step_by(2);
    mover.partitions = std::sync::Arc::new(half.clone().map(|channel| channel.partition).collect());
    mover.scope = CopyScope::Results;
    let results: BTreeSet<_> = mover.scan().await.iter().map(name).collect();
    assert_eq!(results, expected);
    mover.scope = CopyScope::All;
    for kind in ["stream", "meta", "presence"] {
        expected.extend(
            half.clone()
                .map(|channel| format!("{kind}:{}", channel.name.as_str())),
        );
    }
    let all: BTreeSet<_> = mover.scan().await.iter().map(name).collect();
    assert_eq!(all, expected);
    assert!(
        mover
            .scan()
            .await
            .iter()
            .all(|item| mover.partitions.contains(&item.partition))
    );
    let nothing = std::sync::Arc::new(BTreeSet::new());
    mover.partitions = nothing;
    assert_eq!(mover.scan().await, []);
}

pub async fn results_alone_can_be_moved(world: impl World) {
    let channel = Channel::new("results");
    let other = world.another();
    let mut mover = Mover::open(&world, &other, std::slice::from_ref(&channel)).await;
    mover.scope = CopyScope::Results;
    let gateway = &mover.source.gateway;
    gateway
        .shard
        .publish(channel.partition, keyed(&channel, "early"))
        .await
        .unwrap();
    mover.begin().await;
    mover.copy_all().await;
    let late = keyed(&channel, "late");
    mover
        .source
        .gateway
        .shard
        .publish(channel.partition, late)
        .await
        .unwrap();
    mover.finish().await;
    let gateway = &mover.target.gateway;
    for key in ["early", "late"] {
        let again = gateway
            .shard
            .publish(channel.partition, keyed(&channel, key))
            .await
            .unwrap();
        assert_eq!(again.suppressed, Some(Suppressed::Repeated));
    }
    assert_eq!(gateway.append(&channel, "anew").await.offset.get(), 1);
}
