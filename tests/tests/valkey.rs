//! What is promised on Redis holds on Valkey: streams, recovery, and moves while publishing goes on, as the documented users.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use campanile_tests::api::Api;
use campanile_tests::gateway::{Gateway, GatewayConfig};
use campanile_tests::redis::{RedisOptions, RedisServer, valkey};
use campanile_tests::token;
use campanile_tests::users::{self, refusals, url};
use campanile_tests::wait::{SOON, eventually};
use campanile_tests::wire::{Transport, Wire};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

const SHARD_USER: &str = "campanile";
const STORE_USER: &str = "campanile-store";

/// Streams in different partitions.
const CHANNELS: [&str; 4] = ["stream:a", "stream:b", "stream:c", "stream:d"];

/// The last publication of each.
const END: &str = "end";

/// Between two rounds of publications.
const PACE: Duration = Duration::from_millis(10);

async fn server(user: &str) -> Result<RedisServer> {
    let options = RedisOptions {
        program: Some(valkey()?),
        append_only: Some("always").filter(|_| user == STORE_USER),
        ..RedisOptions::default()
    };
    let server = users::server(user, options).await?;
    let info: String = server.command(&["INFO", "server"]).await?;
    ensure!(info.contains("server_name:valkey"), "{info}");
    Ok(server)
}

fn config(shard: &RedisServer, store: &RedisServer) -> GatewayConfig {
    let stream = json!({
        "history_size": 100_000,
        "history_ttl": "300s",
        "presence": true,
        "force_recovery": true,
        "allow_subscribe_for_client": true,
    });
    GatewayConfig::default()
        .set(
            "shards",
            json!([{ "name": "one", "url": url(shard, SHARD_USER) }]),
        )
        .set("cluster.store", url(store, STORE_USER))
        .set("cluster.shards_managed_by", "api")
        .set("cluster.command_timeout", "5s")
        .set("cluster.publish_wait", "5s")
        .set("client.recovery_max_publication_limit", 100_000)
        .namespace("stream", &stream)
}

/// Publishes 1, 2, 3, … to each channel, each until it is accepted, and at the end of it the last: how many to each.
fn publish(api: Api, stop: watch::Receiver<bool>) -> JoinHandle<Result<u64>> {
    tokio::spawn(async move {
        let mut count = 0;
        while !*stop.borrow() {
            count += 1;
            publish_round(&api, &json!(count)).await?;
            tokio::time::sleep(PACE).await;
        }
        publish_round(&api, &json!(END)).await?;
        Ok(count)
    })
}

async fn publish_round(api: &Api, data: &Value) -> Result<()> {
    for channel in CHANNELS {
        let publication =
            json!({ "channel": channel, "data": data, "idempotency_key": format!("{channel} {data}") });
        eventually(format!("{publication} is accepted"), SOON, || async {
            api.try_call("publish", &publication)
                .await
                .is_ok_and(|it| it.is_ok())
        })
        .await;
    }
    Ok(())
}

/// Reads what comes of all channels to the end.
fn read(mut wire: Wire) -> JoinHandle<Result<BTreeMap<String, Vec<Value>>>> {
    tokio::spawn(async move {
        let mut seen = BTreeMap::<String, Vec<Value>>::new();
        let mut ended = 0;
        while ended < CHANNELS.len() {
            let (channel, publication) = wire.publication().await?;
            ended += usize::from(publication["data"] == END);
            seen.entry(channel).or_default().push(publication["data"].clone());
        }
        Ok(seen)
    })
}

/// Waits until nothing moves, and the first shard holds some of the partitions, or none.
async fn settled(gateway: &Gateway, holds: bool) {
    eventually(
        format!("the first shard holds some: {holds}"),
        8 * SOON,
        || async {
            gateway.ready().await.is_ok_and(|(ready, body)| {
                let (topology, shards) = (&body["topology"], &body["shards"]);
                let partitions = |name: &str| {
                    let mut found = shards.as_array().into_iter().flatten();
                    let shard = found.find(|shard| shard["name"] == name);
                    shard.and_then(|shard| shard["partitions"].as_u64())
                };
                ready
                    && topology["planned"] == 0
                    && topology["moving"] == 0
                    && partitions("two").is_some_and(|count| count > 0)
                    && partitions("one").is_some_and(|count| count > 0) == holds
            })
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_move_between_valkey_servers_while_they_are_published_to() -> Result<()> {
    let (one, two) = (server(SHARD_USER).await?, server(SHARD_USER).await?);
    let store = server(STORE_USER).await?;
    let gateway = Gateway::start(&config(&one, &store)).await?;
    let endpoint = || gateway.endpoint(Transport::WebSocket);
    let api = gateway.api();

    let mut leaving = Wire::connect(endpoint(), &token::connection("leaving")).await?;
    let left = leaving.subscribe(CHANNELS[0]).await?;
    drop(leaving);
    let mut reader = Wire::connect(endpoint(), &token::connection("reader")).await?;
    for channel in CHANNELS {
        reader.subscribe(channel).await?;
    }
    let stop = watch::Sender::new(false);
    let (reading, publishing) = (read(reader), publish(gateway.api(), stop.subscribe()));

    let added = json!({ "name": "two", "url": url(&two, SHARD_USER) });
    api.call("shards/add", &added).await?;
    settled(&gateway, true).await;
    api.call("shards/drain", &json!({ "name": "one" })).await?;
    settled(&gateway, false).await;
    stop.send_replace(true);
    let count = publishing.await??;

    let mut all: Vec<Value> = (1..=count).map(|number| json!(number)).collect();
    all.push(json!(END));
    let seen = reading.await??;
    for channel in CHANNELS {
        assert_eq!(api.history(channel).await?, all, "{channel}: kept, in order");
        assert_eq!(
            seen.get(channel),
            Some(&all),
            "{channel}: delivered, in order, once"
        );
    }
    let mut returning = Wire::connect(endpoint(), &token::connection("leaving")).await?;
    let epoch = left["epoch"].as_str().context("an epoch")?;
    let offset = left["offset"].as_u64().unwrap_or_default();
    let result = returning.recover(CHANNELS[0], offset, epoch).await?;
    assert_eq!(result["recovered"], true, "{result}");
    let missed = result["publications"].as_array().context("publications")?;
    assert!(missed.iter().map(|publication| &publication["data"]).eq(&all));
    assert!(!api.presence(CHANNELS[0]).await?.is_empty());
    for server in [&one, &two, &store] {
        assert_eq!(refusals(server).await?, Vec::<String>::new());
    }
    Ok(())
}
