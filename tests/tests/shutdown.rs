//! A gateway that ends, politely or not: its clients are told, if they can be, and find everything elsewhere.

use std::fs::rename;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use campanile_tests::cluster::Cluster;
use campanile_tests::gateway::{Gateway, GatewayConfig};
use campanile_tests::over_each_transport;
use campanile_tests::token;
use campanile_tests::wait::{SOON, eventually, until};
use campanile_tests::wire::{Transport, Wire};
use serde_json::{Value, json};
use tokio::net::unix::pipe;

over_each_transport!(
    the_clients_of_a_stopped_gateway_are_told_and_recover_elsewhere,
    the_clients_of_a_killed_gateway_recover_elsewhere,
);

const CHANNEL: &str = "stream:room";
const CLIENTS: usize = 5;

async fn cluster() -> Result<Cluster> {
    let stream = json!({
        "history_size": 1000,
        "history_ttl": "300s",
        "force_recovery": true,
        "presence": true,
        "allow_subscribe_for_client": true,
    });
    Cluster::builder()
        .shards(1)
        .gateways(2)
        .namespace("stream", &stream)
        .set("shutdown.timeout", "5s")
        .start()
        .await
}

/// A client, and what it has received.
struct Reader {
    wire: Wire,
    offset: u64,
    epoch: String,
    received: Vec<Value>,
}

impl Reader {
    async fn start(gateway: &Gateway, transport: Transport) -> Result<Self> {
        let mut wire = Wire::connect(gateway.endpoint(transport), &token::connection("reader")).await?;
        let subscribed = wire.subscribe(CHANNEL).await?;
        Ok(Self {
            wire,
            offset: subscribed["offset"].as_u64().unwrap_or_default(),
            epoch: subscribed["epoch"].as_str().context("an epoch")?.to_owned(),
            received: Vec::new(),
        })
    }

    async fn read_until(&mut self, count: usize) -> Result<()> {
        while self.received.len() < count {
            let (_, publication) = self.wire.publication().await?;
            self.take(&publication)?;
        }
        Ok(())
    }

    fn take(&mut self, publication: &Value) -> Result<()> {
        self.offset = publication["offset"].as_u64().context("an offset")?;
        self.received.push(publication["data"].clone());
        Ok(())
    }

    /// Connects to another gateway, which must give it all that it has missed.
    async fn recover(&mut self, gateway: &Gateway, transport: Transport) -> Result<()> {
        self.wire = Wire::connect(gateway.endpoint(transport), &token::connection("reader")).await?;
        let result = self.wire.recover(CHANNEL, self.offset, &self.epoch).await?;
        assert_eq!(result["recovered"], true, "{result}");
        for publication in result["publications"].as_array().into_iter().flatten() {
            self.take(publication)?;
        }
        Ok(())
    }
}

async fn publish(gateway: &Gateway, numbers: std::ops::Range<u64>) -> Result<()> {
    for number in numbers {
        gateway.api().publish(CHANNEL, &json!(number)).await?;
    }
    Ok(())
}

/// A cluster whose first gateway has clients that have received 0 to 19.
async fn scene(transport: Transport) -> Result<(Cluster, Vec<Reader>)> {
    let cluster = cluster().await?;
    let mut readers = Vec::new();
    for _ in 0..CLIENTS {
        readers.push(Reader::start(&cluster.gateways[0], transport).await?);
    }
    publish(&cluster.gateways[1], 0..20).await?;
    for reader in &mut readers {
        reader.read_until(20).await?;
    }
    Ok((cluster, readers))
}

/// Everybody recovers at the other gateway, and has 0 to 59 once the last twenty are published.
async fn everybody_recovers(cluster: &Cluster, readers: &mut [Reader], transport: Transport) -> Result<()> {
    let there = &cluster.gateways[1];
    for reader in &mut *readers {
        reader.recover(there, transport).await?;
    }
    publish(there, 40..60).await?;
    let expected: Vec<Value> = (0..60).map(Value::from).collect();
    for reader in readers {
        reader.read_until(expected.len()).await?;
        assert_eq!(reader.received, expected, "each exactly once, in order");
    }
    Ok(())
}

