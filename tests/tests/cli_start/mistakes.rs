//! Mistakes in the configuration: each kind ends the start with one line and a code of its own.

use std::net::{TcpListener, UdpSocket};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::program::{command, finish, run};

/// Starts a gateway that must not start: its code, and what it says, which is one line.
async fn refused(command: &str, file: &Path) -> Result<(i32, String)> {
    let file = file.to_str().context("a path in UTF-8")?;
    let ended = run(&[command, "--config", file]).await?;
    ensure!(ended.out.is_empty(), "{}", ended.out);
    ensure!(
        ended.said.starts_with("error: ") && ended.said.ends_with('\n') && ended.said.lines().count() == 1,
        "{command}: {:?}",
        ended.said
    );
    Ok((ended.code, ended.said.trim_end().to_owned()))
}

/// A mistake: what is written, the code, and the line but for `error: `, with `@` for the file's name.
type Mistake = (&'static str, i32, &'static str);

const IN_THE_FILE: [Mistake; 8] = [
    (
        "client:\n  ping_interval: 30s\n  pong_timeuot: 5s\n",
        10,
        "client.pong_timeuot: there is no such key; did you mean client.pong_timeout? (@:3)",
    ),
    (
        "log: {level: info}\nclient:\n  ping_interval: 25\n",
        11,
        "client.ping_interval: invalid type: integer `25`, expected a duration with a unit, such as \"300s\", \"1m30s\" or \
         \"100ms\" (@:3)",
    ),
    (
        "cluster:\n  move_rate: 32 miles\n",
        11,
        "cluster.move_rate: invalid value: string \"32 miles\", expected a number of bytes, such as 33554432 or \"32MiB\" \
         (@:2)",
    ),
    (
        "http_server: {port: 70000}\n",
        11,
        "http_server.port: invalid value: integer `70000`, expected a whole number from 0 to 65535 (@:1)",
    ),
    (
        "shards:\n  - {name: a, url: 'redis://127.0.0.1:1'}\n  - {name: a, url: 'redis://127.0.0.1:2'}\n",
        12,
        "shards[1].name: \"a\" is taken; write another one (@:3)",
    ),
    (
        "http_server:\n  tls:\n    enabled: true\n    cert_pem: /nowhere/tls.crt\n    key_pem: /nowhere/tls.key\n",
        13,
        "http_server.tls.cert_pem: cannot read /nowhere/tls.crt: No such file or directory (os error 2) (@:4)",
    ),
    (
        "shards:\n  - name: a\n    url: rediss://127.0.0.1:1\n    ca_file: /nowhere/ca.pem\n",
        13,
        "shards[0].ca_file: cannot read /nowhere/ca.pem: No such file or directory (os error 2) (@:4)",
    ),
    (
        "log:\n  level: loud\n",
        3,
        "log.level: \"loud\" is none; write trace, debug, info, warn, error or none (@:2)",
    ),
];

#[tokio::test]
async fn a_mistake_in_the_file_ends_the_start_with_one_line_and_the_code_of_its_kind() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("campanile.yaml");
    for (text, code, line) in IN_THE_FILE {
        std::fs::write(&file, text)?;
        let line = format!("error: {}", line.replace('@', &file.display().to_string()));
        for command in ["serve", "checkconfig"] {
            let ended = if command == "serve" {
                refused(command, &file).await?
            } else {
                // It tells warnings as well.
                let ended = run(&[command, "--config", file.to_str().context("UTF-8")?]).await?;
                let errors: Vec<&str> = ended
                    .said
                    .lines()
                    .filter(|line| line.starts_with("error: "))
                    .collect();
                (ended.code, errors.join("\n"))
            };
            assert_eq!(ended, (code, line.clone()), "{command}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_file_that_is_of_no_use_ends_the_start() -> Result<()> {
    let dir = tempfile::tempdir()?;
    for (name, text) in [
        ("campanile.yaml", Some("a: b: c")),
        ("campanile.toml", Some("a = 'b\n")),
        ("campanile.json", Some("{\n\"a\": }")),
        ("campanile.ini", Some("a=b")),
        ("nowhere.yaml", None),
    ] {
        let file = dir.path().join(name);
        if let Some(text) = text {
            std::fs::write(&file, text)?;
        }
        let (code, line) = refused("serve", &file).await?;
        ensure!(code == 16 && line.contains(name), "{code}: {line}");
    }
    Ok(())
}

#[tokio::test]
async fn a_certificate_that_is_of_no_use_ends_the_start() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("campanile.yaml");
    let make = || rcgen::generate_simple_self_signed(["h".to_owned()]);
    let (one, another) = (make()?, make()?);
    let (certificate, key) = (one.cert.pem(), one.signing_key.serialize_pem());
    let text = "http_server:\n  tls: {enabled: true, cert_pem: CERTIFICATE, key_pem: KEY}\n";
    let in_dir = |name: &str| dir.path().join(name).display().to_string();
    let text = text
        .replace("CERTIFICATE", &in_dir("c.pem"))
        .replace("KEY", &in_dir("k.pem"));
    std::fs::write(&file, text)?;
    for (certificate, key, said) in [
        (
            "nothing of the kind".to_owned(),
            key.clone(),
            "http_server.tls.cert_pem: there is no certificate in ",
        ),
        (
            certificate.clone(),
            certificate.clone(),
            "http_server.tls.key_pem: there is no private key",
        ),
        (
            certificate,
            another.signing_key.serialize_pem(),
            "http_server.tls: the key in key_pem does not belong to ",
        ),
    ] {
        std::fs::write(in_dir("c.pem"), certificate)?;
        std::fs::write(in_dir("k.pem"), key)?;
        let (code, line) = refused("serve", &file).await?;
        ensure!(code == 13, "{code}: {line}");
        ensure!(line.starts_with(&format!("error: {said}")), "{line}");
        ensure!(line.ends_with("campanile.yaml:2)"), "{line}");
    }
    Ok(())
}

#[tokio::test]
async fn an_address_that_is_taken_ends_the_start() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("campanile.yaml");
    let tcp = TcpListener::bind("127.0.0.1:0")?;
    let udp = UdpSocket::bind("127.0.0.1:0")?;
    let (tcp, udp) = (
        tcp.local_addr().map(|it| (it, tcp))?,
        udp.local_addr().map(|it| (it, udp))?,
    );
    let listen = "address: 127.0.0.1, port";
    for (text, key, address) in [
        (
            format!("http_server: {{{listen}: {}}}", tcp.0.port()),
            "http_server.port",
            tcp.0,
        ),
        (
            format!("http_server: {{{listen}: 0, internal_port: {}}}", tcp.0.port()),
            "http_server.internal_port",
            tcp.0,
        ),
        (
            format!(
                "http_server: {{{listen}: 0}}\nquic: {{enabled: true, generated_certificate: true, port: {}}}",
                udp.0.port()
            ),
            "quic.port",
            udp.0,
        ),
    ] {
        std::fs::write(&file, text)?;
        let (code, line) = refused("serve", &file).await?;
        ensure!(code == 14, "{code}: {line}");
        ensure!(
            line.starts_with(&format!("error: {key}: cannot listen on ")),
            "{line}"
        );
        ensure!(line.contains(&address.to_string()), "{line}");
        ensure!(line.contains("another process has that port"), "{line}");
        ensure!(line.contains("campanile.yaml:"), "{line}");
    }
    Ok(())
}

