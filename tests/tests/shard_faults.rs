//! One shard's trouble closes no connection and fails no channel that lives elsewhere, and ends by itself.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use campanile_tests::api::Api;
use campanile_tests::cluster::Cluster;
use campanile_tests::gateway::Gateway;
use campanile_tests::puppet::{Puppet, Sdk};
use campanile_tests::redis::RedisOptions;
use campanile_tests::token;
use campanile_tests::wait::{SOON, eventually};
use serde_json::{Value, json};

/// What a publication to a shard in trouble may take before its publisher is told: the configured second for the shard's
/// answer, the configured second in which another try may still succeed, and a busy machine's share.
const REFUSED_WITHIN: Duration = Duration::from_secs(4);

/// What most publications to healthy shards take at most while another is in trouble: less than any timeout, which all would
/// take that waited for that one.
const UNAFFECTED_WITHIN: Duration = Duration::from_millis(800);

/// Three shards, two gateways, and on each gateway one client subscribed to one channel of each shard.
struct Scene {
    cluster: Cluster,
    clients: Vec<Puppet>,
    /// By the index of their shard.
    channels: Vec<String>,
    /// What was published to each channel since the clients subscribed.
    published: Vec<Vec<Value>>,
}

/// A machine that stands still for a moment makes one of them slow, and waiting for a timeout all.
fn assert_unaffected(took: &[Duration]) {
    let slow = took.iter().filter(|it| **it >= UNAFFECTED_WITHIN).count();
    assert!(
        2 * slow < took.len(),
        "publishing to healthy shards took {took:?}"
    );
}

impl Scene {
    async fn start(options: RedisOptions, settings: Value) -> Result<Self> {
        let stream = json!({
            "history_size": 1000,
            "history_ttl": "300s",
            "force_recovery": true,
            "presence": true,
            "allow_subscribe_for_client": true,
            "allow_publish_for_client": true,
        });
        let mut builder = Cluster::builder()
            .gateways(2)
            .namespace("stream", &stream)
            .set("cluster.command_timeout", "1s")
            .set("cluster.publish_wait", "1s")
            // However long it takes to look at a shard that is down, it is not given up.
            .set("cluster.evict_after", "10m");
        for _ in 0..3 {
            builder = builder.shard(options.clone(), settings.clone());
        }
        let cluster = builder.start().await?;
        let found = cluster.channels_on_each_shard("stream:fault", 1).await?;
        let channels: Vec<String> = found.into_iter().flatten().collect();
        let mut clients = Vec::new();
        for (gateway, sdk) in cluster.gateways.iter().zip([Sdk::JsJson, Sdk::PythonProtobuf]) {
            let client = Puppet::start(sdk)?;
            client
                .connect(&gateway.websocket_url(), &token::connection("reader"))
                .await?;
            for channel in &channels {
                client.subscribe(channel).await?;
            }
            clients.push(client);
        }
        let published = vec![Vec::new(); channels.len()];
        Ok(Self {
            cluster,
            clients,
            channels,
            published,
        })
    }

    fn api(&self) -> Api {
        self.cluster.gateways[1].api()
    }

    /// Publishes something new to the channel of `shard`, waits until every client has it, and says how long publishing took.
    ///
    /// With a key, so that a gateway whose connection to the shard breaks under it tries again.
    async fn publish_and_see(&mut self, shard: usize) -> Result<Duration> {
        let data = json!(self.published[shard].len());
        let channel = &self.channels[shard];
        let params =
            json!({ "channel": channel, "data": data, "idempotency_key": format!("{shard}-{data}") });
        let start = Instant::now();
        self.api().call("publish", &params).await?;
        let took = start.elapsed();
        self.published[shard].push(data);
        for client in &self.clients {
            eventually(
                &format!("a client sees what is published to shard {shard}"),
                SOON,
                || async { client.received(channel) == self.published[shard] },
            )
            .await;
        }
        Ok(took)
    }

