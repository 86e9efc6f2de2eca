//! What a server says of itself.

use campanile_shard_router::topology::{DeploymentId, Generation};

use crate::gateway::{Channel, channels_apart};
use crate::world::World;

pub async fn records_are_read_in_order(world: impl World) {
    let channels = channels_apart(3);
    let gateway = world.gateway();
    let run = gateway.open([channels[1].partition]).await;
    let partitions = channels.iter().map(|channel| channel.partition).collect();
    let records = gateway.shard.records(&run, partitions).await.unwrap();
    assert!(matches!(&records[..], [None, Some(record), None] if record.generation == Generation(1)));
}

pub async fn who_admitted_and_who_asks_to_drain_is_told(world: impl World) {
    let gateway = world.gateway();
    let probe = gateway.shard.probe().await.unwrap();
    assert_eq!((probe.deployment, probe.drain_asked), (None, false));
    let run = probe.incarnation;
    let deployment = DeploymentId(0x00ab_cdef);
    gateway
        .shard
        .note_admitted(&run, Generation(3), deployment)
        .await
        .unwrap();
    world.ask_to_drain();
    let probe = gateway.shard.probe().await.unwrap();
    assert_eq!((probe.deployment, probe.drain_asked), (Some(deployment), true));
    assert!(!world.is_drained());
    gateway.shard.note_drained(&run, true).await.unwrap();
    assert!(world.is_drained());
    assert!(gateway.shard.probe().await.unwrap().drain_asked);
    gateway.shard.note_drained(&run, false).await.unwrap();
    assert!(!world.is_drained());
    assert!(!gateway.shard.probe().await.unwrap().drain_asked);
}

pub async fn usage_grows_with_what_is_held(world: impl World) {
    let gateway = world.gateway();
    let channel = Channel::new("used");
    let run = gateway.open_for(&channel).await;
    let before = gateway.shard.usage(&run).await.unwrap();
    gateway.append(&channel, &"x".repeat(1 << 20)).await;
    let after = gateway.shard.usage(&run).await.unwrap();
    assert!(after.bytes >= before.bytes + (1 << 19), "{before:?} {after:?}");
    assert!(after.keys > before.keys);
}
