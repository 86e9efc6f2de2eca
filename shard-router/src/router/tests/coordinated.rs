//! The router with the real coordinator: what an embedded deployment is made of.

use super::cluster::shard;
use super::*;
use crate::coordinator::{Coordinator, CoordinatorOptions, CoordinatorParts};
use crate::memory::RestartWith;
use crate::partition::Partition;
use crate::topology::{ShardUrl, WantedShard};

#[tokio::test(start_paused = true)]
async fn an_empty_deployment_serves_and_takes_a_restarted_shard_back() {
    let cluster = Cluster::unannounced(2);
    let router = cluster.router();
    let configured = |number: usize| {
        let entry = WantedShard {
            url: ShardUrl::new(ShardUrl::MEMORY),
            address: format!("memory://{number}"),
            weight: 1,
            durable: false,
        };
        (shard(number), entry)
    };
    let _coordinator = Coordinator::start(CoordinatorParts {
        gateway: GatewayId("g1".into()),
        configured: (1..=2).map(configured).collect(),
        options: CoordinatorOptions::default(),
        store: cluster.store.clone(),
        shards: router.clone(),
    });
    let mut applied = router.applied();
    applied.wait_for(|generation| generation.0 > 0).await.unwrap();
    let topology = router.topology().unwrap();
    let on_first = |name: &ChannelName| *topology.partition(Partition::of(name)).owner() == shard(1);
    let names = (0..).map(|number| ChannelName::from_trusted(&format!("test:{number}")));
    let channel = names
        .into_iter()
        .find(on_first)
        .expect("one of the names falls there");
    let witness = Witness::subscribe(&router, &channel, None).await.unwrap();
    router.publish(publish(&channel, 1)).await.unwrap();
    witness.reaches(1).await;
    cluster.server(1).restart(RestartWith::Data);
    assert_eq!(witness.loses().await, LossReason::EpochChanged);
    let outcome = router.publish(publish(&channel, 2)).await.unwrap();
    assert_eq!(top(&outcome).offset, Offset(2), "the content stayed as history");
    let back = Witness::subscribe(&router, &channel, witness.joined().position)
        .await
        .unwrap();
    assert_eq!(
        back.joined().outcome,
        Some(RecoveryOutcome::Lost(LossReason::EpochChanged))
    );
}
