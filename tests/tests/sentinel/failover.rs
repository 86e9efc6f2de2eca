//! Failovers under load.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use campanile_tests::gateway::Gateway;
use campanile_tests::redis::RedisServer;
use campanile_tests::sentinel::{DOWN_AFTER, PATIENCE, Sentinels};
use campanile_tests::token;
use campanile_tests::wait::{eventually, until};
use campanile_tests::wire::{Transport, Wire};
use serde_json::json;
use tokio::time::timeout;

use super::load::{Accepted, Publisher, Returning};
use super::{PASSWORD, Pair, config};

/// After Sentinel's decision, service is back within this.
const BACK_WITHIN: Duration = Duration::from_secs(2);

/// A channel whose stream lies on the server at `port`, behind this gateway.
async fn channel_on(server: &RedisServer, gateway: &Gateway) -> Result<String> {
    for number in 0..200 {
        let channel = format!("stream:{number}");
        gateway.api().publish(&channel, &json!(0)).await?;
        let found: Vec<String> = server.command(&["KEYS", &format!("*:stream:{channel}")]).await?;
        if !found.is_empty() {
            return Ok(channel);
        }
    }
    anyhow::bail!("none of 200 channels lies there")
}

/// Comes back with a position: whether it is told to have everything. It comes again if it is told that the shard is in
/// trouble: this gateway may not have found it again yet.
async fn recovers(gateway: &Gateway, channel: &str, (epoch, offset): &(String, u64)) -> Result<bool> {
    let token = token::connection("reader");
    let endpoint = gateway.endpoint(Transport::WebSocket);
    let result = until("whoever comes back is answered", PATIENCE, || async {
        let mut wire = Wire::connect(endpoint.clone(), &token).await.ok()?;
        wire.recover(channel, *offset, epoch).await.ok()
    })
    .await;
    assert_eq!(result["was_recovering"], true, "{result}");
    Ok(result["recovered"] == true)
}

/// How often a shard was given up.
async fn evictions(gateways: &[Gateway]) -> Result<u64> {
    let mut evictions = 0;
    for gateway in gateways {
        let metrics = gateway.metrics().await?;
        evictions += metrics.count("campanile_shard_evictions_total", &[]);
    }
    Ok(evictions)
}

