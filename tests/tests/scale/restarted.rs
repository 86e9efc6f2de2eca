//! A rolling update: a pod ends, and comes back with its volume.

use anyhow::Result;
use campanile_tests::wait::eventually;

use crate::world::{MOVED, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_that_comes_back_with_its_volume_is_a_shard_again() -> Result<()> {
    let mut world = World::start("60s").await?;
    let pod = &world.shards[2];
    assert!(pod.pre_stop().await?.status.success());
    assert!(!pod.probe("readinessProbe").await?, "it is to be emptied");
    assert!(pod.probe("livenessProbe").await?);

    // It is out of the DNS as long as there is no pod.
    let mut pod = world.shards.remove(2);
    pod.terminate().await?;
    world.list();
    let kept = pod.append_only_file()?;
    for key in ["campanile:drain", "campanile:drained"] {
        assert!(
            kept.contains(&format!("{key}\r\n")),
            "{key} comes back with the volume"
        );
    }
    pod.start_again().await?;
    world.shards.push(pod);
    world.list();

    // Which is what lets the update go on to the next pod.
    let pod = &world.shards[2];
    eventually("the pod is ready", MOVED, || async {
        pod.probe("readinessProbe").await.unwrap_or_default()
    })
    .await;
    let left = pod
        .redis(&["EXISTS", "campanile:drain", "campanile:drained"])
        .await?;
    assert_eq!(left, "0");
    world
        .shared_out("it has its share again", |shares| shares["campanile-shard-2"] > 0)
        .await;
    world.nobody_noticed().await;
    Ok(())
}