    /// The others do not notice, and those who need the shard are told.
    async fn check_while_down(&mut self, down: usize) -> Result<()> {
        let name = format!("redis-{}", down + 1);
        let mut took = Vec::new();
        for _ in 0..5 {
            for shard in (0..3).filter(|shard| *shard != down) {
                took.push(self.publish_and_see(shard).await?);
            }
            for gateway in &self.cluster.gateways {
                self.check_refused(gateway, down).await?;
            }
        }
        assert_unaffected(&took);
        for gateway in &self.cluster.gateways {
            eventually(&format!("/ready names {name}"), SOON, || async {
                gateway
                    .ready()
                    .await
                    .is_ok_and(|(ready, body)| !ready && body.to_string().contains(&name))
            })
            .await;
            for path in ["/health", "/live"] {
                assert_eq!(gateway.get(path).await?.0, 200, "the process lives");
            }
            assert_eq!(
                gateway.get("/ready").await?.0,
                200,
                "no other gateway would do better"
            );
        }
        for client in &self.clients {
            let refused =
                client.try_call(json!({ "do": "publish", "channel": self.channels[down], "data": "lost" }));
            assert_eq!(refused.await?.map_err(|error| error.code), Err(100));
        }
        self.check_connections();
        Ok(())
    }

    async fn check_refused(&self, gateway: &Gateway, down: usize) -> Result<()> {
        let start = Instant::now();
        let params = json!({ "channel": self.channels[down], "data": "lost" });
        let error = gateway
            .api()
            .try_call("publish", &params)
            .await?
            .err()
            .context("it was accepted")?;
        assert_eq!(error.code, 100, "{error:?}");
        assert!(
            start.elapsed() < REFUSED_WITHIN,
            "refused after {:?}",
            start.elapsed()
        );
        Ok(())
    }

    /// Everybody is ready and publishes again, without being told anything.
    async fn wait_until_healthy(&mut self, down: usize) {
        for gateway in &mut self.cluster.gateways {
            gateway.wait_until_ready().await;
        }
        eventually("publications to the shard are accepted again", SOON, || async {
            let params = json!({ "channel": "stream:fault-other", "data": {} });
            let other = self.api().try_call("publish", &params).await;
            let probe = json!({ "channel": self.channels[down], "limit": 0 });
            other.is_ok() && matches!(self.api().try_call("history", &probe).await, Ok(Ok(_)))
        })
        .await;
    }

