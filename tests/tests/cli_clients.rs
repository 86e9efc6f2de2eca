//! `campanile sub` and `campanile pub` against a gateway, as scripts use them.

use std::process::{Output, Stdio};

use anyhow::{Context as _, Result, ensure};
use campanile_tests::gateway::{Gateway, GatewayConfig, binary};
use campanile_tests::process::Process;
use campanile_tests::token;
use campanile_tests::wait::{SOON, until};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

/// How a command is told where the gateway is.
type Way = fn(&Gateway) -> Vec<String>;

fn over_websocket(gateway: &Gateway) -> Vec<String> {
    vec!["--url".into(), gateway.url().into()]
}

fn over_quic(gateway: &Gateway) -> Vec<String> {
    let address = gateway.udp().address;
    // As somebody would who copies what the gateway prints.
    let output = gateway.process().output();
    let after = |words: &str| output.lines().find_map(|line| line.strip_prefix(words));
    let hash = after("certificate SHA-256: ").expect("a gateway with QUIC prints its certificate's hash");
    vec![
        "--url".into(),
        format!("quic://{address}"),
        "--cert-hash".into(),
        hash.into(),
    ]
}

/// A gateway with a stream in namespace `news`, and QUIC with a certificate of its own making.
async fn gateway() -> Result<Gateway> {
    let options = json!({
        "history_size": 100, "history_ttl": "300s", "force_recovery": true,
        "allow_publish_for_client": true, "allow_subscribe_for_client": true,
    });
    let config = GatewayConfig::default()
        .set("quic.enabled", true)
        .set("quic.generated_certificate", true)
        .namespace("news", &options);
    Gateway::start(&config).await
}

/// Runs a command to its end.
async fn run(gateway: &Gateway, way: Way, arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new(binary()?);
    command
        .args(arguments)
        .args(way(gateway))
        .args(["--timeout", "30s"]);
    command.env("CAMPANILE_TOKEN", token::connection("ann"));
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
    Ok(tokio::time::timeout(2 * SOON, output)
        .await
        .context("it hangs")??)
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or(-1)
}

fn error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A command that goes on, and what it has printed.
struct Listener {
    process: Process,
    _dir: TempDir,
}

impl Listener {
    fn start(gateway: &Gateway, way: Way, arguments: &[&str]) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let mut command = std::process::Command::new(binary()?);
        command
            .args(arguments)
            .args(way(gateway))
            .args(["--timeout", "30s"]);
        command.env("CAMPANILE_TOKEN", token::connection("ben"));
        let process = Process::start("sub", dir.path(), command)?;
        Ok(Self { process, _dir: dir })
    }

    /// The lines so far, which are JSON.
    fn lines(&self) -> Vec<Value> {
        let output = self.process.output();
        // The last line may have been written in part.
        let whole = output.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole
            .lines()
            .map(|line| serde_json::from_str(line).expect("--json prints JSON"))
            .collect()
    }

    /// Waits until there are so many lines.
    async fn until(&self, count: usize) -> Vec<Value> {
        until("the command prints enough", SOON, || {
            let lines = self.lines();
            async move { (lines.len() >= count).then_some(lines) }
        })
        .await
    }
}

