//! The load harness with its workers in processes of their own: they do the same work together, and a run that one of them
//! cannot finish has no result.

use std::path::Path;

use anyhow::{Context as _, Result};
use campanile_benches::report::Report;
use campanile_tests::bench::Bench;
use campanile_tests::gateway::{API_KEY, Gateway, GatewayConfig};
use campanile_tests::wait::{SOON, eventually, until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

const CLIENTS: u64 = 30;

/// A gateway that lets everybody in, and the arguments that name it.
async fn target() -> Result<(Gateway, Vec<String>)> {
    let open = json!({
        "allow_subscribe_for_client": true,
        "allow_subscribe_for_anonymous": true,
    });
    let config = GatewayConfig::default()
        .set("client.allow_anonymous_connect_without_token", true)
        .namespace("bench", &open);
    let gateway = Gateway::start(&config).await?;
    let base = format!("http://{}", gateway.address());
    let arguments = [
        ("--url", gateway.websocket_url()),
        ("--api", format!("{base}/api")),
        ("--api-key", API_KEY.to_owned()),
        ("--metrics", format!("{base}/metrics")),
    ];
    let arguments = arguments.map(|(name, value)| format!("{name}={value}")).to_vec();
    Ok((gateway, arguments))
}

/// `fanout`, small, with these further arguments.
fn fanout<'a>(more: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let small = ["fanout", "--connections=30", "--rate=50", "--warm-up=100ms"];
    small.into_iter().chain(more).collect()
}

/// What a run came to that must have gone well.
async fn result(bench: Bench) -> Result<Report> {
    let ended = bench.ended().await?;
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    ended.report.context("it was asked for a report")
}

/// That everything was delivered, and that nothing is missing in the report.
fn assert_whole(report: &Report, workers: usize) {
    let outcome = &report.outcome;
    assert!(outcome.held(), "{:?}", outcome.recording.violations);
    assert_eq!(outcome.workers, workers);
    assert!(outcome.counter("published") > 0);
    let delivered = outcome.histogram("delivery").map_or(0, |it| it.len());
    assert!(delivered > 0 && delivered.is_multiple_of(CLIENTS), "{delivered}");
    let names: Vec<_> = report.figures.iter().map(|it| it.name.as_str()).collect();
    for name in [
        "deliveries",
        "delivery p50",
        "delivery p99",
        "gateway CPU per delivery",
    ] {
        assert!(names.contains(&name), "no {name:?} in {names:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_measure_what_one_measures() -> Result<()> {
    // Redis and a gateway of the run's own.
    for workers in [1, 2] {
        let argument = format!("--workers={workers}");
        let bench = Bench::measure(&fanout([argument.as_str(), "--duration=500ms"]))?;
        assert_whole(&result(bench).await?, workers);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_ends_when_one_of_its_workers_dies() -> Result<()> {
    let (gateway, target) = target().await?;
    let arguments = target.iter().map(String::as_str);
    let bench = Bench::measure(&fanout(arguments.chain(["--workers=2", "--duration=10m"])))?;
    all_are_there(&gateway).await;
    let [first, second] = children(bench.id())?[..] else {
        panic!("not two workers: {:?}", children(bench.id()));
    };
    kill_process(pid(first), Signal::KILL)?;
    let ended = bench.ended().await?;
    assert_eq!(ended.code, Some(3), "{}", ended.said);
    assert!(ended.report.is_none());
    let last = ended.said.lines().last().unwrap_or_default();
    assert!(last.contains("worker") && last.contains("has ended"), "{last}");
    eventually("the other worker ends too", SOON, || async move {
        !Path::new(&format!("/proc/{second}")).exists()
    })
    .await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_joins_with_the_word_and_not_without() -> Result<()> {
    let (_gateway, target) = target().await?;
    let arguments = target.iter().map(String::as_str);
    let bench = Bench::measure(&fanout(arguments.chain(EXPECTING).chain(["--duration=500ms"])))?;
    let (address, token) = invitation(&bench).await;
    let stranger = Bench::start(&["worker", "--join", &address, "--token", "guessed"])?;
    let stranger = stranger.ended().await?;
    assert_eq!(stranger.code, Some(3), "{}", stranger.said);
    assert!(stranger.said.contains("the token is wrong"), "{}", stranger.said);
    let worker = Bench::start(&["worker", "--join", &address, "--token", &token])?;
    assert_whole(&result(bench).await?, 2);
    let worker = worker.ended().await?;
    assert_eq!(worker.code, Some(0), "{}", worker.said);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_controller_dies_says_so_and_fails() -> Result<()> {
    let (gateway, target) = target().await?;
    let arguments = target.iter().map(String::as_str);
    let bench = Bench::measure(&fanout(arguments.chain(EXPECTING).chain(["--duration=10m"])))?;
    let (address, token) = invitation(&bench).await;
    let worker = Bench::start(&["worker", "--join", &address, "--token", &token])?;
    all_are_there(&gateway).await;
    kill_process(pid(i32::try_from(bench.id())?), Signal::KILL)?;
    let worker = worker.ended().await?;
    assert_eq!(worker.code, Some(3), "{}", worker.said);
    assert!(
        worker.said.starts_with("campanile-bench: the controller: ") && worker.said.lines().count() == 1,
        "{}",
        worker.said
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_publications_are_all_refused_is_none() -> Result<()> {
    let (_gateway, target) = target().await?;
    let others = target.iter().filter(|it| !it.starts_with("--api-key"));
    let wrong = ["--api-key=guessed", "--duration=200ms"];
    let bench = Bench::measure(&fanout(others.map(String::as_str).chain(wrong)))?;
    let ended = bench.ended().await?;
    assert_eq!(ended.code, Some(3), "{}", ended.said);
    assert!(ended.report.is_none());
    let last = ended.said.lines().last().unwrap_or_default();
    assert!(
        last.contains("publications was accepted") && last.contains("401"),
        "{last}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_over_quic_and_the_bare_loop_do_the_same_in_turns() -> Result<()> {
    let bench = Bench::start(&fanout([
        "--quic",
        "--compare=bare",
        "--rounds=1",
        "--duration=300ms",
    ]))?;
    let ended = bench.ended().await?;
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    Ok(())
}

/// What makes a run wait for a worker that joins.
const EXPECTING: [&str; 3] = ["--workers=1", "--expect=1", "--listen=127.0.0.1:0"];

/// Where to join a run, and with which word.
async fn invitation(bench: &Bench) -> (String, String) {
    until("the run says how to join", SOON, || {
        let said = bench.said();
        async move { Some((after(&said, "--join ")?, after(&said, "--token ")?)) }
    })
    .await
}

async fn all_are_there(gateway: &Gateway) {
    let opened = "campanile_connections_opened_total";
    eventually("all clients are there", SOON, || async move {
        let metrics = gateway.metrics().await;
        metrics.is_ok_and(|metrics| metrics.count(opened, &[]) >= CLIENTS)
    })
    .await;
}

/// The word behind `words`, once the line is whole.
fn after(said: &str, words: &str) -> Option<String> {
    let line = said.split_inclusive('\n').find(|line| line.contains(words))?;
    let line = line.strip_suffix('\n')?;
    let (_, rest) = line.split_once(words)?;
    rest.split_whitespace().next().map(str::to_owned)
}

/// The children of a process.
fn children(of: u32) -> Result<Vec<i32>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(id) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // It may have ended meanwhile.
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
        if parent.is_some_and(|parent| parent.trim() == of.to_string()) {
            found.push(id);
        }
    }
    Ok(found)
}

fn pid(id: i32) -> Pid {
    Pid::from_raw(id).expect("processes have positive ids")
}
