//! The load harness where connections are what matters: its scenarios `idle`, `connect` and `churn`, at a small size.

use std::time::Duration;

use anyhow::{Context as _, Result};
use campanile_benches::execute::{Order, execute};
use campanile_benches::measure::Outcome;
use campanile_benches::plan::{Load, Plan};
use campanile_benches::report::Report;
use campanile_benches::report::progress::Progress;
use campanile_benches::scenario;
use campanile_benches::stack::StackOptions;
use campanile_benches::target::Target;
use campanile_benches::workers::CrewOptions;
use campanile_tests::gateway::{API_KEY, Gateway, GatewayConfig};
use serde_json::json;

/// A gateway that lets everybody in.
async fn gateway(settings: &[(&str, serde_json::Value)]) -> Result<Gateway> {
    let open = json!({
        "allow_subscribe_for_client": true,
        "allow_subscribe_for_anonymous": true,
    });
    let config = GatewayConfig::default()
        .set("client.allow_anonymous_connect_without_token", true)
        .namespace("bench", &open);
    let set =
        |config: GatewayConfig, (path, value): &(&str, serde_json::Value)| config.set(path, value.clone());
    Gateway::start(&settings.iter().fold(config, set)).await
}

/// Runs a scenario against a gateway, with its defaults but for what `change` makes of them.
async fn run(name: &str, gateway: &Gateway, change: impl FnOnce(&mut Load)) -> Result<Report> {
    let mut load = Load {
        connect_rate: 500.0,
        rate: 20.0,
        warm_up: Duration::from_millis(100),
        duration: Duration::from_millis(500),
        ..scenario::find(name)?.defaults()
    };
    change(&mut load);
    let base = format!("http://{}", gateway.address());
    let order = Order {
        plan: Plan {
            scenario: name.to_owned(),
            load,
            seed: 1,
            prefix: "test-".to_owned(),
        },
        target: Some(Target {
            urls: vec![gateway.websocket_url()],
            apis: vec![format!("{base}/api")],
            api_key: API_KEY.to_owned(),
            namespace: "bench".to_owned(),
            metrics: vec![format!("{base}/metrics")],
            ..Target::default()
        }),
        stack: StackOptions::default(),
        crew: CrewOptions::default(),
    };
    Ok(execute(&order, &mut Progress::silent()).await?)
}

fn assert_held(outcome: &Outcome) {
    assert!(outcome.held(), "{:?}", outcome.recording.violations);
}

fn figure(report: &Report, name: &str) -> Result<f64> {
    let found = report.figures.iter().find(|figure| figure.name == name);
    Ok(found.with_context(|| format!("no figure {name:?}"))?.value)
}

#[tokio::test]
async fn idle_connections_are_weighed_in_steps() -> Result<()> {
    let gateway = gateway(&[]).await?;
    let report = run("idle", &gateway, |load| {
        load.connections = 60;
        load.channels = 7;
        load.options.insert("subscriptions".to_owned(), "2".to_owned());
    })
    .await?;
    assert_held(&report.outcome);
    let names: Vec<_> = report
        .outcome
        .marks
        .iter()
        .map(|mark| mark.name.as_str())
        .collect();
    let expected = [
        "setup",
        "a_fifteenth",
        "a_third",
        "all",
        "measure",
        "settle",
        "gone",
        "done",
    ];
    assert_eq!(names, expected);
    assert!(figure(&report, "gateway memory with all")? > 0.0);
    figure(&report, "gateway memory per connection")?;
    figure(&report, "gateway CPU while pinging, of a core")?;
    let metrics = gateway.metrics().await?;
    assert_eq!(metrics.count("campanile_connections_opened_total", &[]), 60);
    Ok(())
}

#[tokio::test]
async fn a_run_whose_clients_are_refused_says_why_and_has_no_result() -> Result<()> {
    let gateway = gateway(&[("client.channel_limit", json!(1))]).await?;
    let outcome = run("idle", &gateway, |load| {
        load.connections = 15;
        load.channels = 2;
        load.options.insert("subscriptions".to_owned(), "2".to_owned());
    })
    .await;
    let refused = outcome
        .err()
        .context("a run that cannot be carried out has no result")?;
    assert!(refused.to_string().contains("limit"), "{refused}");
    Ok(())
}

#[tokio::test]
async fn whoever_comes_in_a_storm_is_counted_and_the_others_get_everything() -> Result<()> {
    let gateway = gateway(&[]).await?;
    let report = run("connect", &gateway, |load| {
        load.connections = 60;
        load.options.insert("steady".to_owned(), "4".to_owned());
    })
    .await?;
    assert_held(&report.outcome);
    assert_eq!(report.outcome.counter("arrived"), 60);
    assert!(report.outcome.counter("deliveries") > 0);
    assert!(figure(&report, "clients")? > 0.0);
    for name in ["until subscribed p99", "delivery to the others p99 meanwhile"] {
        assert!(figure(&report, name)? > 0.0, "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn clients_come_and_go_and_leave_nothing_behind() -> Result<()> {
    let gateway = gateway(&[]).await?;
    let report = run("churn", &gateway, |load| {
        load.connections = 6;
        load.connect_rate = 30.0;
        load.channels = 4;
        load.duration = Duration::from_secs(6);
        load.options.insert("stay".to_owned(), "0.1".to_owned());
    })
    .await?;
    assert_held(&report.outcome);
    for way in ["left_politely", "left_abruptly", "left_silently"] {
        assert_eq!(report.outcome.counter(way), 60, "{way}");
    }
    assert_eq!(
        report.outcome.histogram("arrival").context("arrivals")?.len(),
        180
    );
    figure(&report, "gateway memory growth per round")?;
    Ok(())
}
