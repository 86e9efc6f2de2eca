//! A server whose memory is used up refuses what needs more, and nothing else breaks.

use anyhow::{Context as _, Result, ensure};
use campanile_tests::api::Api;
use campanile_tests::cluster::Cluster;
use campanile_tests::gateway::{Gateway, GatewayConfig};
use campanile_tests::redis::{RedisOptions, RedisServer};
use campanile_tests::token;
use campanile_tests::wait::{SOON, eventually, until};
use campanile_tests::wire::{Transport, Wire};
use serde_json::{Value, json};

/// Two shards, a gateway, and on each shard a channel with one publication.
async fn scene() -> Result<(Cluster, String, String)> {
    let room = json!({
        "history_size": 1000,
        "history_ttl": "300s",
        "presence": true,
        "force_recovery": true,
        "allow_subscribe_for_client": true,
    });
    let cluster = Cluster::builder()
        .shards(2)
        .gateways(1)
        .namespace("room", &room)
        .namespace("plain", &json!({ "allow_subscribe_for_client": true }))
        .set("cluster.shards_managed_by", "api")
        .set("client.presence_update_interval", "1s")
        .start()
        .await?;
    let channels = cluster.channels_on_each_shard("room:full", 1).await?;
    let [full, other] = [0, 1].map(|shard: usize| channels[shard][0].clone());
    Ok((cluster, full, other))
}

async fn subscriber(gateway: &Gateway, channel: &str) -> Result<(Wire, Value)> {
    let token = token::connection("reader");
    let mut wire = Wire::connect(gateway.endpoint(Transport::WebSocket), &token).await?;
    let subscribed = wire.subscribe(channel).await?;
    Ok((wire, subscribed))
}

/// Publishes until the server is full, then takes so much of its memory away that it stays so.
async fn fill(server: &RedisServer, api: &Api, channel: &str) -> Result<()> {
    let room = used_memory(server).await? + (1 << 20);
    server
        .command::<()>(&["CONFIG", "SET", "maxmemory", &room.to_string()])
        .await?;
    let params = json!({ "channel": channel, "data": "x".repeat(20_000) });
    for _ in 0..500 {
        if let Err(error) = api.try_call("publish", &params).await? {
            assert_eq!(error.code, 100, "{error:?}");
            let less = (used_memory(server).await? / 2).to_string();
            server
                .command::<()>(&["CONFIG", "SET", "maxmemory", &less])
                .await?;
            return Ok(());
        }
    }
    anyhow::bail!("ten megabytes fit into one")
}

async fn used_memory(server: &RedisServer) -> Result<u64> {
    let info: String = server.command(&["INFO", "memory"]).await?;
    let used = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
    Ok(used.context("used_memory")?.trim().parse()?)
}

