//! The dashboard and the alerts, held to what a gateway that has had something to do exports, and to the runbook.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use campanile_common::Codec;
use campanile_tests::gateway::{Gateway, GatewayConfig};
use campanile_tests::metrics::Metrics;
use campanile_tests::promql::{Matcher, Query, Selector};
use campanile_tests::token;
use campanile_tests::wait::{SOON, eventually};
use campanile_tests::wire::{Transport, Wire};
use serde_json::{Value, json};

/// What Prometheus itself adds to all that it scrapes.
const TARGET: [&str; 4] = ["namespace", "job", "instance", "pod"];

/// Every label that a metric may have.
const LABELS: [&str; 14] = [
    "codec",
    "code",
    "connection",
    "kind",
    "le",
    "method",
    "operation",
    "outcome",
    "port",
    "reason",
    "shard",
    "state",
    "transport",
    "version",
];

const ROWS: [&str; 6] = [
    "Overview",
    "Clients",
    "Delivery",
    "Shards",
    "Moves",
    "Gateways' processes",
];

/// What must not be found in any metric.
const CHANNEL: &str = "room:kept-to-themselves";
const USER: &str = "somebody-in-private";

#[tokio::test]
async fn panels_and_alerts_ask_for_what_gateways_export() -> Result<()> {
    let gateway = gateway().await?;
    exercise(&gateway).await?;
    let exported = Exported::parse(&gateway.get("/metrics").await?.1);
    let rules = Rules::read()?;
    let mut asked = BTreeSet::new();
    for (place, expression, shown) in panels()?.into_iter().chain(rules.expressions()) {
        let query = Query::parse(&expression).with_context(|| place.clone())?;
        let checked = exported.check(&query, &shown, &rules.recorded);
        checked.with_context(|| format!("{place}: {expression}"))?;
        asked.extend(query.selectors.into_iter().map(|selector| selector.metric));
    }
    assert!(asked.len() > 50, "only {} metrics were looked at", asked.len());
    Ok(())
}

