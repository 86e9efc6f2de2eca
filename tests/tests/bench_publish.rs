//! The load harness's scenario `publish`, at a small size, over Redis servers of its own.

use std::time::Duration;

use anyhow::{Context as _, Result};
use campanile_benches::execute::{Order, execute};
use campanile_benches::plan::{Load, Plan, PublishVia};
use campanile_benches::report::Report;
use campanile_benches::report::progress::Progress;
use campanile_benches::scenario;
use campanile_benches::stack::StackOptions;
use campanile_benches::target::{Shard, Target};
use campanile_benches::workers::CrewOptions;
use campanile_tests::cluster::Cluster;
use campanile_tests::gateway::API_KEY;
use campanile_tests::redis::RedisServer;

const CHANNELS: usize = 40;

/// One gateway that lets everybody publish, over so many shards.
async fn cluster(shards: usize) -> Result<Cluster> {
    Cluster::builder()
        .shards(shards)
        .gateways(1)
        .open_for_load()
        .start()
        .await
}

fn target(cluster: &Cluster) -> Target {
    let gateway = &cluster.gateways[0];
    let base = format!("http://{}", gateway.address());
    let shard = |(index, it): (usize, &RedisServer)| Shard {
        name: format!("shard-{index}"),
        url: it.url(),
    };
    Target {
        urls: vec![gateway.websocket_url()],
        apis: vec![format!("{base}/api")],
        metrics: vec![format!("{base}/metrics")],
        api_key: API_KEY.to_owned(),
        namespace: "bench".to_owned(),
        stream_namespace: "stream".to_owned(),
        shards: cluster.shards.iter().enumerate().map(shard).collect(),
        ..Target::default()
    }
}

/// Runs the scenario on so many shards, with its defaults but for what `change` makes of them.
async fn run(shards: usize, change: impl FnOnce(&mut Load)) -> Result<Report> {
    let cluster = cluster(shards).await?;
    let mut load = Load {
        channels: CHANNELS,
        publishers: 2,
        batch: 8,
        warm_up: Duration::from_millis(100),
        duration: Duration::from_millis(500),
        ..scenario::find("publish")?.defaults()
    };
    load.options.insert("reference".to_owned(), "false".to_owned());
    change(&mut load);
    let order = Order {
        plan: Plan {
            scenario: "publish".to_owned(),
            load,
            seed: 1,
            prefix: "test-".to_owned(),
        },
        target: Some(target(&cluster)),
        stack: StackOptions::default(),
        crew: CrewOptions::default(),
    };
    let report = execute(&order, &mut Progress::silent()).await?;
    let violations = &report.outcome.recording.violations;
    assert!(report.outcome.held(), "{violations:?}");
    assert!(report.outcome.counter("published") > 0);
    Ok(report)
}

fn figure(report: &Report, name: &str) -> Result<f64> {
    let found = report.figures.iter().find(|figure| figure.name == name);
    Ok(found.with_context(|| format!("no figure {name:?}"))?.value)
}

#[tokio::test(flavor = "multi_thread")]
async fn publications_are_as_many_as_there_can_be_and_all_of_them_count_in_their_streams() -> Result<()> {
    run(2, |_| ()).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_publish_at_a_rate_and_the_bare_round_trip_is_measured_beside_them() -> Result<()> {
    let report = run(1, |load| {
        load.rate = 200.0;
        load.publish_via = PublishVia::Client;
        load.options.remove("reference");
    })
    .await?;
    for name in [
        "publish_p99",
        "deliver_p99",
        "bare_round_trip_p99",
        "script_per_second",
    ] {
        assert!(figure(&report, name)? > 0.0, "{name}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn channels_need_not_keep_a_stream() -> Result<()> {
    run(1, |load| load.stream = false).await.map(drop)
}
