//! The users that the documentation tells to make are enough, and what others lack is named.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result, ensure};
use campanile_tests::gateway::{Gateway, GatewayConfig};
use campanile_tests::redis::{RedisOptions, RedisServer};
use campanile_tests::sentinel::{Sentinels, Service};
use campanile_tests::token;
use campanile_tests::users::{self, OWNER, PASSWORD, refusals, url};
use campanile_tests::wait::{SOON, eventually};
use campanile_tests::wire::{Transport, Wire};
use serde_json::{Value, json};

/// A server that demands a password of everybody and knows the documented `user`.
async fn server(user: &str) -> Result<RedisServer> {
    users::server(user, RedisOptions::default()).await
}

fn config(shards: &Value, store: &str) -> GatewayConfig {
    let room = json!({
        "history_size": 10,
        "history_ttl": "300s",
        "presence": true,
        "join_leave": true,
        "force_recovery": true,
        "allow_subscribe_for_client": true,
        "allow_presence_for_client": true,
    });
    GatewayConfig::default()
        .set("shards", shards.clone())
        .set("cluster.store", store)
        .set("cluster.shards_managed_by", "api")
        .set("client.presence_update_interval", "1s")
        .namespace("room", &room)
}

/// Subscribes and publishes, reads history, position and presence, and removes the history.
async fn use_it(gateway: &Gateway, channel: &str) -> Result<()> {
    let token = token::connection("reader");
    let mut wire = Wire::connect(gateway.endpoint(Transport::WebSocket), &token).await?;
    let subscribed = wire.subscribe(channel).await?;
    let (api, params) = (gateway.api(), json!({ "channel": channel }));
    let once = rand::random::<u64>();
    let key = once.to_string();
    let publication =
        json!({ "channel": channel, "data": once, "idempotency_key": key, "version": version() });
    api.call("publish", &publication).await?;
    ensure!(wire.publication().await?.1["data"] == once);
    ensure!(api.history(channel).await?.last() == Some(&json!(once)));
    ensure!(!api.presence(channel).await?.is_empty());
    drop(wire);
    let mut wire = Wire::connect(gateway.endpoint(Transport::WebSocket), &token).await?;
    let epoch = subscribed["epoch"].as_str().context("an epoch")?;
    let offset = subscribed["offset"].as_u64().unwrap_or_default();
    let back = wire.recover(channel, offset, epoch).await?;
    ensure!(back["recovered"] == true, "{back}");
    drop(wire);
    eventually("nobody is present any more", SOON, || async {
        api.presence(channel)
            .await
            .is_ok_and(|clients| clients.is_empty())
    })
    .await;
    api.call("history_remove", &params).await?;
    Ok(())
}

/// Larger each time.
fn version() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documented_users_are_enough_for_everything() -> Result<()> {
    let (one, two) = (server("campanile").await?, server("campanile").await?);
    let store = server("campanile-store").await?;
    let shards = json!([{ "name": "one", "url": url(&one, "campanile") }]);
    let gateway = Gateway::start(&config(&shards, &url(&store, "campanile-store"))).await?;
    for number in 0..8 {
        use_it(&gateway, &format!("room:{number}")).await?;
        gateway
            .api()
            .publish(&format!("room:{number}"), &json!("kept"))
            .await?;
    }
    // Too large to be moved in one piece.
    for number in 0..10 {
        let data = json!("x".repeat(20_000 + number));
        gateway.api().publish("room:large", &data).await?;
    }
    let token = token::connection("reader");
    let mut wire = Wire::connect(gateway.endpoint(Transport::WebSocket), &token).await?;
    wire.subscribe("room:large").await?;

    // To the second shard and off the first, with all that they hold, and with a wish that was made at the server.
    let added = json!({ "name": "two", "url": url(&two, "campanile") });
    gateway.api().call("shards/add", &added).await?;
    eventually("half of it has moved", 8 * SOON, || async {
        has_moved(&gateway).await
    })
    .await;
    one.command::<()>(&["SET", "campanile:drain", "1"]).await?;
    eventually("the first shard is drained", 8 * SOON, || async {
        let drained = one.command::<Option<String>>(&["GET", "campanile:drained"]).await;
        drained.is_ok_and(|drained| drained.is_some())
    })
    .await;
    for number in 0..8 {
        let channel = format!("room:{number}");
        assert_eq!(gateway.api().history(&channel).await?, [json!("kept")]);
        use_it(&gateway, &channel).await?;
    }
    assert_eq!(gateway.api().history("room:large").await?.len(), 10);
    assert_eq!(gateway.api().presence("room:large").await?.len(), 1);
    let mut second = Gateway::start(&config(&shards, &url(&store, "campanile-store"))).await?;
    use_it(&second, "room:again").await?;
    second.process_mut().terminate(SOON).await?;
    for server in [&one, &two, &store] {
        assert_eq!(refusals(server).await?, Vec::<String>::new());
    }
    Ok(())
}