#[tokio::test]
async fn all_metrics_are_there_from_the_start_and_nothing_that_clients_name_is_in_them() -> Result<()> {
    let gateway = gateway().await?;
    let (_, before) = gateway.get("/metrics").await?;
    exercise(&gateway).await?;
    let (_, after) = gateway.get("/metrics").await?;
    assert_eq!(series(&before), series(&after));
    for word in ["kept-to-themselves", USER] {
        assert!(!after.contains(word), "{word} is in the metrics");
    }
    for (name, labels) in series(&after) {
        for label in labels.keys() {
            assert!(LABELS.contains(&label.as_str()), "{name} has the label {label}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn names_and_texts_are_as_prometheus_wants_them() -> Result<()> {
    let gateway = gateway().await?;
    let (_, text) = gateway.get("/metrics").await?;
    let exported = Exported::parse(&text);
    for (name, kind) in &exported.kinds {
        let help = text
            .lines()
            .find_map(|line| line.strip_prefix(&format!("# HELP {name} ")));
        assert!(help.is_some_and(|help| help.len() > 10), "{name} has no help");
        assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
        assert!(
            kind != "histogram" || name.ends_with("_seconds"),
            "{name} is a {kind}"
        );
        for unit in [
            "_ms",
            "_millis",
            "_milliseconds",
            "_micros",
            "_kb",
            "_mb",
            "_percent",
        ] {
            assert!(!name.contains(unit), "{name} is not in a base unit");
        }
    }
    for (name, _) in series(&text) {
        assert!(exported.kind(&name).is_some(), "{name} has no type");
    }
    Ok(())
}

#[test]
fn every_alert_says_how_bad_it_is_and_what_to_do() -> Result<()> {
    let rules = Rules::read()?;
    let operations = read("docs/operations.md")?;
    let headings: BTreeSet<String> = operations
        .lines()
        .filter_map(|line| line.trim_start_matches('#').strip_prefix(' '))
        .map(anchor)
        .collect();
    for alert in &rules.alerts {
        let name = &alert.name;
        let severity = alert.rule["labels"]["severity"].as_str().unwrap_or_default();
        assert!(["critical", "warning"].contains(&severity), "{name}: {severity}");
        let annotations = &alert.rule["annotations"];
        assert!(annotations["summary"].is_string(), "{name} has no summary");
        let runbook = annotations["runbook"].as_str().unwrap_or_default();
        let heading = runbook.strip_prefix("docs/operations.md#").unwrap_or_default();
        assert!(headings.contains(heading), "{name}: there is no {runbook}");
        assert_eq!(heading, anchor(name), "the entry is named for the alert");
    }
    let entries = operations
        .lines()
        .filter_map(|line| line.strip_prefix("### Campanile"))
        .map(|rest| format!("Campanile{rest}"));
    let alerts: BTreeSet<_> = rules.alerts.iter().map(|alert| alert.name.clone()).collect();
    assert_eq!(entries.collect::<BTreeSet<_>>(), alerts);
    Ok(())
}

/// `make alerts` has Prometheus carry these tests out.
#[test]
fn every_alert_is_made_to_go_off_and_to_keep_quiet() -> Result<()> {
    let file: Value = serde_yaml_ng::from_str(&read("k8s/base/monitoring/rules_test.yaml")?)?;
    let tests = file["tests"].as_array().context("tests")?;
    let tried = tests.iter().filter_map(|test| test["alert_rule_test"].as_array());
    let mut outcomes = BTreeSet::new();
    for tried in tried.flatten() {
        let name = tried["alertname"].as_str().context("a name")?;
        let goes_off = tried["exp_alerts"]
            .as_array()
            .is_some_and(|alerts| !alerts.is_empty());
        outcomes.insert((name.to_owned(), goes_off));
    }
    for Alert { name, .. } in Rules::read()?.alerts {
        for goes_off in [true, false] {
            let outcome = (name.clone(), goes_off);
            assert!(
                outcomes.contains(&outcome),
                "no test sees {name} with going off = {goes_off}"
            );
        }
    }
    Ok(())
}

#[test]
fn the_dashboard_can_be_imported() -> Result<()> {
    let dashboard: Value = serde_json::from_str(&read("k8s/base/monitoring/dashboard.json")?)?;
    let variables = dashboard["templating"]["list"].as_array().context("variables")?;
    assert_eq!(variables[0]["name"], "datasource");
    assert_eq!(variables[0]["type"], "datasource");
    let panels = dashboard["panels"].as_array().context("panels")?;
    let rows = panels.iter().filter(|panel| panel["type"] == "row");
    let rows: Vec<_> = rows.filter_map(|row| row["title"].as_str()).collect();
    assert_eq!(rows, ROWS);
    let mut ids = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64()), "{panel}");
        let of = |key: &str| panel["gridPos"][key].as_u64().unwrap_or(100);
        assert!(of("x") + of("w") <= 24, "{panel}");
        for (x, y) in (0..of("w")).flat_map(|x| (0..of("h")).map(move |y| (x, y))) {
            assert!(
                taken.insert((of("x") + x, of("y") + y)),
                "it covers another: {panel}"
            );
        }
        if panel["type"] == "row" {
            assert_eq!((of("x"), of("w")), (0, 24), "{panel}");
            continue;
        }
        let mut queries = BTreeSet::new();
        for target in panel["targets"].as_array().context("what a panel asks for")? {
            assert!(queries.insert(target["refId"].as_str()), "{panel}");
            asks_the_chosen_source(target);
        }
        assert!(!queries.is_empty() && !queries.contains(&None), "{panel}");
        asks_the_chosen_source(panel);
        for part in ["title", "description", "fieldConfig", "options"] {
            assert!(panel.get(part).is_some(), "no {part}: {panel}");
        }
    }
    assert!(!ids.contains(&None), "every panel has a number");
    Ok(())
}

#[test]
fn the_dashboard_asks_the_source_that_is_chosen_and_no_other() -> Result<()> {
    let dashboard: Value = serde_json::from_str(&read("k8s/base/monitoring/dashboard.json")?)?;
    // Those of a dashboard that was exported for others, which is imported by hand.
    assert!(dashboard.get("__inputs").is_none() && dashboard["id"].is_null());
    let uid = dashboard["uid"].as_str().context("what it is found by")?;
    assert!(uid.len() <= 40, "{uid}");
    for variable in dashboard["templating"]["list"].as_array().into_iter().flatten() {
        if variable["type"] == "query" {
            asks_the_chosen_source(variable);
        }
    }
    for note in dashboard["annotations"]["list"].as_array().into_iter().flatten() {
        if note["builtIn"] != 1 {
            asks_the_chosen_source(note);
        }
    }
    Ok(())
}

fn asks_the_chosen_source(part: &Value) {
    let source = json!({ "type": "prometheus", "uid": "${datasource}" });
    assert_eq!(part["datasource"], source, "{part}");
}

async fn gateway() -> Result<Gateway> {
    let room = json!({
        "history_size": 10,
        "history_ttl": "60s",
        "force_recovery": true,
        "presence": true,
        "join_leave": true,
        "allow_subscribe_for_client": true,
        "allow_publish_for_client": true,
        "allow_history_for_client": true,
        "allow_presence_for_client": true,
    });
    Gateway::start(&GatewayConfig::default().namespace("room", &room)).await
}

