//! Order and density under load.

use std::collections::BTreeSet;
use std::sync::Arc;

use campanile_common::Offset;

use crate::gateway::{Channel, channels_apart};
use crate::world::World;

const EACH: u64 = 500;

pub async fn calls_for_one_partition_are_carried_out_in_call_order(world: impl World) {
    let mut channels = channels_apart(5);
    for channel in &mut channels {
        channel.limits.size = 10_000;
    }
    let gateway = world.gateway();
    gateway
        .open(channels.iter().map(|channel| channel.partition))
        .await;
    for channel in &channels {
        gateway.subscribe(channel).await;
    }
    let mut answers = Vec::new();
    for number in 1..=EACH {
        for channel in &channels {
            let answer = gateway
                .shard
                .publish(channel.partition, channel.request(&number.to_string()));
            answers.push((number, answer));
        }
    }
    // Awaited last first: the order is that of the calls.
    for (number, answer) in answers.into_iter().rev() {
        assert_eq!(answer.await.unwrap().position.unwrap().offset, Offset(number));
    }
    let all = channels.len() * usize::try_from(EACH).unwrap();
    gateway.events.until(|told| told.len() > all).await;
    let expected: Vec<_> = (1..=EACH).map(|number| number.to_string()).collect();
    for channel in &channels {
        assert_eq!(gateway.content(channel).await.1, expected);
        assert_eq!(gateway.events.payloads(&channel.name), expected);
    }
}

pub async fn answers_nobody_waits_for_do_not_take_the_request_back(world: impl World) {
    let channel = Channel::new("dropped");
    let gateway = world.gateway();
    gateway.open_for(&channel).await;
    for number in 0..10 {
        drop(
            gateway
                .shard
                .publish(channel.partition, channel.request(&number.to_string())),
        );
    }
    assert_eq!(gateway.append(&channel, "last").await.offset, Offset(11));
}

pub async fn concurrent_publishers_leave_no_gap(world: impl World) {
    let mut channel = Channel::new("contended");
    channel.limits.size = 10_000;
    let first = world.gateway();
    first.open_for(&channel).await;
    let mut gateways = vec![Arc::new(first)];
    for _ in 0..3 {
        let gateway = world.gateway();
        gateway.trust_present_run().await;
        gateways.push(Arc::new(gateway));
    }
    let publishers: Vec<_> = gateways
        .iter()
        .flat_map(|gateway| [gateway; 2])
        .map(|gateway| {
            let (gateway, channel) = (Arc::clone(gateway), channel.clone());
            tokio::spawn(async move {
                let mut offsets = Vec::new();
                for _ in 0..100 {
                    offsets.push(gateway.append(&channel, "x").await.offset.0);
                }
                offsets
            })
        })
        .collect();
    let mut seen = BTreeSet::new();
    for publisher in publishers {
        let offsets = publisher.await.unwrap();
        assert!(offsets.is_sorted());
        seen.extend(offsets);
    }
    assert_eq!(seen, (1..=800).collect());
}
