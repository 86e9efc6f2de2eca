//! Shards whose entry in the topology changes.

use super::cluster::shard;
use super::*;
use crate::topology::{Change, ShardUrl};

async fn rewrite(cluster: &Cluster, edit: impl FnOnce(&Topology, Change) -> Topology) -> Generation {
    let present = cluster.store.read().await.unwrap().unwrap();
    let change = Change {
        generation: present.generation.next(),
        id: 99,
    };
    let next = edit(&present, change);
    next.validate().unwrap();
    assert!(
        cluster
            .store
            .compare_and_set(Some(&present), &next)
            .await
            .unwrap()
    );
    next.generation
}

async fn status(router: &Arc<Router<Witnesses>>, generation: Generation, number: usize) -> ShardStatus {
    router
        .applied()
        .wait_for(|applied| *applied >= generation)
        .await
        .unwrap();
    let mut health = router.shard_health();
    health.remove(number - 1).status
}

/// Waits until the shard is connected.
async fn connected(router: &Arc<Router<Witnesses>>, number: usize) {
    while router.shard_health()[number - 1].status != ShardStatus::Connected {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_stays_connected_to_a_lost_shard() {
    let cluster = Cluster::open(2).await;
    let router = cluster.router();
    router.applied().wait_for(|applied| applied.0 > 0).await.unwrap();
    connected(&router, 2).await;
    let lost = shard(2);
    let generation = rewrite(&cluster, |topology, change| {
        topology.evict(change, &lost).unwrap()
    })
    .await;
    let status = status(&router, generation, 2).await;
    let ShardStatus::Unreachable(words) = status else {
        panic!("{status:?}");
    };
    assert!(words.contains("lost"), "{words}");
    assert!(router.core.opened.get(&lost).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_shard_at_another_url_is_connected_to_anew() {
    let cluster = Cluster::open(1).await;
    let router = cluster.router();
    router.applied().wait_for(|applied| applied.0 > 0).await.unwrap();
    connected(&router, 1).await;
    let id = shard(1);
    let before = router.core.opened.get(&id).unwrap();
    let generation = rewrite(&cluster, |topology, change| {
        let mut next = topology.raised(change).unwrap();
        next.shards.get_mut(&id).unwrap().url = ShardUrl::new(ShardUrl::MEMORY);
        next
    })
    .await;
    router
        .applied()
        .wait_for(|applied| *applied >= generation)
        .await
        .unwrap();
    let after = router.core.opened.get(&id).unwrap();
    assert!(!Arc::ptr_eq(&before, &after));
    connected(&router, 1).await;
    assert_eq!(
        before.shard.status(),
        ShardStatus::Unreachable("closed".to_owned())
    );
}