/// Has clients of each transport and codec do what they can, right and wrong, and waits until it has been counted.
async fn exercise(gateway: &Gateway) -> Result<()> {
    let token = token::connection(USER);
    let mut reader = Wire::connect(&gateway.websocket_url(), &token).await?;
    reader.subscribe(CHANNEL).await?;
    gateway.api().publish(CHANNEL, &json!("first")).await?;
    reader.publication().await?;
    for transport in [Transport::WebSocket, Transport::Quic, Transport::WebTransport] {
        for codec in Codec::ALL {
            let mut wire = Wire::connect_with(gateway.endpoint(transport), &token, codec).await?;
            wire.recover(CHANNEL, 0, "another").await?;
            for command in ["publish", "history", "presence", "presence_stats"] {
                let parameters = json!({ "channel": CHANNEL, "data": {} });
                wire.request(json!({ command: parameters })).await?;
            }
            wire.request(json!({ "subscribe": { "channel": "nowhere:kept-to-themselves" } }))
                .await?;
        }
    }
    let mut garbled = Wire::connect(&gateway.websocket_url(), &token).await?;
    garbled.send_text("{").await?;
    garbled.closed().await?;
    let nowhere = json!({ "channel": "nowhere:kept-to-themselves", "data": 1 });
    ensure!(gateway.api().try_call("publish", &nowhere).await?.is_err());
    // It is counted when it has been written, which may be after the client has read it.
    eventually("a delivery was measured", SOON, || async {
        let metrics = gateway.metrics().await;
        metrics.is_ok_and(|metrics| metrics.count("campanile_delivery_seconds_count", &[]) > 0)
    })
    .await;
    let metrics = gateway.metrics().await?;
    for (name, labels) in [
        ("campanile_publish_seconds_count", &[("outcome", "accepted")][..]),
        ("campanile_shard_state", &[("state", "connected")][..]),
        ("campanile_ready", &[]),
        ("campanile_store_reachable", &[]),
        ("process_open_fds", &[]),
        ("process_cpu_seconds_total", &[]),
    ] {
        assert!(metrics.sum(name, labels) > 0.0, "{name}");
    }
    assert!((metrics.sum("campanile_shard_partitions", &[]) - 4096.0).abs() < 0.5);
    Ok(())
}

/// The names and labels of all samples.
fn series(text: &str) -> BTreeSet<(String, BTreeMap<String, String>)> {
    let metrics = Metrics::parse(text);
    let owned = |(name, labels): (&str, &BTreeMap<String, String>)| (name.to_owned(), labels.clone());
    metrics.series().map(owned).collect()
}

/// What a gateway exports.
struct Exported {
    /// Counter, gauge or histogram, by name.
    kinds: BTreeMap<String, String>,
    /// The values of each label, by the name of the sample.
    labels: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
}

impl Exported {
    fn parse(text: &str) -> Self {
        let kinds = text
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
            .map(|(name, kind)| (name.to_owned(), kind.to_owned()))
            .collect();
        let mut labels = BTreeMap::<_, BTreeMap<_, BTreeSet<_>>>::new();
        for (name, pairs) in series(text) {
            let known = labels.entry(name).or_default();
            for (label, value) in pairs {
                known.entry(label).or_default().insert(value);
            }
        }
        Self { kinds, labels }
    }

    /// The kind of the metric that has samples of this name.
    fn kind(&self, sample: &str) -> Option<&str> {
        let part = ["_bucket", "_sum", "_count"]
            .into_iter()
            .find_map(|suffix| sample.strip_suffix(suffix));
        let histogram = part
            .and_then(|name| self.kinds.get(name))
            .filter(|kind| *kind == "histogram");
        let plain = self.kinds.get(sample).filter(|kind| *kind != "histogram");
        histogram.or(plain).map(String::as_str)
    }

    /// Whether all that a query asks for, and all labels that are `shown` of its result, are there.
    fn check(&self, query: &Query, shown: &BTreeSet<String>, recorded: &BTreeSet<String>) -> Result<()> {
        let mut known: BTreeSet<&str> = TARGET.into_iter().collect();
        for selector in &query.selectors {
            let metric = &selector.metric;
            if metric == "up" || recorded.contains(metric) {
                continue;
            }
            ensure!(self.kind(metric).is_some(), "no gateway exports {metric}");
            let labels = self
                .labels
                .get(metric)
                .with_context(|| format!("{metric} has no samples"))?;
            self.check_selector(selector)?;
            known.extend(labels.keys().map(String::as_str));
        }
        let is_known = |label: &&String| known.contains(label.as_str());
        let foreign: Vec<_> = query.grouped.iter().filter(|label| !is_known(label)).collect();
        ensure!(foreign.is_empty(), "no metric here has the labels {foreign:?}");
        // What is grouped has no other labels.
        let is_there = |label: &&String| match query.grouped.is_empty() {
            true => is_known(label),
            false => query.grouped.contains(*label),
        };
        let absent: Vec<_> = shown.iter().filter(|label| !is_there(label)).collect();
        ensure!(
            absent.is_empty(),
            "the result does not have the labels {absent:?}"
        );
        Ok(())
    }

