//! The hook where there is nothing to wait for.

use anyhow::Result;
use campanile_tests::manifests::Manifests;
use campanile_tests::wait::eventually;
use redis::Client;

use crate::pod::Pod;
use crate::world::{MOVED, SHARD};

const WISH: &str = "campanile:drain";
const ANSWER: &str = "campanile:drained";
/// Where gateways listen.
const CONTROL: &str = "campanile:control";

async fn pod() -> Result<Pod> {
    Pod::start(&*Manifests::overlay("own")?, SHARD, 0).await
}

#[tokio::test]
async fn a_replica_has_nothing_of_its_own_to_move() -> Result<()> {
    let (primary, replica) = (pod().await?, pod().await?);
    replica
        .redis(&["REPLICAOF", "127.0.0.1", &primary.port().to_string()])
        .await?;
    assert!(replica.pre_stop().await?.status.success());
    assert_eq!(primary.redis(&["EXISTS", WISH]).await?, "0");
    Ok(())
}

#[tokio::test]
async fn without_gateways_there_is_nobody_to_wait_for() -> Result<()> {
    let pod = pod().await?;
    assert!(pod.pre_stop().await?.status.success());
    assert_eq!(pod.redis(&["EXISTS", WISH]).await?, "1");
    Ok(())
}

#[tokio::test]
async fn the_wait_has_an_end_and_an_old_answer_is_none() -> Result<()> {
    let mut pod = pod().await?;
    pod.set("DRAIN_SECONDS", "1");
    pod.redis(&["SET", ANSWER, "1"]).await?;
    assert!(pod.pre_stop().await?.status.success());
    assert_eq!(pod.redis(&["EXISTS", WISH]).await?, "1");
    assert_eq!(pod.redis(&["EXISTS", ANSWER]).await?, "0");
    // The hook of a pod that is asked twice: an answer to the same wish stays one.
    pod.redis(&["SET", ANSWER, "1"]).await?;
    assert!(pod.pre_stop().await?.status.success());
    assert_eq!(pod.redis(&["EXISTS", ANSWER]).await?, "1");
    Ok(())
}

#[tokio::test]
async fn a_primary_that_is_replaced_meanwhile_has_nothing_of_its_own_any_more() -> Result<()> {
    let (pod, other) = (pod().await?, pod().await?);
    // As a gateway that does not get on with it: there is somebody to wait for.
    let url = format!("redis://campanile:{}@127.0.0.1:{}", pod.password(), pod.port());
    let mut gateway = Client::open(url)?.get_async_pubsub().await?;
    gateway.subscribe(CONTROL).await?;
    let replaced = async {
        eventually("the hook has made its wish", MOVED, || async {
            pod.redis(&["EXISTS", WISH])
                .await
                .is_ok_and(|answer| answer == "1")
        })
        .await;
        pod.redis(&["REPLICAOF", "127.0.0.1", &other.port().to_string()])
            .await
    };
    let (hook, replaced) = tokio::join!(pod.pre_stop(), replaced);
    replaced?;
    assert!(hook?.status.success());
    assert_eq!(other.redis(&["EXISTS", WISH]).await?, "0");
    Ok(())
}

#[tokio::test]
async fn a_server_that_hangs_is_not_waited_for() -> Result<()> {
    let pod = pod().await?;
    pod.pause();
    assert!(pod.pre_stop().await?.status.success());
    Ok(())
}