async fn both_commands(way: Way) -> Result<()> {
    let gateway = gateway().await?;
    let arguments = ["sub", "news:a", "news:b", "--json", "--count", "3"];
    let mut listener = Listener::start(&gateway, way, &arguments)?;
    listener.until(2).await;
    for (channel, data) in [("news:a", r#"{"n":1}"#), ("news:b", "2"), ("news:a", "[3]")] {
        let output = run(&gateway, way, &["pub", channel, data]).await?;
        ensure!(code(&output) == 0, "{}", error(&output));
    }
    let status = listener.process.ended(SOON).await?;
    ensure!(status.code() == Some(0), "{status}: {}", listener.process.log());
    let lines = listener.lines();
    let of = |channel: &str| {
        let publications = lines.iter().filter(|line| line["type"] == "publication");
        let data: Vec<_> = publications
            .filter(|line| line["channel"] == channel)
            .map(|line| line["data"].clone())
            .collect();
        Value::from(data)
    };
    ensure!(of("news:a") == json!([{ "n": 1 }, [3]]), "{lines:?}");
    ensure!(of("news:b") == json!([2]), "{lines:?}");

    // From where it was: what has been published meanwhile, and as plain text.
    let first = lines
        .iter()
        .find(|line| line["channel"] == "news:a" && line["offset"] == 1);
    let epoch = first
        .and_then(|line| line["epoch"].as_str())
        .context("a position")?;
    let since = format!("{epoch}:1");
    let output = run(&gateway, way, &["sub", "news:a", "--since", &since, "-n", "1"]).await?;
    ensure!(output.stdout == b"[3]\n", "{output:?}");
    Ok(())
}

#[tokio::test]
async fn what_is_published_is_printed_over_websocket() -> Result<()> {
    both_commands(over_websocket).await
}

#[tokio::test]
async fn what_is_published_is_printed_over_quic() -> Result<()> {
    both_commands(over_quic).await
}

#[tokio::test]
async fn the_way_that_is_open_is_taken() -> Result<()> {
    let gateway = gateway().await?;
    // A port where nobody answers, as behind a firewall that drops what it does not like.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0")?;
    let urls = format!("quic://{},{}", silent.local_addr()?, gateway.websocket_url());
    let output = run(&gateway, |_| Vec::new(), &["pub", "news:a", "1", "--url", &urls]).await?;
    ensure!(code(&output) == 0, "{}", error(&output));
    ensure!(
        gateway.api().history("news:a").await?.len() == 1,
        "published once"
    );
    Ok(())
}

#[tokio::test]
async fn failures_have_codes_and_say_what_to_do() -> Result<()> {
    let gateway = gateway().await?;
    let way = over_websocket;
    let refused = run(&gateway, way, &["pub", "elsewhere:a", "1", "--json"]).await?;
    ensure!(code(&refused) == 5, "{refused:?}");
    let line: Value = serde_json::from_slice(&refused.stdout)?;
    ensure!(line["type"] == "error" && line["code"] == 102, "{line}");
    let refused = run(&gateway, way, &["sub", "plain"]).await?;
    ensure!(
        code(&refused) == 5 && error(&refused).contains("--token"),
        "{refused:?}"
    );
    let refused = run(&gateway, way, &["sub", "news:a", "--token", "nonsense"]).await?;
    ensure!(
        code(&refused) == 5 && error(&refused).contains("gentoken"),
        "{refused:?}"
    );

    let usage = run(&gateway, way, &["pub", "news:a", "hello"]).await?;
    ensure!(code(&usage) == 2 && error(&usage).contains("--text"), "{usage:?}");
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        format!("ws://{}", listener.local_addr()?)
    };
    let nobody = run(
        &gateway,
        |_| Vec::new(),
        &["pub", "news:a", "1", "--url", &closed],
    )
    .await?;
    ensure!(
        code(&nobody) == 1 && error(&nobody).contains("--url"),
        "{nobody:?}"
    );

    let incomplete = run(&gateway, way, &["sub", "news:a", "-n", "1", "--for", "100ms"]).await?;
    ensure!(code(&incomplete) == 6, "{incomplete:?}");
    let enough = run(&gateway, way, &["sub", "news:a", "--for", "100ms"]).await?;
    ensure!(code(&enough) == 0 && enough.stdout.is_empty(), "{enough:?}");
    Ok(())
}

#[tokio::test]
async fn whoever_is_told_to_stop_leaves_in_order() -> Result<()> {
    let gateway = gateway().await?;
    for way in [over_websocket as Way, over_quic] {
        let mut listener = Listener::start(&gateway, way, &["sub", "news:a", "--json"])?;
        listener.until(1).await;
        let status = listener.process.terminate(SOON).await?;
        ensure!(status.code() == Some(0), "{status}: {}", listener.process.log());
    }
    // Nobody is waited for: the goodbyes came.
    until("the gateway has no connection left", SOON, || async {
        let metrics = gateway.metrics().await.ok()?;
        (metrics.sum("campanile_connections", &[]) == 0.0).then_some(())
    })
    .await;
    Ok(())
}
