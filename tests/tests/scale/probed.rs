//! A gateway's probes, from before it can serve until it ends.

use anyhow::{Context as _, Result};
use campanile_tests::gateway::{Gateway, GatewayConfig};
use campanile_tests::manifests::Manifests;
use campanile_tests::redis::{RedisOptions, RedisServer};
use campanile_tests::wait::{SOON, eventually};
use serde_json::json;

/// The status that the manifest's probe of a gateway gets.
async fn probe(gateway: &Gateway, probe: &str) -> Result<u16> {
    let manifests = Manifests::overlay("production")?;
    let container = manifests.workload("campanile-gateway")?.container()?.clone();
    let path = container[probe]["httpGet"]["path"].as_str().context("a path")?;
    Ok(gateway.get(path).await?.0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_is_alive_at_once_ready_with_a_topology_and_not_when_it_is_to_end() -> Result<()> {
    let durable = RedisOptions {
        append_only: Some("always"),
        ..RedisOptions::default()
    };
    let (mut store, shard) = (
        RedisServer::start_with(durable).await?,
        RedisServer::start().await?,
    );
    store.terminate().await?;
    let config = GatewayConfig::default()
        .set("engine.type", "redis")
        .set("shards", json!([{ "name": "a", "url": shard.url() }]))
        .set("cluster.store", store.url())
        .set("shutdown.delay", "60s")
        .set("shutdown.timeout", "120s");
    let gateway = Gateway::launch(&config).await?;
    assert_eq!(probe(&gateway, "startupProbe").await?, 200);
    assert_eq!(probe(&gateway, "livenessProbe").await?, 200);
    assert_eq!(probe(&gateway, "readinessProbe").await?, 503);

    store.restart().await?;
    eventually("the gateway is ready", 2 * SOON, || async {
        probe(&gateway, "readinessProbe")
            .await
            .is_ok_and(|status| status == 200)
    })
    .await;

    gateway.process().ask_to_end();
    eventually("it is not ready any more", SOON, || async {
        probe(&gateway, "readinessProbe")
            .await
            .is_ok_and(|status| status == 503)
    })
    .await;
    assert_eq!(
        probe(&gateway, "livenessProbe").await?,
        200,
        "nobody is to restart it"
    );
    Ok(())
}