async fn refused(api: &Api, channel: &str) -> Result<()> {
    let params = json!({ "channel": channel, "data": "one too many" });
    let error = api.try_call("publish", &params).await?.err();
    let error = error.context("a full server accepted a publication")?;
    ensure!(error.code == 100, "{error:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_shard_refuses_publications_and_everything_else_goes_on() -> Result<()> {
    let (cluster, full, other) = scene().await?;
    let (gateway, api) = (&cluster.gateways[0], cluster.gateways[0].api());
    let (_present, subscribed) = subscriber(gateway, &full).await?;
    let (mut elsewhere, _) = subscriber(gateway, &other).await?;
    let epoch = subscribed["epoch"].as_str().context("an epoch")?;
    fill(&cluster.shards[0], &api, &full).await?;
    refused(&api, &full).await?;

    // What was there is read, who was there stays, and what needs no memory goes through.
    let kept = api.history(&full).await?.len();
    ensure!(kept > 10, "{kept} publications are left");
    let token = token::connection("returning");
    let mut returning = Wire::connect(gateway.endpoint(Transport::WebSocket), &token).await?;
    let result = returning.recover(&full, u64::try_from(kept)? - 2, epoch).await?;
    ensure!(result["recovered"] == true, "{result}");
    drop(returning);
    let until = present_until(&cluster.shards[0], &full).await?;
    eventually("presence goes on being refreshed", SOON, || async {
        let now = present_until(&cluster.shards[0], &full).await;
        now.is_ok_and(|now| now > until)
    })
    .await;
    for number in 0..20 {
        api.publish(&format!("plain:{number}"), &json!("passing by"))
            .await?;
    }
    api.publish(&other, &json!("elsewhere")).await?;
    assert_eq!(elsewhere.publication().await?.1["data"], "elsewhere");
    refused(&api, &full).await?;
    let metrics = gateway.metrics().await?;
    let labels = [
        ("shard", "redis-1"),
        ("operation", "publish"),
        ("outcome", "refused"),
    ];
    assert!(metrics.count("campanile_shard_requests_total", &labels) >= 3);
    let log = gateway.process().log();
    assert!(log.contains("the server is full (maxmemory)"), "{log}");
    Ok(())
}

/// When whoever has been present for longest is so no more, unless it is said again that they are.
async fn present_until(server: &RedisServer, channel: &str) -> Result<u64> {
    let keys: Vec<String> = server.command(&["KEYS", &format!("*:expiry:{channel}")]).await?;
    let key = keys.first().context("nobody is present")?;
    let (_, time): (String, u64) = server.command(&["ZRANGE", key, "0", "0", "WITHSCORES"]).await?;
    Ok(time)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_shard_can_be_admitted_anew_and_emptied() -> Result<()> {
    let (cluster, full, _) = scene().await?;
    let (gateway, api) = (&cluster.gateways[0], cluster.gateways[0].api());
    let (reader, subscribed) = subscriber(gateway, &full).await?;
    drop(reader);
    let epoch = subscribed["epoch"].as_str().context("an epoch")?;
    fill(&cluster.shards[0], &api, &full).await?;
    let kept = api.history(&full).await?.len();

    // Without the note of its admission its data counts as another's.
    cluster.shards[0]
        .command::<i64>(&["DEL", "campanile:admitted"])
        .await?;
    let token = token::connection("returning");
    let result = until("the shard is admitted, full as it is", 4 * SOON, || async {
        let wire = Wire::connect(gateway.endpoint(Transport::WebSocket), &token);
        let result = wire
            .await
            .ok()?
            .recover(&full, u64::try_from(kept).ok()?, epoch)
            .await
            .ok()?;
        (result["epoch"] != epoch).then_some(result)
    })
    .await;
    assert_ne!(result["recovered"], true, "{result}");
    assert_eq!(api.history(&full).await?.len(), kept, "what it had is still read");
    refused(&api, &full).await?;

    api.call("shards/drain", &json!({ "name": "redis-1" })).await?;
    eventually("everything has moved away", 8 * SOON, || async {
        gateway.ready().await.is_ok_and(|(_, body)| {
            let (topology, shard) = (&body["topology"], &body["shards"][0]);
            topology["planned"] == 0 && topology["moving"] == 0 && shard["partitions"] == 0
        })
    })
    .await;
    api.publish(&full, &json!("at last")).await?;
    let history = api.history(&full).await?;
    assert_eq!(
        (history.len(), history.last()),
        (kept + 1, Some(&json!("at last")))
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policies_under_which_streams_would_be_lost_are_warned_of() -> Result<()> {
    let server = |policy: &str| {
        let extra = [("maxmemory", "100mb"), ("maxmemory-policy", policy)];
        RedisServer::start_with(RedisOptions {
            extra: extra
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            ..RedisOptions::default()
        })
    };
    let (bad, good) = (server("allkeys-lru").await?, server("noeviction").await?);
    let store = server("volatile-ttl").await?;
    let shards = json!([{ "name": "bad", "url": bad.url() }, { "name": "good", "url": good.url() }]);
    let config = GatewayConfig::default()
        .set("shards", shards)
        .set("cluster.store", store.url());
    let gateway = Gateway::start(&config).await?;
    let log = gateway.process().log();
    let warned = |words: &str| {
        log.lines()
            .any(|line| line.contains("WARN") && line.contains("maxmemory-policy") && line.contains(words))
    };
    assert!(warned("allkeys-lru") && warned("bad"), "{log}");
    assert!(warned("volatile-ttl") && warned("topology store"), "{log}");
    assert!(!warned("good"), "{log}");
    Ok(())
}
