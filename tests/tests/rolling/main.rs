//! All gateways are replaced one after the other while thousands of clients listen: nobody misses anything, nobody is sent away but
//! by the gateway that ends, and that one sends its clients away a few at a time.
//!
//! It is done as the manifests have it: a new gateway first; a gateway gets clients while its readiness probe succeeds; it ends
//! within the time that it is given.

mod crowd;
mod fleet;
mod load;
mod pod;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use campanile_benches::limits::{check_open_files, raise_open_files};
use campanile_tests::cluster::Cluster;
use campanile_tests::gateway::Gateway;
use campanile_tests::wait::eventually;
use serde_json::{Value, json};

use crowd::Crowd;
use fleet::Fleet;
use load::Load;
use pod::Pod;

/// Clients, each on one of the channels. One in ten comes over QUIC.
const CLIENTS: usize = 2000;

/// Channels.
const CHANNELS: usize = 20;

/// Gateways, each of which is replaced.
const GATEWAYS: usize = 3;

/// Over how long a gateway tells its clients to go, in milliseconds.
const SPREAD: usize = 2000;

/// How far apart the batches are in which it does so, in milliseconds.
const APART: usize = 20;

/// Long enough for thousands of clients to do what they do, on a machine that is busy otherwise.
const PATIENCE: Duration = Duration::from_secs(120);

async fn cluster() -> Result<Cluster> {
    let room = json!({
        "history_size": 1000,
        "history_ttl": "600s",
        "force_recovery": true,
        "allow_subscribe_for_client": true,
    });
    Cluster::builder()
        .shards(2)
        .gateways(GATEWAYS)
        .namespace("room", &room)
        .set("shutdown.delay", "1s")
        .set("shutdown.spread", format!("{SPREAD}ms"))
        .set("shutdown.timeout", "60s")
        // However slow the machine is, nobody is taken for dead.
        .set("client.ping_interval", "300s")
        .set("client.pong_timeout", "200s")
        .set("client.stale_close_delay", "60s")
        .set("websocket.write_timeout", "60s")
        .set("cluster.command_timeout", "10s")
        .set("cluster.publish_wait", "10s")
        .set("log.level", "info")
        .set("log.format", "json")
        .start()
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_clients_miss_nothing_while_every_gateway_is_replaced() -> Result<()> {
    raise_open_files();
    check_open_files(CLIENTS, "nothing").context("too few open files")?;
    let pod = Pod::of_a_gateway()?;
    let mut cluster = cluster().await?;
    let fleet = Fleet::watch(&pod.readiness);
    for gateway in &cluster.gateways {
        fleet.add(gateway)?;
    }
    let crowd = Crowd::gather(&fleet, CLIENTS, CHANNELS).await?;
    let load = Load::start(Arc::clone(&fleet), CHANNELS);
    for number in 0..GATEWAYS {
        let name = format!("gateway-{}", GATEWAYS + 1 + number);
        let new = cluster.config().clone().set("node.name", name);
        cluster.gateways.push(pod.start(&new).await?);
        fleet.add(&cluster.gateways[GATEWAYS])?;
        let old = cluster.gateways.remove(0);
        replace(old, &cluster.gateways, &pod, (&fleet, &crowd)).await?;
    }
    let published = load.stop().await?;
    assert!(published.iter().all(|count| *count > 0), "{published:?}");
    eventually("everybody has everything", PATIENCE, || async {
        crowd.have_received(&published) || crowd.fault().is_some()
    })
    .await;
    assert_eq!(crowd.fault(), None);
    Ok(())
}

/// Ends a gateway whose clients find room with the others.
async fn replace(
    mut old: Gateway,
    others: &[Gateway],
    pod: &Pod,
    (fleet, crowd): (&Fleet, &Crowd),
) -> Result<()> {
    let clients = connections(&old).await?;
    let (told_before, others_before) = (crowd.sent_away(), closed(others).await?);

    let status = old.process_mut().terminate(pod.grace).await?;
    assert_eq!(status.code(), Some(0));
    fleet.remove(&old);
    eventually("everybody who was told to go is back", PATIENCE, || async {
        let all_told = crowd.sent_away() - told_before >= clients;
        all_told && crowd.are_all_there() || crowd.fault().is_some()
    })
    .await;

    assert_eq!(crowd.fault(), None);
    assert_eq!(
        crowd.sent_away() - told_before,
        clients,
        "each of its clients, once"
    );
    assert_eq!(closed(others).await?, others_before, "and nobody else's");
    let (told, batches) = goodbyes(&old)?;
    assert_eq!(told, clients);
    let largest = clients.div_ceil(SPREAD / APART);
    assert_eq!(batches, clients.div_ceil(largest), "none larger than its share");
    assert!(
        clients > 100 && batches > 50,
        "{clients} clients in {batches} batches"
    );
    Ok(())
}

async fn connections(gateway: &Gateway) -> Result<usize> {
    let metrics = gateway.metrics().await?;
    Ok(usize::try_from(metrics.count("campanile_connections", &[]))?)
}

/// How many connections each gateway has seen end.
async fn closed(gateways: &[Gateway]) -> Result<Vec<u64>> {
    let mut counts = Vec::new();
    for gateway in gateways {
        let metrics = gateway.metrics().await?;
        counts.push(metrics.count("campanile_connections_closed_total", &[]));
    }
    Ok(counts)
}

/// How many clients a gateway that has ended has told to go, and in how many batches.
fn goodbyes(gateway: &Gateway) -> Result<(usize, usize)> {
    let log = gateway.process().log();
    let events = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let told: Vec<Value> = events
        .filter(|event| event["message"] == "clients have been told to go elsewhere")
        .collect();
    ensure!(told.len() == 1, "{told:?}");
    let number = |key: &str| told[0][key].as_u64().and_then(|it| usize::try_from(it).ok());
    number("clients").zip(number("batches")).context("numbers")
}
