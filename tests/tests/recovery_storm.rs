//! Many clients that return at once are answered together, whatever they missed and whoever is still there.

use std::time::Duration;

use anyhow::{Context as _, Result};
use campanile_benches::execute::{Order, execute};
use campanile_benches::measure::{Histogram, Outcome};
use campanile_benches::plan::{Load, Plan};
use campanile_benches::report::progress::Progress;
use campanile_benches::stack::StackOptions;
use campanile_benches::target::Target;
use campanile_benches::workers::CrewOptions;
use campanile_benches::{Promise, scenario};
use campanile_tests::cluster::Cluster;
use campanile_tests::gateway::{API_KEY, Gateway};
use campanile_tests::token;
use campanile_tests::wait::{SOON, eventually};
use campanile_tests::wire::{Transport, Wire};
use futures_util::future::try_join_all;
use serde_json::{Value, json};

const CHANNEL: &str = "stream:news";

/// More than a gateway keeps of a channel by itself.
const MISSED: u64 = 100;

/// Clients that return.
const CLIENTS: usize = 40;

/// Where all of them were when they left.
struct Position {
    offset: u64,
    epoch: String,
}

async fn cluster() -> Result<Cluster> {
    let options = json!({
        "history_size": 1000,
        "history_ttl": "300s",
        "force_recovery": true,
        "allow_subscribe_for_client": true,
    });
    Cluster::builder()
        .shards(1)
        .gateways(1)
        .namespace("stream", &options)
        // What is kept for those who return is kept by these checks: here, for the whole test.
        .set("client.channel_position_check_delay", "1h")
        .start()
        .await
}

async fn connect(gateway: &Gateway) -> Result<Wire> {
    Wire::connect(
        gateway.endpoint(Transport::WebSocket),
        &token::connection("reader"),
    )
    .await
}

async fn publish(gateway: &Gateway, numbers: std::ops::Range<u64>) -> Result<()> {
    for number in numbers {
        gateway.api().publish(CHANNEL, &json!(number)).await?;
    }
    Ok(())
}

/// Clients that subscribe.
async fn crowd(gateway: &Gateway) -> Result<(Vec<Wire>, Position)> {
    let mut crowd = try_join_all((0..CLIENTS).map(|_| connect(gateway))).await?;
    let mut position = None;
    for wire in &mut crowd {
        let subscribed = wire.subscribe(CHANNEL).await?;
        let offset = subscribed["offset"].as_u64().unwrap_or_default();
        let epoch = subscribed["epoch"].as_str().context("an epoch")?.to_owned();
        position = Some(Position { offset, epoch });
    }
    Ok((crowd, position.context("somebody")?))
}

/// Waits until so many are subscribed on the gateway.
async fn stay(gateway: &Gateway, clients: u64) {
    eventually("the gateway has seen who left", SOON, || async {
        let params = json!({ "pattern": CHANNEL });
        let channels = gateway.api().call("channels", &params).await;
        let there = channels.map(|it| it["channels"][CHANNEL]["num_clients"].as_u64().unwrap_or(0));
        there.is_ok_and(|there| there == clients)
    })
    .await;
}

/// One client comes back, and says what it was given.
async fn come_back(gateway: &Gateway, position: &Position) -> Result<(Wire, Vec<u64>)> {
    let mut wire = connect(gateway).await?;
    let result = wire.recover(CHANNEL, position.offset, &position.epoch).await?;
    assert_eq!(result["recovered"], true, "{result}");
    let publications = result["publications"].as_array().cloned().unwrap_or_default();
    let numbers = publications.iter().filter_map(|it| it["data"].as_u64()).collect();
    Ok((wire, numbers))
}

async fn reads(gateway: &Gateway) -> Result<u64> {
    Ok(gateway
        .metrics()
        .await?
        .count("campanile_recovery_reads_total", &[]))
}