/// Whether nothing is planned and nothing moves.
async fn has_moved(gateway: &Gateway) -> bool {
    gateway.ready().await.is_ok_and(|(_, body)| {
        let topology = &body["topology"];
        topology["shards"] == 2 && topology["planned"] == 0 && topology["moving"] == 0
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documented_users_are_enough_behind_sentinel() -> Result<()> {
    let primary = server("campanile").await?;
    let store = server("campanile-store").await?;
    let services = [("shard", &primary), ("store", &store)].map(|(name, server)| Service {
        name,
        port: server.port(),
        password: OWNER,
        replicas: 0,
    });
    let sentinels = Sentinels::start(1, &services, "").await?;
    let watch = users::documented("campanile-watch")?;
    let watch: Vec<&str> = watch.iter().map(String::as_str).collect();
    sentinels.command_all(&watch).await?;
    let query = format!("sentinel_user=campanile-watch&sentinel_password={PASSWORD}");
    let at = |user: &str, service: &str| {
        format!(
            "redis+sentinel://{user}:{PASSWORD}@{}/{service}?{query}",
            sentinels.hosts()
        )
    };
    let shards = json!([{ "name": "one", "url": at("campanile", "shard") }]);
    let gateway = Gateway::start(&config(&shards, &at("campanile-store", "store"))).await?;
    use_it(&gateway, "room:1").await?;
    for server in [&primary, &store] {
        assert_eq!(refusals(server).await?, Vec::<String>::new());
    }
    let log: Vec<::redis::Value> = sentinels.command(&["ACL", "LOG"]).await?;
    assert!(log.is_empty(), "{log:?}");
    for place in [gateway.process().log(), gateway.ready().await?.1.to_string()] {
        assert!(
            !place.contains(PASSWORD),
            "the password is told to nobody: {place}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_permission_that_is_missing_is_named_at_the_start_and_later() -> Result<()> {
    let (shard, store) = (server("campanile").await?, RedisServer::start().await?);
    let set = |rule: &'static str| {
        let shard = &shard;
        async move { shard.command::<()>(&["ACL", "SETUSER", "campanile", rule]).await }
    };
    // One of them only a coordinator needs: it stands in the way of admitting the shard.
    for rule in ["-hincrby", "-restore"] {
        set(rule).await?;
    }
    let shards = json!([{ "name": "one", "url": url(&shard, "campanile") }]);
    let gateway = Gateway::launch(&config(&shards, &store.url())).await?;
    says(&gateway, "may not run RESTORE").await;
    set("+restore").await?;
    says(&gateway, "may not run HINCRBY").await;
    set("+hincrby").await?;
    use_until_it_works(&gateway).await;
    let log = gateway.process().log();
    assert!(
        log.contains("may not run HINCRBY") && log.contains("may not run RESTORE"),
        "{log}"
    );

    // One that a script calls, one that is sent by itself, and the keys.
    for (rule, undo, words) in [
        ("-xadd", "+xadd", "may not run XADD"),
        ("-evalsha", "+evalsha", "'evalsha'"),
        ("resetkeys", "~campanile:*", "permissions to access"),
    ] {
        set(rule).await?;
        let params = json!({ "channel": "room:1", "data": 1 });
        eventually(format!("{rule} is noticed"), SOON, || async {
            gateway
                .api()
                .try_call("publish", &params)
                .await
                .is_ok_and(|it| it.is_err())
        })
        .await;
        says(&gateway, words).await;
        set(undo).await?;
        use_until_it_works(&gateway).await;
    }
    Ok(())
}

/// Waits until `/ready` has these words.
async fn says(gateway: &Gateway, words: &str) {
    eventually(format!("/ready says {words}"), SOON, || async {
        let ready = gateway.ready().await;
        ready.is_ok_and(|(_, body)| body.to_string().contains(words))
    })
    .await;
}

async fn use_until_it_works(gateway: &Gateway) {
    eventually("it works as soon as it is permitted", SOON, || async {
        use_it(gateway, "room:1").await.is_ok()
    })
    .await;
}
