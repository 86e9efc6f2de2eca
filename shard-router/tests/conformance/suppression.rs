//! Publications that are accepted but not published: repeated and outdated ones.

use std::time::Duration;

use campanile_common::Offset;
use campanile_shard_router::shard::{IdempotencyKey, PublishOutcome, PublishRequest, Suppressed, Version};

use crate::gateway::{Channel, Gateway, channels_apart};
use crate::world::World;

async fn publish(gateway: &Gateway, channel: &Channel, request: PublishRequest) -> PublishOutcome {
    gateway.shard.publish(channel.partition, request).await.unwrap()
}

fn keyed(channel: &Channel, key: &str) -> PublishRequest {
    let idempotency = Some(IdempotencyKey {
        key: key.to_owned(),
        ttl: Duration::from_secs(60),
    });
    PublishRequest {
        idempotency,
        ..channel.request("x")
    }
}

fn versioned(channel: &Channel, number: u64, epoch: &str) -> PublishRequest {
    let version = Some(Version {
        number,
        epoch: epoch.to_owned(),
    });
    PublishRequest {
        version,
        ..channel.request(&format!("{epoch}{number}"))
    }
}

pub async fn a_key_is_accepted_once_per_channel(world: impl World) {
    let channels = channels_apart(2);
    let gateway = world.gateway();
    gateway
        .open(channels.iter().map(|channel| channel.partition))
        .await;
    gateway.subscribe(&channels[0]).await;
    let first = publish(&gateway, &channels[0], keyed(&channels[0], "k")).await;
    assert_eq!(first.suppressed, None);
    gateway.append(&channels[0], "in between").await;
    let again = publish(&gateway, &channels[0], keyed(&channels[0], "k")).await;
    assert_eq!(
        again,
        PublishOutcome {
            suppressed: Some(Suppressed::Repeated),
            ..first
        }
    );
    let elsewhere = publish(&gateway, &channels[1], keyed(&channels[1], "k")).await;
    assert_eq!(elsewhere.suppressed, None);
    assert_eq!(gateway.content(&channels[0]).await.1, ["x", "in between"]);
    gateway.append(&channels[0], "last").await;
    gateway.events.until(|told| told.len() >= 4).await;
    assert_eq!(
        gateway.events.payloads(&channels[0].name),
        ["x", "in between", "last"]
    );
}

pub async fn a_key_is_forgotten_after_its_time(world: impl World) {
    let channel = Channel::new("forgetful");
    let gateway = world.gateway();
    gateway.open_for(&channel).await;
    let ttl = Duration::from_millis(200);
    let request = || {
        let idempotency = Some(IdempotencyKey {
            key: "k".to_owned(),
            ttl,
        });
        PublishRequest {
            idempotency,
            ..channel.request("x")
        }
    };
    publish(&gateway, &channel, request()).await;
    world.pass(ttl).await;
    let again = publish(&gateway, &channel, request()).await;
    assert_eq!(
        (again.suppressed, again.position.unwrap().offset),
        (None, Offset(2))
    );
}

pub async fn keys_and_channels_do_not_run_together(world: impl World) {
    let gateway = world.gateway();
    // Made to share a partition, as two channels may.
    let mut channels = [Channel::new("a"), Channel::new("a:b")];
    channels[1].partition = channels[0].partition;
    gateway.open_for(&channels[0]).await;
    let keys = ["b:c", "c"];
    for (channel, key) in channels.iter().zip(keys) {
        assert_eq!(
            publish(&gateway, channel, keyed(channel, key)).await.suppressed,
            None
        );
    }
}

pub async fn a_key_works_without_a_stream(world: impl World) {
    let channel = Channel::new("passing");
    let gateway = world.gateway();
    gateway.open_for(&channel).await;
    gateway.subscribe(&channel).await;
    let request = || PublishRequest {
        stream: None,
        ..keyed(&channel, "k\n \0")
    };
    let first = publish(&gateway, &channel, request()).await;
    assert_eq!((first.position, first.suppressed), (None, None));
    let again = publish(&gateway, &channel, request()).await;
    assert_eq!(
        (again.position, again.suppressed),
        (None, Some(Suppressed::Repeated))
    );
    gateway.append(&channel, "last").await;
    gateway.events.until(|told| told.len() >= 3).await;
    assert_eq!(gateway.events.payloads(&channel.name), ["x", "last"]);
}

pub async fn versions_only_grow_within_their_epoch(world: impl World) {
    let channel = Channel::new("versioned");
    let gateway = world.gateway();
    gateway.open_for(&channel).await;
    let table = [
        (5, "", None, 1),
        (5, "", Some(Suppressed::Outdated), 1),
        (4, "", Some(Suppressed::Outdated), 1),
        (6, "", None, 2),
        (10, "", None, 3),
        (9, "", Some(Suppressed::Outdated), 3),
        (1, "new", None, 4),
        (1, "new", Some(Suppressed::Outdated), 4),
        (2, "", None, 5),
    ];
    for (number, epoch, suppressed, offset) in table {
        let outcome = publish(&gateway, &channel, versioned(&channel, number, epoch)).await;
        let got = (outcome.suppressed, outcome.position.unwrap().offset.0);
        assert_eq!(got, (suppressed, offset), "{number} of {epoch:?}");
    }
    // One without a version neither compares nor resets.
    gateway.append(&channel, "plain").await;
    let outcome = publish(&gateway, &channel, versioned(&channel, 2, "")).await;
    assert_eq!(outcome.suppressed, Some(Suppressed::Outdated));
}

pub async fn versions_have_all_64_bits(world: impl World) {
    let channel = Channel::new("huge");
    let gateway = world.gateway();
    gateway.open_for(&channel).await;
    for (number, suppressed) in [
        (u64::MAX - 1, None),
        (u64::MAX - 2, Some(Suppressed::Outdated)),
        (u64::MAX - 1, Some(Suppressed::Outdated)),
        (u64::MAX, None),
    ] {
        let outcome = publish(&gateway, &channel, versioned(&channel, number, "e")).await;
        assert_eq!(outcome.suppressed, suppressed, "{number}");
    }
}