async fn the_clients_of_a_stopped_gateway_are_told_and_recover_elsewhere(transport: Transport) -> Result<()> {
    let (mut cluster, mut readers) = scene(transport).await?;
    let status = cluster.gateways[0].process_mut().terminate(SOON).await?;
    assert!(status.success(), "{status}");
    for reader in &mut readers {
        let closed = reader.wire.closed().await?;
        assert_eq!(closed.code, 3001, "{closed:?}");
    }
    publish(&cluster.gateways[1], 20..40).await?;
    everybody_recovers(&cluster, &mut readers, transport).await?;
    // An orderly stop leaves no presence behind.
    let present = cluster.gateways[1].api().presence(CHANNEL).await?;
    assert_eq!(present.len(), CLIENTS);
    Ok(())
}

async fn the_clients_of_a_killed_gateway_recover_elsewhere(transport: Transport) -> Result<()> {
    let (mut cluster, mut readers) = scene(transport).await?;
    cluster.gateways[0].process_mut().kill();
    publish(&cluster.gateways[1], 20..40).await?;
    everybody_recovers(&cluster, &mut readers, transport).await
}

#[tokio::test]
async fn a_gateway_that_is_to_end_is_avoided_first_and_told_again_it_ends_at_once() -> Result<()> {
    let config = GatewayConfig::default()
        .namespace("stream", &json!({ "allow_subscribe_for_client": true }))
        // For as long as this test takes, and longer.
        .set("shutdown.delay", "1h")
        .set("shutdown.timeout", "2h");
    let mut gateway = Gateway::start(&config).await?;
    let mut early = Wire::connect(
        gateway.endpoint(Transport::WebSocket),
        &token::connection("reader"),
    )
    .await?;
    early.subscribe(CHANNEL).await?;
    gateway.process().ask_to_end();
    eventually("it says that it is not ready", SOON, || async {
        gateway.get("/ready").await.is_ok_and(|(status, body)| {
            status == 503 && body.contains(r#""shutting_down":true"#) && body.contains(r#""complete":true"#)
        })
    })
    .await;
    assert_eq!(gateway.get("/live").await?.0, 200, "nobody need restart it");
    // Whoever has not heard of that is served.
    for transport in [Transport::WebSocket, Transport::Quic, Transport::WebTransport] {
        let mut late = Wire::connect(gateway.endpoint(transport), &token::connection("reader")).await?;
        late.subscribe(CHANNEL).await?;
        publish(&gateway, 0..1).await?;
        assert_eq!(late.publication().await?.1["data"], 0);
    }
    assert!(early.is_alive().await);
    let metrics = gateway.metrics().await?;
    assert_eq!(metrics.count("campanile_shutting_down", &[]), 1);
    assert_eq!(metrics.count("campanile_shutdown_clients_told_total", &[]), 0);
    let status = gateway.process_mut().terminate(SOON).await?;
    assert_eq!(status.code(), Some(4), "it was told twice");
    Ok(())
}

/// Makes a thread of a gateway that wait for the system for as long as what is returned is there: its configuration file becomes a
/// pipe from which nothing comes.
async fn hang_a_thread(gateway: &Gateway) -> Result<pipe::Sender> {
    let (path, made) = (gateway.dir().join("campanile.json"), gateway.dir().join("pipe"));
    let status = Command::new("mkfifo").arg(&made).status()?;
    ensure!(status.success(), "{status}");
    rename(made, &path)?;
    // It can be opened once there is somebody who reads.
    Ok(until("it reads the file", SOON, || async {
        pipe::OpenOptions::new().open_sender(&path).ok()
    })
    .await)
}

#[tokio::test]
async fn a_thread_that_hangs_keeps_no_gateway_from_ending() -> Result<()> {
    let unhurried = GatewayConfig::default()
        .set("shutdown.delay", "1h")
        .set("shutdown.timeout", "2h");
    let mut told_twice = Gateway::start(&unhurried).await?;
    let _pipe = hang_a_thread(&told_twice).await?;
    told_twice.process().ask_to_end();
    eventually("it is about to end", SOON, || async {
        told_twice
            .get("/ready")
            .await
            .is_ok_and(|(status, _)| status == 503)
    })
    .await;
    let status = told_twice.process_mut().terminate(SOON).await?;
    assert_eq!(status.code(), Some(4));

    let mut told_once = Gateway::start(&GatewayConfig::default()).await?;
    let _pipe = hang_a_thread(&told_once).await?;
    let status = told_once.process_mut().terminate(2 * SOON).await?;
    assert_eq!(status.code(), Some(0));
    Ok(())
}
