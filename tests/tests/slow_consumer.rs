//! A subscriber that stops reading is closed at its byte budget, and nobody else notices.

use anyhow::{Context as _, Result};
use campanile_tests::gateway::{Gateway, GatewayConfig};
use campanile_tests::over_each_transport;
use campanile_tests::token;
use campanile_tests::wait::{SOON, eventually};
use campanile_tests::wire::{Endpoint, Transport, Wire};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

over_each_transport!(a_client_that_stops_reading_is_closed_and_all_others_get_everything);

/// How many others there are. Encryption costs both sides much in a build for tests.
fn others(transport: Transport) -> usize {
    match transport {
        Transport::WebSocket => 1000,
        Transport::Quic | Transport::WebTransport => 100,
    }
}

/// Bytes that may wait for one client.
const BUDGET: usize = 256 * 1024;

/// One publication for the slow client alone: so large that few of them fill what the kernel keeps for it.
const FILLER: usize = 48 * 1024;

/// Enough fillers for the kernel's buffers on both sides and the budget, with room to spare.
const ROUNDS: u64 = 600;

/// How much the gateway may grow while the slow client is fed: its budget, and what an allocator keeps to itself.
const GROWTH: u64 = 64 * 1024 * 1024;

async fn a_client_that_stops_reading_is_closed_and_all_others_get_everything(
    transport: Transport,
) -> Result<()> {
    raise_open_files();
    let options = json!({ "allow_subscribe_for_client": true });
    let config = GatewayConfig::default()
        .set("client.queue_max_size", BUDGET)
        .set("log.level", "info")
        // Its budget is to be what decides.
        .set("websocket.write_timeout", "10m")
        .set("client.ping_interval", "10m")
        .namespace("room", &options);
    let gateway = Gateway::start(&config).await?;
    let endpoint = gateway.endpoint(transport);

    let (told, total) = watch::channel(None);
    let mut others = subscribers(&endpoint, &total).await?;
    let mut slow = Wire::connect(&endpoint, &token::connection("slow")).await?;
    slow.subscribe("room:all").await?;
    slow.subscribe("room:slow").await?;

    let api = gateway.api();
    let filler = json!("x".repeat(FILLER));
    let before = gateway.process().resident_bytes()?;
    let mut published = 0;
    while closed_as_slow(&gateway).await? == 0 {
        assert!(
            published < ROUNDS,
            "the slow client is still connected after {published} rounds"
        );
        api.publish("room:all", &json!(published)).await?;
        api.publish("room:slow", &filler).await?;
        published += 1;
        let grown = gateway.process().resident_bytes()?.saturating_sub(before);
        assert!(grown < GROWTH, "the gateway grew by {grown} bytes");
    }
    let closed = slow.closed().await?;
    // Over TCP, who does not read that it is closed is cut off in the end; a busy machine may take that long to come here.
    let cut_off = transport == Transport::WebSocket && closed.code == 0;
    assert!(closed.code == 3008 || cut_off, "{closed:?}");

    // Once more when it is gone, so that "everything" has an end that comes after.
    for _ in 0..10 {
        api.publish("room:all", &json!(published)).await?;
        published += 1;
    }
    told.send_replace(Some(published));
    while let Some(received) = others.join_next().await {
        assert_eq!(
            received??, published,
            "each of the others has each publication, in order"
        );
    }
    assert_eq!(closed_as_slow(&gateway).await?, 1, "nobody else was slow");
    eventually("its subscriptions are gone", SOON, || async {
        let channels = api.call("channels", &json!({ "pattern": "room:slow" })).await;
        channels.is_ok_and(|it| it["channels"] == json!({}))
    })
    .await;
    Ok(())
}

/// Many tasks that each read 0, 1, 2, … until they have as many as `total` comes to say.
async fn subscribers(
    endpoint: &Endpoint,
    total: &watch::Receiver<Option<u64>>,
) -> Result<JoinSet<Result<u64>>> {
    let connect = |_| async {
        let mut wire = Wire::connect(endpoint, &token::connection("reader")).await?;
        wire.subscribe("room:all").await?;
        anyhow::Ok(wire)
    };
    let wires: Vec<Wire> = stream::iter(0..others(endpoint.transport()))
        .map(connect)
        .buffer_unordered(32)
        .try_collect()
        .await?;
    let mut tasks = JoinSet::new();
    for wire in wires {
        tasks.spawn(read_all(wire, total.clone()));
    }
    Ok(tasks)
}

async fn read_all(mut wire: Wire, mut total: watch::Receiver<Option<u64>>) -> Result<u64> {
    let mut next = 0;
    loop {
        tokio::select! {
            publication = wire.publication() => {
                let (_, publication) = publication?;
                anyhow::ensure!(publication["data"] == next, "{publication} instead of {next}");
                next += 1;
            }
            changed = total.changed() => changed.context("the test ended")?,
        }
        if total.borrow().is_some_and(|total| next >= total) {
            return Ok(next);
        }
    }
}

async fn closed_as_slow(gateway: &Gateway) -> Result<u64> {
    let metrics = gateway.metrics().await?;
    Ok(metrics.count("campanile_connections_closed_total", &[("reason", "slow")]))
}

/// A thousand connections need more files than a shell commonly allows; the gateway inherits the limit.
fn raise_open_files() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    )
    .expect("up to the maximum is allowed");
}