    /// No client was ever disconnected.
    fn check_connections(&self) {
        for client in &self.clients {
            assert_eq!(client.events_of("connected").len(), 1);
            assert_eq!(client.events_of("connecting").len(), 1);
            assert_eq!(client.events_of("disconnected").len(), 0);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_shard_is_borne_and_goes_on_where_it_was() -> Result<()> {
    let mut scene = Scene::start(RedisOptions::default(), json!({})).await?;
    for shard in 0..3 {
        scene.publish_and_see(shard).await?;
    }
    scene.cluster.shards[1].pause();
    scene.check_while_down(1).await?;
    scene.cluster.shards[1].resume();
    scene.wait_until_healthy(1).await;
    // What was refused while the server slept may have been carried out when it woke: the publishers were told of a
    // temporary error, not of a failure. So the stream, which is what there is, says what the clients are to have.
    scene.published[1] = scene.api().history(&scene.channels[1]).await?.split_off(1);
    for shard in 0..3 {
        scene.publish_and_see(shard).await?;
    }
    scene.check_connections();
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_shard_that_comes_back_empty_is_used_again_and_its_subscribers_are_told() -> Result<()> {
    let mut scene = Scene::start(RedisOptions::default(), json!({})).await?;
    for shard in 0..3 {
        scene.publish_and_see(shard).await?;
    }
    scene.cluster.shards[1].kill();
    scene.check_while_down(1).await?;
    scene.cluster.shards[1].restart().await?;
    scene.wait_until_healthy(1).await;
    for client in &scene.clients {
        // The SDK subscribes again by itself, from its position, and learns the truth, once.
        let lost = client
            .event("subscribed", |it| {
                it["channel"] == scene.channels[1] && it["was_recovering"] == true
            })
            .await;
        assert_eq!(lost["recovered"], false, "{lost}");
    }
    for shard in 0..3 {
        scene.publish_and_see(shard).await?;
    }
    for client in &scene.clients {
        for channel in &scene.channels {
            let times = client
                .events_of("subscribed")
                .iter()
                .filter(|it| it["channel"] == **channel)
                .count();
            assert_eq!(
                times,
                if *channel == scene.channels[1] { 2 } else { 1 },
                "{channel}"
            );
        }
    }
    scene.check_connections();
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_durable_shard_that_is_restarted_loses_nothing() -> Result<()> {
    let options = RedisOptions {
        append_only: Some("always"),
        ..RedisOptions::default()
    };
    let mut scene = Scene::start(options, json!({ "durable": true })).await?;
    for shard in 0..3 {
        scene.publish_and_see(shard).await?;
    }
    scene.cluster.shards[1].kill();
    scene.check_while_down(1).await?;
    scene.cluster.shards[1].restart().await?;
    scene.wait_until_healthy(1).await;
    for shard in 0..3 {
        scene.publish_and_see(shard).await?;
    }
    for client in &scene.clients {
        let lost = client
            .events_of("subscribed")
            .into_iter()
            .filter(|it| it["was_recovering"] == true);
        for event in lost {
            assert_eq!(event["recovered"], true, "{event}");
        }
    }
    scene.check_connections();
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_starts_while_a_shard_is_down_serves_the_rest() -> Result<()> {
    let mut scene = Scene::start(RedisOptions::default(), json!({})).await?;
    scene.cluster.shards[1].kill();
    let mut late = scene.cluster.launch_gateway().await?;
    let client = Puppet::start(Sdk::JsProtobuf)?;
    client
        .connect(&late.websocket_url(), &token::connection("late"))
        .await?;
    for shard in [0, 2] {
        let channel = &scene.channels[shard];
        eventually("the late gateway publishes", SOON, || async {
            matches!(
                late.api()
                    .try_call("publish", &json!({ "channel": channel, "data": 1 }))
                    .await,
                Ok(Ok(_))
            )
        })
        .await;
        client.subscribe(channel).await?;
        scene.api().publish(channel, &json!("from afar")).await?;
        client
            .event("publication", |it| {
                it["channel"] == **channel && it["data"] == "from afar"
            })
            .await;
    }
    let (ready, body) = late.ready().await?;
    assert!(!ready && body.to_string().contains("redis-2"), "{body}");
    scene.check_refused(&late, 1).await?;

    scene.cluster.shards[1].restart().await?;
    late.wait_until_ready().await;
    eventually(
        "the late gateway publishes to the shard that came back",
        SOON,
        || async {
            let params = json!({ "channel": scene.channels[1], "data": 1 });
            matches!(late.api().try_call("publish", &params).await, Ok(Ok(_)))
        },
    )
    .await;
    client.subscribe(&scene.channels[1]).await?;
    scene
        .api()
        .publish(&scene.channels[1], &json!("and again"))
        .await?;
    client.event("publication", |it| it["data"] == "and again").await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_topology_store_everything_goes_on() -> Result<()> {
    let mut scene = Scene::start(RedisOptions::default(), json!({})).await?;
    scene.cluster.store.kill();
    // Longer than a registration lasts, so that each gateway finds itself expired.
    let end = Instant::now() + Duration::from_secs(12);
    let mut took = Vec::new();
    while Instant::now() < end {
        for shard in 0..3 {
            took.push(scene.publish_and_see(shard).await?);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert_unaffected(&took);
    scene.cluster.store.restart().await?;
    for shard in 0..3 {
        scene.publish_and_see(shard).await?;
    }
    scene.wait_until_healthy(0).await;
    scene.check_connections();
    Ok(())
}