    fn check_selector(&self, selector: &Selector) -> Result<()> {
        let labels = &self.labels[&selector.metric];
        for Matcher { label, values } in &selector.matchers {
            if TARGET.contains(&label.as_str()) {
                continue;
            }
            let exported = labels
                .get(label)
                .with_context(|| format!("{} has no label {label}", selector.metric))?;
            for value in values {
                ensure!(
                    exported.contains(value),
                    "{label} of {} is never {value}",
                    selector.metric
                );
            }
        }
        Ok(())
    }
}

/// An expression with the place where it stands, and the labels that are shown of its result.
type Asked = (String, String, BTreeSet<String>);

/// The expressions of the dashboard.
fn panels() -> Result<Vec<Asked>> {
    let dashboard: Value = serde_json::from_str(&read("k8s/base/monitoring/dashboard.json")?)?;
    let mut asked = Vec::new();
    for panel in dashboard["panels"].as_array().context("panels")? {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let place = format!("the panel {}", panel["title"]);
            let expression = target["expr"].as_str().with_context(|| place.clone())?;
            let legend = target["legendFormat"].as_str().unwrap_or_default();
            asked.push((place, expression.to_owned(), templates(legend, "")));
        }
    }
    for note in dashboard["annotations"]["list"].as_array().into_iter().flatten() {
        if let Some(expression) = note["expr"].as_str() {
            asked.push((note["name"].to_string(), expression.to_owned(), BTreeSet::new()));
        }
    }
    Ok(asked)
}

/// What `rules.yaml` records and alerts about.
struct Rules {
    recorded: BTreeSet<String>,
    alerts: Vec<Alert>,
    /// Those of the recorded ones: place and expression.
    recording: Vec<(String, String)>,
}

struct Alert {
    name: String,
    rule: Value,
}

impl Rules {
    fn read() -> Result<Self> {
        let file: Value = serde_yaml_ng::from_str(&read("k8s/base/monitoring/rules.yaml")?)?;
        let mut rules = Self {
            recorded: BTreeSet::new(),
            alerts: Vec::new(),
            recording: Vec::new(),
        };
        let groups = file["spec"]["groups"].as_array().context("groups of rules")?;
        for rule in groups
            .iter()
            .flat_map(|group| group["rules"].as_array())
            .flatten()
        {
            let expression = rule["expr"].as_str().with_context(|| rule.to_string())?;
            if let Some(name) = rule["record"].as_str() {
                rules.recorded.insert(name.to_owned());
                rules.recording.push((name.to_owned(), expression.to_owned()));
            } else {
                let name = rule["alert"]
                    .as_str()
                    .with_context(|| rule.to_string())?
                    .to_owned();
                rules.alerts.push(Alert {
                    name,
                    rule: rule.clone(),
                });
            }
        }
        Ok(rules)
    }

    fn expressions(&self) -> Vec<Asked> {
        let recording = self.recording.iter();
        let recording =
            recording.map(|(name, expression)| (name.clone(), expression.clone(), BTreeSet::new()));
        let alerts = self.alerts.iter().map(|Alert { name, rule }| {
            let text = rule["annotations"].to_string();
            let expression = rule["expr"].as_str().unwrap_or_default();
            (name.clone(), expression.to_owned(), templates(&text, "$labels."))
        });
        recording.chain(alerts).collect()
    }
}

/// The labels that `{{…}}` in a text name behind `prefix`.
fn templates(text: &str, prefix: &str) -> BTreeSet<String> {
    text.split("{{")
        .skip(1)
        .filter_map(|part| part.split("}}").next()?.trim().strip_prefix(prefix))
        .map(|label| label.split(' ').next().unwrap_or_default().to_owned())
        .collect()
}

/// The anchor of a heading, as GitHub and GitLab make it.
fn anchor(heading: &str) -> String {
    let kept = |letter: &char| letter.is_alphanumeric() || [' ', '-', '_'].contains(letter);
    let text: String = heading.to_lowercase().chars().filter(kept).collect();
    text.replace(' ', "-")
}

fn read(path: &str) -> Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}
