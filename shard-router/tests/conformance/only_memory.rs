//! What only a memory server can be made to do.

use std::sync::Arc;

use campanile_shard_router::memory::{MemoryFactory, MemoryServer, MemoryShard};
use campanile_shard_router::shard::{Shard, ShardError, ShardFactory as _};
use campanile_shard_router::topology::{ShardId, ShardUrl};

use crate::gateway::{Channel, Gateway, Recorder};
use crate::world::{World, options, shard_id};

fn gateway(server: &Arc<MemoryServer>) -> Gateway {
    Gateway::open_with(|events| {
        Arc::new(MemoryShard::open(
            shard_id(),
            Arc::clone(server),
            &events,
            options(),
        )) as Arc<dyn Shard>
    })
}

#[tokio::test]
async fn a_server_that_refuses_says_so_and_changes_nothing() {
    let server = Arc::new(MemoryServer::new(1 << 20));
    let gateway = gateway(&server);
    let channel = Channel::new("refused");
    gateway.open_for(&channel).await;
    server.refuse(Some("no more"));
    let answer = gateway.publish(&channel, "x").await;
    assert!(
        matches!(&answer, Err(ShardError::Refused(words)) if words == "no more"),
        "{answer:?}"
    );
    server.refuse(None);
    assert_eq!(gateway.append(&channel, "y").await.offset.0, 1);
    assert_eq!(
        gateway
            .counters
            .labelled("campanile_shard_requests_total", &["publish", "refused"]),
        1
    );
    assert_eq!(
        gateway
            .counters
            .labelled("campanile_shard_requests_total", &["publish", "ok"]),
        1
    );
}

#[tokio::test]
async fn a_full_server_refuses_and_says_why() {
    let server = Arc::new(MemoryServer::new(10_000));
    let gateway = gateway(&server);
    let channel = Channel::new("full");
    gateway.open_for(&channel).await;
    let large = "x".repeat(4_000);
    gateway.append(&channel, &large).await;
    gateway.append(&channel, &large).await;
    let answer = gateway.publish(&channel, &large).await;
    assert!(matches!(answer, Err(ShardError::Refused(_))), "{answer:?}");
    assert!(server.bytes() <= 10_000);
    assert_eq!(gateway.content(&channel).await.1.len(), 2, "reading goes on");
}

#[tokio::test]
async fn the_backlog_of_a_paused_server_is_bounded() {
    let world = crate::world::MemoryWorld::start();
    let gateway = world.gateway();
    let channel = Channel::new("stalled");
    gateway.open_for(&channel).await;
    world.pause();
    let mut waiting: Vec<_> = (0..65_537)
        .map(|_| gateway.shard.remove_history(channel.partition, &channel.name))
        .collect();
    let last = waiting.pop().unwrap().await;
    assert!(matches!(last, Err(ShardError::Overloaded)), "{last:?}");
    world.resume();
    for answer in waiting {
        answer.await.unwrap();
    }
}

#[tokio::test]
async fn servers_are_made_on_demand_and_shared() {
    let factory = MemoryFactory::embedded(1, 1 << 20, options());
    let (first, added) = (ShardId::new("memory-1"), ShardId::new("added"));
    let url = ShardUrl::new(ShardUrl::MEMORY);
    let probe = async |id: &ShardId| {
        let shard = factory.open(id, &url, Arc::new(Recorder::default())).unwrap();
        shard.probe().await.unwrap().incarnation
    };
    let run = probe(&added).await;
    assert_eq!(probe(&added).await, run);
    assert_ne!(probe(&first).await, run);
    assert!(factory.servers().into_keys().eq([added, first]));
    let elsewhere = ShardUrl::new("redis://elsewhere");
    assert!(
        factory
            .open(&ShardId::new("other"), &elsewhere, Arc::new(Recorder::default()))
            .is_err()
    );
}
