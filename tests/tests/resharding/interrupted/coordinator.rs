//! The coordinator dies, sleeps, or cannot reach the store.

use std::time::Duration;

use anyhow::Result;
use campanile_tests::wait::eventually;

use super::step::Step;
use super::{SETTLED, Scene, is_stream};

/// Longer than a lease and a registration last (10 s), with what both are granted besides.
const EXPIRED: Duration = Duration::from_secs(25);

async fn killed_at(step: Step) -> Result<()> {
    let mut scene = Scene::start().await?;
    scene.stopped_at(step).await?;
    scene.world.cluster.gateways[0].process_mut().kill();
    scene.ends_unnoticed().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_when_a_move_is_announced() -> Result<()> {
    killed_at(Step::Announced).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_it_copies() -> Result<()> {
    killed_at(Step::Copying).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_after_the_seal() -> Result<()> {
    killed_at(Step::Sealed).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_before_the_commit() -> Result<()> {
    killed_at(Step::Opened).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sleeping_while_another_takes_over() -> Result<()> {
    let scene = Scene::start().await?;
    scene.stopped_at(Step::Copying).await?;
    eventually("another coordinates", SETTLED, || async {
        for gateway in &scene.world.cluster.gateways[1..] {
            let metrics = gateway.metrics().await;
            if metrics.is_ok_and(|it| it.count("campanile_coordinator_leading", &[]) == 1) {
                return true;
            }
        }
        false
    })
    .await;
    // It believes that it coordinates still, and has a copy in its hand.
    scene.world.cluster.gateways[0].process().resume();
    scene.ends_unnoticed().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_store() -> Result<()> {
    let scene = Scene::start().await?;
    scene.stopped_at(Step::Copying).await?;
    scene.world.cluster.store.pause();
    scene.world.cluster.gateways[0].process().resume();
    // The fault itself takes this long: leases and registrations are meant to expire.
    tokio::time::sleep(EXPIRED).await;
    scene.world.cluster.store.resume();
    scene.settles().await?;
    scene.world.settle(scene.load).await;
    // Every gateway finds itself off the list and joins anew: streams are healed, what else is missed is counted.
    let mut missed = 0;
    for watcher in &scene.world.watchers {
        let report = watcher.report().await?;
        let wrong = report.channels("wrong");
        assert!(
            !wrong.iter().any(|it| is_stream(it)),
            "{}: {report:?}",
            watcher.name
        );
        assert!(report.channels("lost").is_empty(), "{}: {report:?}", watcher.name);
        assert_eq!(report.count("disconnects"), 0, "{}: {report:?}", watcher.name);
        missed += wrong.len() as u64;
    }
    let mut counted = 0;
    for gateway in &scene.world.cluster.gateways {
        let metrics = gateway.metrics().await?;
        assert!(metrics.count("campanile_registrations_expired_total", &[]) > 0);
        counted += metrics.count("campanile_channels_interrupted_total", &[]);
    }
    assert!(missed <= counted, "{missed} of {counted}");
    Ok(())
}
