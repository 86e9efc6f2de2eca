//! Commands that need no gateway: help, documents, completions, JSON.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use campanile_tests::gateway::binary;
use campanile_tests::token;
use campanile_tests::wait::SOON;
use serde_json::json;
use tokio::process::Command;

use super::program::{command, finish, run};

const COMMANDS: [&str; 14] = [
    "serve",
    "checkconfig",
    "genconfig",
    "configdoc",
    "gentoken",
    "checktoken",
    "fingerprint",
    "shards",
    "nodes",
    "channels",
    "sub",
    "pub",
    "completions",
    "version",
];

#[tokio::test]
async fn every_command_has_help_and_the_help_has_every_code() -> Result<()> {
    let help = run(&["--help"]).await?;
    ensure!(help.code == 0, "{}", help.said);
    for command in COMMANDS {
        ensure!(
            help.out.contains(&format!("\n  {command} ")),
            "{command}: {}",
            help.out
        );
        let own = run(&[command, "--help"]).await?;
        ensure!(own.code == 0 && own.said.is_empty(), "{command}: {}", own.said);
        ensure!(
            own.out.contains(&format!("Usage: campanile {command}")),
            "{}",
            own.out
        );
    }
    for code in (0..=8).chain(10..=16) {
        ensure!(
            help.out.contains(&format!("\n  {code:>2}  ")),
            "{code}: {}",
            help.out
        );
    }
    Ok(())
}

#[tokio::test]
async fn commands_that_need_no_gateway_print_json() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("campanile.json");
    let path = file.to_str().context("UTF-8")?;
    let starter = run(&["genconfig", "--json"]).await?;
    ensure!(
        starter.json()?["channel"]["namespaces"][0]["name"] == "chat",
        "{}",
        starter.out
    );
    std::fs::write(&file, &starter.out)?;
    let checked = run(&["checkconfig", "--json", "--config", path]).await?.json()?;
    assert_eq!(checked, json!({ "valid": true, "findings": [] }));

    let version = run(&["version", "--json"]).await?.json()?;
    ensure!(version["version"] == env!("CARGO_PKG_VERSION"), "{version}");
    ensure!(
        version["rustc"]
            .as_str()
            .is_some_and(|rustc| rustc.starts_with("rustc ")),
        "{version}"
    );

    let token = run(&["gentoken", "--json", "--config", path, "--user", "ann"])
        .await?
        .json()?;
    ensure!(token["user"] == "ann" && token["channel"].is_null(), "{token}");
    ensure!(
        token["expires_at"].as_i64() > Some(token::seconds_from_now(0)),
        "{token}"
    );

    let pem = dir.path().join("c.pem");
    let made = rcgen::generate_simple_self_signed(["h".to_owned()])?;
    std::fs::write(&pem, made.cert.pem())?;
    let fingerprint = run(&["fingerprint", "--json", pem.to_str().context("UTF-8")?])
        .await?
        .json()?;
    ensure!(
        fingerprint["sha256"].as_str().map(str::len) == Some(64),
        "{fingerprint}"
    );
    let missing = run(&["fingerprint", "--json", "/nowhere.pem"]).await?;
    ensure!(
        missing.code == 13 && missing.json()?["error"]["message"].is_string(),
        "{}",
        missing.out
    );

    let keys = run(&["configdoc", "--json"]).await?.json()?;
    let keys = keys.as_array().context("an array")?;
    ensure!(keys.len() > 150, "only {} keys", keys.len());
    let ping = keys
        .iter()
        .find(|key| key["key"] == "client.ping_interval")
        .context("a key")?;
    assert_eq!(
        ping,
        &json!({
            "key": "client.ping_interval", "type": "duration", "default": "25s",
            "meaning": "Time between pings; `0s`: none.", "variable": "CAMPANILE_CLIENT_PING_INTERVAL",
        })
    );
    let mistyped = run(&["configdoc", "--json", "clientt.token"]).await?;
    ensure!(
        mistyped.code == 2 && mistyped.json()?["error"]["code"].is_null(),
        "{}",
        mistyped.out
    );
    Ok(())
}

#[tokio::test]
async fn the_keys_that_are_documented_are_those_that_are_printed() -> Result<()> {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let document = std::fs::read_to_string(document)?;
    let rows = |text: &str| -> BTreeSet<String> {
        let rows = text.lines().filter(|line| line.starts_with("| `"));
        rows.map(str::to_owned).collect()
    };
    let (printed, documented) = (rows(&run(&["configdoc"]).await?.out), rows(&document));
    let missing: Vec<_> = printed.difference(&documented).collect();
    ensure!(missing.is_empty(), "not documented: {missing:#?}");

    let dir = tempfile::tempdir()?;
    let copy = dir.path().join("configuration.md");
    std::fs::write(
        &copy,
        document.replace("TCP port for clients", "what it was before"),
    )?;
    let woven = run(&["configdoc", "--into", copy.to_str().context("UTF-8")?]).await?;
    ensure!(woven.code == 0 && woven.out.is_empty(), "{}", woven.said);
    ensure!(
        std::fs::read_to_string(&copy)? == document,
        "it is not brought up to date"
    );
    Ok(())
}

#[tokio::test]
async fn completions_are_produced_for_every_shell_and_work_in_bash() -> Result<()> {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(&["completions", shell]).await?;
        ensure!(
            script.code == 0 && script.out.contains("checktoken"),
            "{shell}: {}",
            script.said
        );
    }
    let mut bash = Command::new("bash");
    bash.env("CAMPANILE", binary()?)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    bash.args([
        "--norc",
        "-c",
        "source <(\"$CAMPANILE\" completions bash) || exit 1
         COMP_WORDS=(campanile check); COMP_CWORD=1
         _campanile campanile check campanile
         printf '%s\\n' \"${COMPREPLY[@]}\"",
    ]);
    let ended = finish(bash).await?;
    ensure!(
        ended.code == 0 && ended.out.split_whitespace().eq(["checkconfig", "checktoken"]),
        "{}{}",
        ended.out,
        ended.said
    );
    Ok(())
}

#[tokio::test]
async fn an_output_that_nobody_reads_is_no_mistake() -> Result<()> {
    for arguments in [
        &["configdoc"][..],
        &["configdoc", "--json"],
        &["genconfig"],
        &["completions", "bash"],
        &["version"],
        &["--help"],
        &["checkconfig"],
    ] {
        let (reader, writer) = std::io::pipe()?;
        drop(reader);
        let mut command = command(arguments)?;
        command.stdout(writer);
        let ended = command.stderr(Stdio::piped()).spawn()?.wait_with_output();
        let ended = tokio::time::timeout(2 * SOON, ended).await??;
        ensure!(
            ended.status.code() == Some(0) && ended.stderr.is_empty(),
            "{arguments:?}: {ended:?}"
        );
    }
    Ok(())
}