#[tokio::test]
async fn however_many_return_and_whenever_one_read_answers_all() -> Result<()> {
    let cluster = cluster().await?;
    let gateway = &cluster.gateways[0];
    let (crowd, position) = crowd(gateway).await?;
    drop(crowd);
    stay(gateway, 0).await;
    publish(gateway, 0..MISSED).await?;
    let before = reads(gateway).await?;

    let together = try_join_all((0..CLIENTS / 2).map(|_| come_back(gateway, &position))).await?;
    for (_, numbers) in &together {
        assert_eq!(*numbers, (0..MISSED).collect::<Vec<_>>());
    }
    // The others come when those have been answered and publishing has gone on.
    publish(gateway, MISSED..MISSED + 5).await?;
    let late = try_join_all((CLIENTS / 2..CLIENTS).map(|_| come_back(gateway, &position))).await?;
    for (_, numbers) in &late {
        assert_eq!(*numbers, (0..MISSED + 5).collect::<Vec<_>>());
    }
    assert_eq!(reads(gateway).await? - before, 1);

    // All of them are live again, and nothing is doubled.
    publish(gateway, 1000..1001).await?;
    let live = together.into_iter().map(|it| (it, MISSED));
    for ((mut wire, _), next) in live.chain(late.into_iter().map(|it| (it, MISSED + 5))) {
        for expected in (next..MISSED + 5).chain([1000]) {
            let (_, publication): (String, Value) = wire.publication().await?;
            assert_eq!(publication["data"], expected);
        }
    }
    Ok(())
}

#[tokio::test]
async fn where_somebody_stayed_a_short_absence_costs_no_read() -> Result<()> {
    let cluster = cluster().await?;
    let gateway = &cluster.gateways[0];
    let (mut crowd, position) = crowd(gateway).await?;
    crowd.truncate(1);
    stay(gateway, 1).await;
    publish(gateway, 0..10).await?;
    for _ in 0..10 {
        crowd[0].publication().await?;
    }
    let before = reads(gateway).await?;
    let back = try_join_all((1..CLIENTS).map(|_| come_back(gateway, &position))).await?;
    for (_, numbers) in &back {
        assert_eq!(*numbers, (0..10).collect::<Vec<_>>());
    }
    assert_eq!(reads(gateway).await?, before);
    Ok(())
}

/// The load harness's scenario `recover` at a small size, on a gateway that tells this many publications at most to who returns.
async fn harness(limit: u64) -> Result<Outcome> {
    let cluster = Cluster::builder()
        .shards(1)
        .gateways(1)
        .open_for_load()
        .set("client.recovery_max_publication_limit", limit)
        .start()
        .await?;
    let gateway = &cluster.gateways[0];
    let mut load = Load {
        connections: 60,
        channels: 2,
        rate: 500.0,
        warm_up: Duration::from_millis(200),
        duration: Duration::from_secs(2),
        settle: Duration::from_secs(30),
        ..scenario::find("recover")?.defaults()
    };
    // So many publications are missed that a limit of one is exceeded. Nobody stands back: the machine has other tests to do.
    for (key, value) in [("witnesses", "10"), ("away_ms", "800"), ("nice", "0")] {
        load.options.insert(key.to_owned(), value.to_owned());
    }
    let order = Order {
        plan: Plan {
            scenario: "recover".to_owned(),
            load,
            seed: 1,
            prefix: "test-".to_owned(),
        },
        target: Some(Target {
            urls: vec![gateway.websocket_url()],
            apis: vec![format!("{}/api", gateway.url())],
            metrics: vec![format!("{}/metrics", gateway.url())],
            api_key: API_KEY.to_owned(),
            namespace: "bench".to_owned(),
            stream_namespace: "stream".to_owned(),
            ..Target::default()
        }),
        stack: StackOptions::default(),
        crew: CrewOptions::default(),
    };
    let outcome = execute(&order, &mut Progress::silent()).await?.outcome;
    assert_eq!(outcome.counter("returned"), 50);
    assert_eq!(outcome.counter("answered"), 50);
    assert_eq!(outcome.counter("subscribe_failed"), 0);
    assert_eq!(outcome.counter("unsubscribed"), 0);
    // Who was not recovered is not whole.
    let whole = outcome.histogram("whole").map_or(0, Histogram::len);
    assert_eq!(whole, outcome.counter("recovered"));
    Ok(outcome)
}

#[tokio::test]
async fn the_load_harness_finds_everybody_whole() -> Result<()> {
    let outcome = harness(300).await?;
    assert!(outcome.held(), "{:?}", outcome.recording.violations);
    assert_eq!(outcome.counter("recovered"), 50);
    Ok(())
}

#[tokio::test]
async fn the_load_harness_finds_out_a_gateway_that_does_not_recover() -> Result<()> {
    // It is expected to tell up to 300.
    let outcome = harness(1).await?;
    let violations = &outcome.recording.violations;
    assert!(
        violations.iter().all(|it| it.kind == Promise::HonestRecovery),
        "{violations:?}"
    );
    // How many come back too late for the limit is a matter of time; what is said of each one is not.
    let count = outcome.recording.violation_count;
    assert_eq!(count, outcome.counter("not_recovered"), "{violations:?}");
    assert_eq!(count, outcome.counter("limit_exceeded"));
    Ok(())
}