#[tokio::test]
async fn a_store_whose_host_is_not_found_ends_the_start() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("campanile.yaml");
    // No such name can exist, whatever name server is asked, if any.
    let text = "shards: [{name: a, url: 'redis://127.0.0.1:1'}]\ncluster:\n  store: redis://u:hush@store.invalid:6379\n";
    std::fs::write(&file, text)?;
    let (code, line) = refused("serve", &file).await?;
    ensure!(code == 15, "{code}: {line}");
    ensure!(
        line.starts_with("error: cluster.store: the host store.invalid cannot be found: "),
        "{line}"
    );
    ensure!(
        line.ends_with("campanile.yaml:3)") && !line.contains("hush"),
        "{line}"
    );
    Ok(())
}

#[tokio::test]
async fn every_mistake_is_told_and_mixed_ones_have_the_common_code() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("campanile.yaml");
    let path = file.to_str().context("UTF-8")?;
    for (text, code, lines) in [
        ("lion: 1\nzebra: 1\n", 10, 2),
        ("log: {level: loud}\nzebra: 1\n", 3, 2),
    ] {
        std::fs::write(&file, text)?;
        let ended = run(&["--config", path]).await?;
        assert_eq!(
            (ended.code, ended.said.lines().count()),
            (code, lines),
            "{}",
            ended.said
        );
        let checked = run(&["checkconfig", "--json", "--config", path]).await?;
        let findings = checked.json()?;
        ensure!(checked.code == code && findings["valid"] == false, "{findings}");
        let errors = findings["findings"].as_array().context("findings")?.iter();
        let errors: Vec<&Value> = errors.filter(|finding| finding["severity"] == "error").collect();
        ensure!(errors.len() == lines, "{findings}");
        ensure!(
            errors.iter().any(|error| error["mistake"] == "unknown_key"),
            "{findings}"
        );
        ensure!(
            errors[0]["place"]
                .as_str()
                .is_some_and(|place| place.starts_with(path)),
            "{findings}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_variable_or_a_flag_that_is_wrong_is_named() -> Result<()> {
    let mut by_variable = command(&["serve"])?;
    by_variable.env("CAMPANILE_CLIENT_PING_INTERVAL", "25");
    let ended = finish(by_variable).await?;
    ensure!(ended.code == 11, "{}", ended.said);
    ensure!(
        ended
            .said
            .ends_with("(environment variable CAMPANILE_CLIENT_PING_INTERVAL)\n"),
        "{}",
        ended.said
    );
    let wrong = ["serve", "--set", "client.ping_intervall=25s"];
    for command in ["serve", "gentoken", "checkconfig"] {
        let told = run(&[command, "--json", wrong[1], wrong[2]]).await?;
        ensure!(
            told.code == 10 && told.json()?.to_string().contains("did you mean"),
            "{}",
            told.out
        );
    }
    let ended = run(&wrong).await?;
    assert_eq!(
        (ended.code, ended.said.as_str()),
        (
            10,
            "error: client.ping_intervall: there is no such key; did you mean client.ping_interval? (command line)\n"
        )
    );
    Ok(())
}
