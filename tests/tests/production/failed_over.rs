//! Primaries that fail, Sentinels that lose what they knew, and everything that restarts at once.

use anyhow::Result;
use campanile_tests::wait::eventually;
use serde_json::json;

use crate::load::{Load, Pace};
use crate::world::{PATIENCE, World, on_an_island};

/// The one that fails over. It is the last, so that scaling down is about it.
const SHARD: &str = "campanile-shard-2";
const FIRST: &str = "campanile-shard-2.campanile-shards";
const SECOND: &str = "campanile-shard-replica-2.campanile-shards";

/// Longer than in the manifests, so that nobody is taken for down because the machine is busy.
const DOWN_AFTER: (&str, &str) = ("DOWN_AFTER_MILLISECONDS", "15000");

#[test]
fn the_replica_takes_over_and_still_has_over_when_everything_restarts() -> Result<()> {
    on_an_island(async |names| {
        let mut world = World::start(names, &[DOWN_AFTER], &[("cluster.dns.gone_after", "2s")]).await?;
        for number in 0..3 {
            world.watched_by_all(&format!("campanile-shard-{number}")).await;
        }

        publishing_goes_on_without_the_primary(&mut world).await?;
        a_sentinel_that_lost_its_volume_learns_everything_again(&mut world).await?;
        world.nobody_was_denied().await?;
        everything_restarts(&mut world).await?;
        the_shard_leaves_with_its_second_as_primary(&mut world).await?;
        world.nobody_was_denied().await
    })
}

async fn publishing_goes_on_without_the_primary(world: &mut World) -> Result<()> {
    let pace = Pace {
        rate: 100,
        keyed: true,
    };
    let load = Load::start(&[world.api()], &world.channels, pace);
    eventually("every channel is published to", PATIENCE, || async {
        load.books().accepted.len() == world.channels.len()
    })
    .await;
    world.shards[0][2].kill()?;
    world.list()?;
    world.led_by(SHARD, SECOND).await;
    let before = load.books().accepted;
    eventually("every channel is published to once more", PATIENCE, || async {
        let now = load.books().accepted;
        world.channels.iter().all(|it| now.get(it) > before.get(it))
    })
    .await;
    load.stop().await;
    // Whoever was primary comes back at another address.
    let address = world.next_address();
    world.shards[0][2].start(address)?;
    world.list()?;
    world.watched_by_all(SHARD).await;
    world.led_by(SHARD, SECOND).await;
    Ok(())
}

async fn a_sentinel_that_lost_its_volume_learns_everything_again(world: &mut World) -> Result<()> {
    let address = world.next_address();
    world.sentinels[1].kill()?;
    world.sentinels[1].lose_volume()?;
    world.sentinels[1].start(address)?;
    for number in 0..3 {
        world.watched_by_all(&format!("campanile-shard-{number}")).await;
    }
    world.led_by(SHARD, SECOND).await;
    Ok(())
}

/// The first of the two lacks the last word, so that it would be lost if the first came back as primary.
async fn everything_restarts(world: &mut World) -> Result<()> {
    world.shards[0][2].terminate().await?;
    let words: Vec<_> = world
        .channels
        .iter()
        .filter(|it| it.starts_with("stream:"))
        .cloned()
        .collect();
    for channel in &words {
        eventually("a last word is accepted", PATIENCE, || async {
            world
                .api()
                .publish(channel, &json!("the last word"))
                .await
                .is_ok()
        })
        .await;
    }
    for pod in &mut world.sentinels {
        pod.terminate().await?;
    }
    for pod in world.shards.iter_mut().flatten() {
        if pod.is_there() {
            pod.terminate().await?;
        }
    }
    world.list()?;
    // Those that know come last.
    for set in 0..2 {
        for number in 0..3 {
            let address = world.next_address();
            world.shards[set][number].start(address)?;
        }
    }
    world.list()?;
    for number in 0..3 {
        let address = world.next_address();
        world.sentinels[number].start(address)?;
    }
    for number in 0..3 {
        world.watched_by_all(&format!("campanile-shard-{number}")).await;
    }
    world.led_by(SHARD, SECOND).await;
    for channel in &words {
        assert_eq!(world.last_word(channel).await, "the last word", "{channel}");
    }
    Ok(())
}

async fn the_shard_leaves_with_its_second_as_primary(world: &mut World) -> Result<()> {
    world
        .shared_out("the shard has its share", |shares| {
            shares.get(SHARD).is_some_and(|share| *share > 0)
        })
        .await;
    assert!(world.shards[0][2].is_replica().await?, "{FIRST} follows {SECOND}");
    world.scale_down().await?;
    world
        .shared_out("it is forgotten", |shares| shares.len() == 2)
        .await;
    Ok(())
}