/// Waits until the promoted server accepts publications, and says how long that was after the decision.
#[expect(clippy::print_stdout, reason = "a figure for whoever runs the test")]
async fn back_after(publisher: &Publisher, before: &Accepted, decided: Instant, what: &str) -> Duration {
    publisher.begins_anew(before).await;
    let took = decided.elapsed();
    println!("{what}: publications accepted {took:?} after Sentinel's decision");
    took
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_under_load_to_a_replica_that_lags_is_told_as_it_is() -> Result<()> {
    let mut pair = Pair::start().await?;
    let (other, store) = (RedisServer::start().await?, RedisServer::start().await?);
    let sentinels = Sentinels::start(3, &[pair.service("shard")], "").await?;
    let shards = json!([
        { "name": "watched", "url": sentinels.url("shard", PASSWORD) },
        { "name": "other", "url": other.url() },
    ]);
    let config = config(&shards, &store.url());
    let gateways = [Gateway::start(&config).await?, Gateway::start(&config).await?];
    let watched = channel_on(&pair.primary, &gateways[0]).await?;
    let unaffected = channel_on(&other, &gateways[0]).await?;
    let publisher = Publisher::start(gateways[0].api(), &watched);
    let elsewhere = Publisher::start(gateways[1].api(), &unaffected);
    let returning = Returning::start(&gateways[1], &watched);
    let endpoint = gateways[1].endpoint(Transport::WebSocket);
    let mut live = Wire::connect(endpoint, &token::connection("live")).await?;
    live.subscribe(&watched).await?;
    publisher.goes_on(20).await;

    let switch = sentinels.switch("shard").await?;
    pair.let_lag().await?;
    publisher.goes_on(20).await;
    let before = publisher.accepted();
    pair.primary.kill();
    sentinels.give_up_after("shard", DOWN_AFTER).await?;
    let decided = timeout(PATIENCE, switch).await??;
    let took = back_after(&publisher, &before, decided, "a killed primary").await;
    // A machine that is starved makes others slow as well, who have nothing to do with the failover.
    let allowed = BACK_WITHIN + 10 * elsewhere.slowest();
    assert!(took < allowed, "{took:?}; {allowed:?} were allowed");
    publisher.goes_on(20).await;

    // Whoever was there is told to come back, once, and learns what it has missed: it is not told.
    let told = loop {
        let push = live.push_within(PATIENCE).await?;
        if let Some(told) = push.get("unsubscribe") {
            break told.clone();
        }
    };
    assert_eq!(told["code"], 2500, "{told}");
    let (_, last) = before
        .last_key_value()
        .map(|(key, _)| key.clone())
        .context("something accepted")?;
    let epoch = before
        .keys()
        .next()
        .map(|(epoch, _)| epoch.clone())
        .context("an epoch")?;
    for offset in [1, last / 2, last] {
        let position = (epoch.clone(), offset);
        assert!(
            !recovers(&gateways[0], &watched, &position).await?,
            "{position:?}"
        );
        assert!(
            !recovers(&gateways[1], &watched, &position).await?,
            "{position:?}"
        );
    }
    let (accepted, refused) = publisher.end().await?;
    let told = returning.end().await?;
    let (_, failed) = elsewhere.end().await?;
    assert!(refused > 0, "publishers are told while there is no primary");
    assert_eq!(failed, 0, "nobody else notices");
    told.check(&accepted);

    let kept = gateways[0].api().history(&watched).await?;
    let lost = before
        .values()
        .filter(|number| !kept.contains(&json!(number)))
        .count();
    assert!(lost > 0, "the replica lagged");
    let of_later: Vec<_> = accepted.iter().filter(|((of, _), _)| *of != epoch).collect();
    assert!(
        of_later.iter().all(|(_, number)| kept.contains(&json!(number))),
        "what came later is there"
    );
    let (since, _) = of_later.first().context("something was accepted later")?;
    assert!(
        recovers(&gateways[1], &watched, since).await?,
        "positions of the new epoch count"
    );
    assert_eq!(
        evictions(&gateways).await?,
        0,
        "a failover is no reason to give a shard up"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_lives_on_as_a_replica_is_left_and_the_store_follows_too() -> Result<()> {
    let (shard, store) = (Pair::start().await?, Pair::start().await?);
    let services = [shard.service("shard"), store.service("store")];
    let sentinels = Sentinels::start(3, &services, "").await?;
    let shards = json!([{ "name": "one", "url": sentinels.url("shard", PASSWORD) }]);
    let config = config(&shards, &sentinels.url("store", PASSWORD));
    let mut gateway = Gateway::start(&config).await?;
    let publisher = Publisher::start(gateway.api(), "stream:news");
    publisher.goes_on(5).await;
    let before = publisher.accepted();

    let switch = sentinels.switch("shard").await?;
    sentinels
        .command::<()>(&["SENTINEL", "FAILOVER", "shard"])
        .await?;
    let decided = timeout(PATIENCE, switch).await??;
    back_after(&publisher, &before, decided, "a demoted primary").await;
    assert_eq!(sentinels.primary("shard").await?, shard.replica.port());
    gateway.wait_until_ready().await;

    let switch = sentinels.switch("store").await?;
    sentinels
        .command::<()>(&["SENTINEL", "FAILOVER", "store"])
        .await?;
    timeout(PATIENCE, switch).await??;
    eventually("the topology is changed at the other store", PATIENCE, || async {
        let heavier = json!({ "name": "one", "weight": 2 });
        gateway
            .api()
            .try_call("shards/weight", &heavier)
            .await
            .is_ok_and(|it| it.is_ok())
    })
    .await;
    eventually(
        "the promoted store has what the gateway goes by",
        PATIENCE,
        || async {
            let words = ["HGET", "campanile:topology", "generation"];
            let stored: Result<u64> = store.replica.command(&words).await;
            let applied = gateway.ready().await.map(|(_, body)| body["generation"].as_u64());
            matches!((stored, applied), (Ok(stored), Ok(Some(applied))) if stored == applied)
        },
    )
    .await;
    let second = Gateway::start(&config).await?;
    second
        .api()
        .publish("stream:news", &json!("from another"))
        .await?;
    publisher.goes_on(20).await;
    let (accepted, _) = publisher.end().await?;
    let kept = gateway.api().history("stream:news").await?;
    let (latest, _) = accepted
        .iter()
        .max_by_key(|(_, number)| **number)
        .context("something")?;
    let of_latest: Vec<_> = accepted
        .iter()
        .filter(|((epoch, _), _)| *epoch == latest.0)
        .collect();
    assert!(of_latest.iter().all(|(_, number)| kept.contains(&json!(number))));
    assert_eq!(evictions(std::slice::from_ref(&gateway)).await?, 0);
    Ok(())
}
