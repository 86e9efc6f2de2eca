//! Publications in datagrams, over a network that loses, delays and shortens.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use campanile_client::Connection;
use campanile_tests::api::Api;
use campanile_tests::gateway::GatewayConfig;
use campanile_tests::link::Conditions;
use campanile_tests::wait::SOON;
use campanile_tests::wire::{Transport, Way, Wire};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::world::{DELAY, World, config, connect, quic, report, subscribe};

/// A channel whose publications may be lost, and one whose may not.
const LOSSY: &str = "lossy:numbers";
const WHOLE: &str = "numbers";

/// Bytes in front of a datagram of UDP.
const HEADERS: usize = 28;

fn with_datagrams() -> GatewayConfig {
    config().namespace(
        "lossy",
        &json!({
            "quic_datagrams": true,
            "allow_subscribe_for_client": true,
            "allow_subscribe_for_anonymous": true,
        }),
    )
}

#[tokio::test]
async fn none_comes_twice_or_after_a_newer_one() -> Result<()> {
    const MESSAGES: u64 = 1000;
    let conditions = Conditions {
        delay: DELAY,
        loss: 0.05,
        late: 0.1,
        ..Conditions::default()
    };
    let world = World::start(conditions, with_datagrams()).await?;
    let dialer = Arc::new(quic(world.gateway.udp().address, &world.gateway)?);
    let dialing = dialer.clone();
    let mut connection = world
        .link
        .client()
        .run(async move {
            let mut connection = connect(&*dialing).await?;
            subscribe(&mut connection, LOSSY).await?;
            subscribe(&mut connection, WHOLE).await?;
            anyhow::Ok(connection)
        })
        .await?;
    let publishing = world
        .link
        .server()
        .spawn(publish_numbers(world.gateway.api(), MESSAGES));
    let numbers = world
        .link
        .client()
        .run(async move { until_end(&mut connection).await })
        .await?;
    publishing.await??;
    ensure!(
        numbers.is_sorted_by(|earlier, later| earlier < later),
        "{numbers:?}"
    );
    let (received, late) = (numbers.len() as u64, dialer.stats().late_datagrams);
    report(&format!(
        "datagrams: {MESSAGES} published, {received} taken, {late} too late"
    ));
    ensure!(late > 0, "the link overtakes");
    ensure!(
        received > 0 && received + late <= MESSAGES,
        "{received} and {late}"
    );
    Ok(())
}

/// Publishes numbers, with a moment between them, and then says on the other channel that this was all.
async fn publish_numbers(api: Api, count: u64) -> Result<()> {
    const BATCH: usize = 2;
    let numbers: Vec<u64> = (1..=count).collect();
    for batch in numbers.chunks(BATCH) {
        let commands: Vec<Value> = batch
            .iter()
            .map(|number| json!({ "publish": { "channel": LOSSY, "data": number } }))
            .collect();
        api.call("batch", &json!({ "commands": commands })).await?;
    }
    api.publish(WHOLE, &json!("end")).await?;
    Ok(())
}

/// The numbers that come until the end is told, and those that come soon after.
async fn until_end(connection: &mut Connection) -> Result<Vec<u64>> {
    let mut numbers = Vec::new();
    let mut patience = SOON;
    while let Ok(push) = timeout(patience, connection.next_push()).await {
        let push = push?;
        let publication = push.publication.context("only publications are expected")?;
        match push.channel.as_ref() {
            WHOLE => patience = 4 * DELAY,
            _ => numbers.push(serde_json::from_slice(&publication.data)?),
        }
    }
    ensure!(patience < SOON, "the end never came");
    Ok(numbers)
}

#[tokio::test]
async fn what_does_not_fit_the_path_goes_on_a_stream() -> Result<()> {
    const MTU: usize = 1280;
    let conditions = Conditions {
        mtu: MTU,
        ..Conditions::default()
    };
    let world = World::start(conditions, with_datagrams()).await?;
    let endpoint = world.gateway.endpoint(Transport::Quic);
    let mut wire = world
        .link
        .client()
        .run(async move {
            let mut wire = Wire::connect(endpoint, "").await?;
            wire.subscribe(LOSSY).await?;
            anyhow::Ok(wire)
        })
        .await?;
    let sizes: BTreeSet<usize> = (100..=1500).step_by(20).collect();
    let api = world.gateway.api();
    let published = sizes.clone();
    let publishing = world.link.server().spawn(async move {
        for size in published {
            api.publish(LOSSY, &json!("x".repeat(size))).await?;
        }
        anyhow::Ok(())
    });
    let count = sizes.len();
    let arrived = world
        .link
        .client()
        .run(async move {
            let mut arrived = Vec::new();
            while arrived.len() < count {
                let (way, push) = wire.push_on().await?;
                let data = push["pub"]["data"].as_str().context("text")?.len();
                arrived.push((data, way));
            }
            anyhow::Ok(arrived)
        })
        .await?;
    publishing.await??;
    let by_datagram = |way: &Way| matches!(way, Way::Datagram(..));
    let longest = arrived
        .iter()
        .filter(|(_, way)| by_datagram(way))
        .map(|(size, _)| *size)
        .max();
    let longest = longest.context("short ones come in datagrams")?;
    report(&format!(
        "datagrams: publications of up to {longest} bytes on a path of {MTU}"
    ));
    ensure!(longest + HEADERS < MTU, "{longest}");
    let came: BTreeSet<usize> = arrived.iter().map(|(size, _)| *size).collect();
    ensure!(came == sizes && arrived.len() == sizes.len(), "{arrived:?}");
    Ok(())
}
