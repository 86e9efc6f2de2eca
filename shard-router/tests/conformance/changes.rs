//! What gateways change in a channel while it is being copied.

use std::time::Duration;

use campanile_shard_router::shard::{IdempotencyKey, PresenceEntry, PublishRequest, Version};

use crate::gateway::{Channel, Gateway, info};

/// Longer than what expires soon, and long enough for a whole move on a slow machine.
pub const LATER: Duration = Duration::from_secs(6);

pub fn keyed(channel: &Channel, key: &str) -> PublishRequest {
    PublishRequest {
        idempotency: Some(IdempotencyKey {
            key: key.to_owned(),
            ttl: Duration::from_secs(60),
        }),
        ..channel.request(key)
    }
}

pub fn versioned(channel: &Channel, number: u64) -> PublishRequest {
    PublishRequest {
        version: Some(Version {
            number,
            epoch: "v".to_owned(),
        }),
        ..channel.request(&number.to_string())
    }
}

pub async fn enter(gateway: &Gateway, channel: &Channel, client: &str, ttl: Duration) {
    let entry = PresenceEntry {
        partition: channel.partition,
        channel: channel.name.clone(),
        info: info(client).into(),
        ttl,
    };
    gateway
        .shard
        .refresh_presence(vec![entry])
        .await
        .unwrap()
        .remove(0)
        .unwrap();
}

pub async fn leave(gateway: &Gateway, channel: &Channel, client: &str) {
    let left = gateway
        .shard
        .remove_presence(channel.partition, &channel.name, client);
    left.await.unwrap();
}

pub async fn remove_history(gateway: &Gateway, channel: &Channel) {
    let removed = gateway.shard.remove_history(channel.partition, &channel.name);
    removed.await.unwrap();
}

pub async fn present(gateway: &Gateway, channel: &Channel) -> Vec<String> {
    let members = gateway
        .shard
        .presence(channel.partition, &channel.name)
        .await
        .unwrap();
    for (client, member) in &members {
        assert_eq!(*member, info(client));
    }
    members.into_keys().collect()
}
