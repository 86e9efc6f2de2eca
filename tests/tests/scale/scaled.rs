//! `kubectl scale statefulset`, up and down.

use anyhow::Result;
use campanile_tests::wait::{SOON, eventually};

use crate::pod::Pod;
use crate::world::{SHARD, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_shards_become_five_and_three_again_and_nobody_notices() -> Result<()> {
    let mut world = World::start("2s").await?;

    // The set starts the pods that are missing, all at once; each is in the DNS once it has an address.
    for number in 3..5 {
        let pod = Pod::start(&world.manifests, SHARD, number).await?;
        world.shards.push(pod);
    }
    for pod in &world.shards {
        eventually("the pod is ready", SOON, || async {
            pod.probe("readinessProbe").await.unwrap_or_default()
        })
        .await;
        assert!(pod.probe("livenessProbe").await?);
    }
    world.list();
    world
        .shared_out("the new shards have their share", |shares| {
            shares.len() == 5 && shares.values().all(|share| *share > 0)
        })
        .await;
    world.round().await;

    // The set ends those of the highest numbers, all at once; they stay in the DNS until they have ended.
    let (fourth, fifth) = (&world.shards[3], &world.shards[4]);
    let (fourth, fifth) = tokio::join!(fourth.pre_stop(), fifth.pre_stop());
    for output in [fourth?, fifth?] {
        assert!(output.status.success(), "{output:?}");
    }
    world
        .shared_out("the shards that are to leave have nothing", |shares| {
            shares["campanile-shard-3"] == 0 && shares["campanile-shard-4"] == 0
        })
        .await;
    for mut pod in world.shards.split_off(3) {
        assert_eq!(pod.redis(&["EXISTS", "campanile:drained"]).await?, "1");
        let streams = pod.redis(&["KEYS", "campanile:*:stream:*"]).await?;
        assert_eq!(streams, "", "{}", pod.host());
        pod.terminate().await?;
    }
    world.list();
    world
        .shared_out("they are forgotten", |shares| shares.len() == 3)
        .await;
    world.nobody_noticed().await;
    Ok(())
}
