//! `kubectl scale statefulset campanile-shard campanile-shard-replica`, up and down.

use anyhow::Result;
use campanile_tests::wait::{SOON, eventually};
use campanile_tests::wire::{Handshake, Transport};
use serde_json::json;

use crate::hand::Hand;
use crate::load::{Load, Pace};
use crate::world::{PATIENCE, World, on_an_island};

const NEW: &str = "campanile-shard-3";

#[test]
fn both_sets_together_reshard_and_nobody_notices() -> Result<()> {
    on_an_island(async |names| {
        let (forget, gone) = (("FORGET_SECONDS", "3"), ("cluster.dns.gone_after", "2s"));
        // Nobody is to be taken for down because the machine is busy.
        let silent = ("DOWN_AFTER_MILLISECONDS", "600000");
        let mut world = World::start(names, &[forget, silent], &[gone]).await?;
        let endpoint = world.gateway.endpoint(Transport::WebSocket);
        let plain = Handshake {
            streams: 0,
            ..Handshake::default()
        };
        let watcher = Hand::start("watcher", &endpoint, plain, &world.channels).await?;
        let pace = Pace {
            rate: 100,
            keyed: true,
        };
        let load = Load::start(&[world.api()], &world.channels, pace);

        world.scale_up()?;
        world
            .shared_out("the new shard has its share", |shares| {
                shares.get(NEW).is_some_and(|share| *share > 0)
            })
            .await;
        world.watched_by_all(NEW).await;
        for pod in world.shards.iter().flatten() {
            for probe in ["readinessProbe", "livenessProbe"] {
                eventually(probe, SOON, || async {
                    pod.probe(probe).await.unwrap_or_default()
                })
                .await;
            }
        }

        world.scale_down().await?;
        world
            .shared_out("it is forgotten", |shares| {
                shares.len() == 3 && !shares.contains_key(NEW)
            })
            .await;
        let left: Vec<_> = (0..3).map(|number| format!("campanile-shard-{number}")).collect();
        for sentinel in &world.sentinels {
            eventually(
                "the Sentinels have forgotten it, and no other",
                PATIENCE,
                || async {
                    World::watched(sentinel)
                        .await
                        .is_ok_and(|watched| watched == left)
                },
            )
            .await;
        }

        let books = load.stop().await;
        eventually("the watcher has received everything", PATIENCE, || async {
            let numbers = watcher.numbers();
            books
                .accepted
                .iter()
                .all(|(channel, last)| numbers[channel.as_str()] == *last)
        })
        .await;
        let report = watcher.report();
        for trouble in ["disconnects", "unsubscribes"] {
            assert_eq!(report[trouble], 0, "{report}");
        }
        assert_eq!(report["wrong"], json!([]), "{report}");
        world.nobody_was_denied().await
    })
}
