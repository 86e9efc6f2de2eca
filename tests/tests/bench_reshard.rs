//! The load harness while shards come and go: its scenarios `reshard` and `mixed`, at a small size.

use std::time::Duration;

use anyhow::{Context as _, Result};
use campanile_benches::execute::{Order, execute};
use campanile_benches::measure::Outcome;
use campanile_benches::plan::{Load, Plan};
use campanile_benches::report::progress::Progress;
use campanile_benches::scenario;
use campanile_benches::stack::StackOptions;
use campanile_benches::target::{Shard, Target};
use campanile_benches::workers::CrewOptions;
use campanile_tests::cluster::Cluster;
use campanile_tests::gateway::API_KEY;
use campanile_tests::redis::RedisServer;

/// Two shards and two gateways that let everybody do everything.
async fn cluster() -> Result<Cluster> {
    Cluster::builder()
        .shards(2)
        .gateways(2)
        .set("cluster.shards_managed_by", "api")
        .open_for_load()
        .start()
        .await
}

fn target(cluster: &Cluster, spare: &RedisServer) -> Target {
    let bases = cluster
        .gateways
        .iter()
        .map(|it| format!("http://{}", it.address()));
    Target {
        urls: cluster.gateways.iter().map(|it| it.websocket_url()).collect(),
        apis: bases.clone().map(|base| format!("{base}/api")).collect(),
        metrics: bases.map(|base| format!("{base}/metrics")).collect(),
        api_key: API_KEY.to_owned(),
        namespace: "bench".to_owned(),
        stream_namespace: "stream".to_owned(),
        spares: vec![Shard {
            name: "spare".to_owned(),
            url: spare.url(),
        }],
        ..Target::default()
    }
}

/// Few enough for a machine that does many other things.
fn reshard(defaults: Load) -> Load {
    let load = Load {
        connections: 100,
        channels: 300,
        rate: 300.0,
        publishers: 8,
        warm_up: Duration::from_millis(200),
        duration: Duration::from_secs(2),
        settle: Duration::from_secs(30),
        ..defaults
    };
    with(
        load,
        &[("visitors", "20"), ("ballast", "300"), ("ballast_each", "3")],
    )
}

fn mixed(defaults: Load) -> Load {
    let load = Load {
        connections: 60,
        channels: 40,
        rate: 100.0,
        publishers: 4,
        warm_up: Duration::from_millis(200),
        duration: Duration::from_secs(1),
        settle: Duration::from_secs(30),
        ..defaults
    };
    let options = [
        ("visitors", "10"),
        ("ballast", "100"),
        ("ballast_each", "2"),
        ("reads", "20"),
    ];
    with(load, &options)
}

fn with(mut load: Load, options: &[(&str, &str)]) -> Load {
    for (key, value) in options {
        load.options.insert((*key).to_owned(), (*value).to_owned());
    }
    load
}

/// One at a time: each of them wants the whole machine.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Runs a scenario while a shard is added and one drained; nothing may be broken.
async fn run(name: &str, load: impl FnOnce(Load) -> Load) -> Result<Outcome> {
    let _turn = TURN.lock().await;
    let (cluster, spare) = (cluster().await?, RedisServer::start().await?);
    let order = Order {
        plan: Plan {
            scenario: name.to_owned(),
            load: load(scenario::find(name)?.defaults()),
            seed: 1,
            prefix: "test-".to_owned(),
        },
        target: Some(target(&cluster, &spare)),
        stack: StackOptions::default(),
        crew: CrewOptions::default(),
    };
    let outcome = execute(&order, &mut Progress::silent()).await?.outcome;
    assert!(outcome.held(), "{:?}", outcome.recording.violations);
    for happened in [
        "partitions_added",
        "partitions_drained",
        "partitions_moved",
        "deliveries",
        "recoveries",
    ] {
        assert!(outcome.counter(happened) > 0, "{happened}");
    }
    for trouble in [
        "publish_refused",
        "publish_unknown",
        "recovered_false",
        "disconnects",
        "unsubscribed",
    ] {
        assert_eq!(outcome.counter(trouble), 0, "{trouble}");
    }
    assert!(outcome.counter("streams_read_again") > 0);
    Ok(outcome)
}

#[tokio::test]
async fn a_shard_is_added_and_one_drained_under_load_and_nobody_misses_anything() -> Result<()> {
    let outcome = run("reshard", reshard).await?;
    // For how long channels were silent beyond what was meant: the pauses that watchers see.
    let pauses = outcome.histogram("silence").context("a histogram of pauses")?;
    assert!(!pauses.is_empty());
    Ok(())
}

#[tokio::test]
async fn all_kinds_of_channels_and_reads_go_on_meanwhile() -> Result<()> {
    let outcome = run("mixed", mixed).await?;
    for happened in ["published", "history_read", "streams_at_their_end"] {
        assert!(outcome.counter(happened) > 0, "{happened}");
    }
    Ok(())
}
