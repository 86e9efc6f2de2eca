//! Gateways are replaced, or sleep through it all.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Result;
use campanile_tests::wait::eventually;
use tokio::time::{Instant, sleep_until};

use super::{ADDED, EACH, INSISTENT, SETTLED, Scene, is_stream, streams_of, were_made};
use crate::load::Load;
use crate::world::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_one_is_replaced() -> Result<()> {
    let mut scene = Scene::start().await?;
    for index in 0..3 {
        scene.world.replace_gateway(index).await?;
    }
    scene.settles().await?;
    scene.world.settle(scene.load).await;
    for watcher in &scene.world.watchers {
        let report = watcher.report().await?;
        // What has no stream is counted anew after each reconnect; the rest was recovered.
        assert!(
            report.channels("wrong").is_empty(),
            "{}: {report:?}",
            watcher.name
        );
        assert!(report.channels("lost").is_empty(), "{}: {report:?}", watcher.name);
        let recovered = report.channels("recovered");
        assert_eq!(recovered, streams_of(watcher), "{}: {report:?}", watcher.name);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_with_clients_sleeps_through_the_moves() -> Result<()> {
    const SLEEPER: usize = 2;
    let world = World::start(World::cluster(3), EACH).await?;
    assert_eq!(world.leader().await, 0, "whoever comes first coordinates");
    let load = Load::start(&world.apis()[..SLEEPER], &world.channels(), INSISTENT);
    world.round(&load).await;
    let sleeper = &world.cluster.gateways[SLEEPER];
    sleeper.process().pause();
    // The fault itself takes this long, or longer: the moves wait until its registration has expired.
    let awake = Instant::now() + Duration::from_secs(30);
    let (_spare, fourth) = world.spare(ADDED).await?;
    world.ask("add", fourth).await?;
    world.moved().await;
    were_made(&world).await?;
    world.round(&load).await;

    sleep_until(awake).await;
    sleeper.process().resume();
    eventually("it joins anew", SETTLED, || async {
        let metrics = sleeper.metrics().await;
        metrics.is_ok_and(|it| it.count("campanile_registrations_expired_total", &[]) > 0)
    })
    .await;
    world.round(&load).await;
    world.settle(load).await;
    for (index, watcher) in world.watchers.iter().enumerate() {
        let report = watcher.report().await?;
        if index == SLEEPER {
            // Its streams were healed, or recovered by clients that no longer believed in it; the rest is a counted loss.
            let wrong: BTreeSet<String> = report.channels("wrong");
            assert!(
                !wrong.iter().any(|it| is_stream(it)),
                "{}: {report:?}",
                watcher.name
            );
            assert!(report.channels("lost").is_empty(), "{}: {report:?}", watcher.name);
        } else {
            assert!(report.is_spotless(), "{}: {report:?}", watcher.name);
        }
    }
    Ok(())
}
