//! A gateway that tells where it is, and commands that ask gateways.

use anyhow::{Context as _, Result, ensure};
use campanile_common::Codec;
use campanile_tests::cluster::Cluster;
use campanile_tests::gateway::{API_KEY, Gateway, binary};
use campanile_tests::token;
use campanile_tests::wait::{SOON, until};
use campanile_tests::wire::{Transport, Wire};
use serde_json::{Value, json};

use super::program::{Ended, command, finish};

#[tokio::test]
async fn a_gateway_tells_as_json_where_it_listens() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut command = std::process::Command::new(binary()?);
    command.args(["serve", "--json", "--http.port", "0"]);
    let mut process = campanile_tests::process::Process::start("gateway", dir.path(), command)?;
    let told: Value = until("it says where it listens", SOON, || {
        let output = process.output();
        async move { serde_json::from_str(output.strip_suffix('\n')?).ok() }
    })
    .await;
    let listening = told["listening"].as_array().context("addresses")?;
    let begins =
        |index: usize, with: &str| listening[index].as_str().is_some_and(|url| url.starts_with(with));
    ensure!(
        begins(0, "http://127.0.0.1:") && begins(1, "quic://127.0.0.1:"),
        "{told}"
    );
    ensure!(
        told["api_key"].is_string() && told["token_secret"].is_string(),
        "{told}"
    );
    ensure!(
        told["certificate_sha256"].as_str().map(str::len) == Some(64),
        "{told}"
    );
    let status = process.terminate(2 * SOON).await?;
    ensure!(status.code() == Some(0), "{status}");
    Ok(())
}

/// Asks a gateway.
async fn ask(gateway: &Gateway, arguments: &[&str]) -> Result<Ended> {
    let mut command = command(arguments)?;
    command.env("CAMPANILE_URL", gateway.url());
    command.env("CAMPANILE_HTTP_API_KEY", API_KEY);
    finish(command).await
}

#[tokio::test]
async fn the_gateways_of_a_deployment_and_their_channels_are_listed() -> Result<()> {
    let allowed = json!({ "allow_subscribe_for_client": true });
    let cluster = Cluster::builder()
        .shards(1)
        .gateways(2)
        .namespace("chat", &allowed)
        .start()
        .await?;
    let mut wires = Vec::new();
    for (gateway, channels) in cluster
        .gateways
        .iter()
        .zip([&["chat:a", "chat:b"][..], &["chat:b"]])
    {
        let endpoint = gateway.endpoint(Transport::WebSocket);
        let mut wire = Wire::connect_with(endpoint, &token::connection("ann"), Codec::Json).await?;
        for channel in channels {
            wire.subscribe(channel).await?;
        }
        wires.push(wire);
    }
    for gateway in &cluster.gateways {
        let nodes = until("both gateways are listed", SOON, || async {
            let told = ask(gateway, &["nodes", "--json"]).await.ok()?.json().ok()?;
            (told["nodes"].as_array()?.len() == 2).then_some(told)
        })
        .await;
        let nodes = nodes["nodes"].as_array().context("nodes")?;
        ensure!(nodes.iter().all(|node| node["num_clients"] == 1), "{nodes:?}");

        let table = ask(gateway, &["nodes"]).await?;
        ensure!(table.code == 0, "{}", table.said);
        let rows: Vec<Vec<&str>> = table
            .out
            .lines()
            .map(|row| row.split_whitespace().collect())
            .collect();
        ensure!(
            rows[0][..3] == ["NAME", "VERSION", "UPTIME"] && rows.len() == 3,
            "{}",
            table.out
        );
        let names: Vec<&str> = rows[1..].iter().map(|row| row[0]).collect();
        ensure!(names == ["gateway-1", "gateway-2"], "{}", table.out);
        ensure!(
            rows[1][3] == "1" && rows[1][5] == "2" && rows[2][5] == "1",
            "{}",
            table.out
        );

        let channels = ask(gateway, &["channels", "--json"]).await?.json()?;
        assert_eq!(
            channels,
            json!({ "channels": { "chat:a": { "num_clients": 1 }, "chat:b": { "num_clients": 2 } } })
        );
        let table = ask(gateway, &["channels"]).await?.out;
        assert_eq!(
            table,
            "CHANNEL  SUBSCRIBERS\nchat:b             2\nchat:a             1\n"
        );
        let matching = ask(gateway, &["channels", "*:a"]).await?.out;
        assert_eq!(matching, "CHANNEL  SUBSCRIBERS\nchat:a             1\n");
    }

    let gateway = &cluster.gateways[0];
    let refused = ask(gateway, &["nodes", "--api-key", "another", "--json"]).await?;
    ensure!(
        refused.code == 5 && refused.said.contains("--api-key"),
        "{}",
        refused.said
    );
    ensure!(refused.json()?["error"]["message"].is_string(), "{}", refused.out);
    let nobody = ask(gateway, &["channels", "--url", "http://127.0.0.1:1"]).await?;
    ensure!(
        nobody.code == 1 && nobody.said.lines().count() == 1,
        "{}",
        nobody.said
    );
    Ok(())
}
