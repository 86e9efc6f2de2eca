//! The command line as scripts use it: mistakes that end a start, exit codes, JSON, and commands that ask gateways.

use std::collections::BTreeSet;
use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use campanile_common::Codec;
use campanile_tests::cluster::Cluster;
use campanile_tests::gateway::{API_KEY, Gateway, binary};
use campanile_tests::token;
use campanile_tests::wait::{SOON, until};
use campanile_tests::wire::{Transport, Wire};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

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

/// How a command ended.
struct Ended {
    code: i32,
    out: String,
    said: String,
}

impl Ended {
    /// Its output, which is JSON.
    fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.out).with_context(|| format!("not JSON: {}{}", self.out, self.said))
    }
}

/// Runs the program to its end.
async fn run(arguments: &[&str]) -> Result<Ended> {
    finish(command(arguments)?).await
}

fn command(arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(binary()?);
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    Ok(command)
}

async fn finish(mut command: Command) -> Result<Ended> {
    let output = tokio::time::timeout(2 * SOON, command.output())
        .await
        .with_context(|| format!("it hangs: {command:?}"))??;
    Ok(Ended {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout)?,
        said: String::from_utf8(output.stderr)?,
    })
}

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

#[tokio::test]
async fn a_token_is_verified_as_a_gateway_would() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("campanile.json");
    let config = json!({ "client": { "token": { "hmac_secret_key": token::SECRET, "audience": "chat" } } });
    std::fs::write(&file, config.to_string())?;
    let path = file.to_str().context("UTF-8")?;
    let claims = |audience: &str, seconds| json!({ "sub": "ann", "aud": audience, "exp": token::seconds_from_now(seconds) });
    let check = async |token: &str, more: &[&str]| {
        run(&[&["checktoken", "--config", path, token][..], more].concat()).await
    };

    let good = token::sign(&claims("chat", 3600), token::SECRET);
    let ended = check(&good, &[]).await?;
    ensure!(ended.code == 0, "{}", ended.said);
    ensure!(
        ended
            .out
            .starts_with("valid: a connection token of user ann\nexpires: in "),
        "{}",
        ended.out
    );
    ensure!(ended.out.contains("\"aud\":\"chat\""), "{}", ended.out);
    let told = check(&good, &["--json"]).await?.json()?;
    ensure!(
        told["valid"] == true && told["kind"] == "connection" && told["user"] == "ann",
        "{told}"
    );
    ensure!(
        told["claims"]["aud"] == "chat" && told["algorithm"] == "HS256",
        "{told}"
    );

    let mut tampered = claims("chat", 3600);
    tampered["channel"] = json!("news");
    let for_news = token::sign(&tampered, token::SECRET);
    let ended = check(&for_news, &["--channel", "news"]).await?;
    ensure!(
        ended.code == 0 && ended.out.contains("for channel news"),
        "{}{}",
        ended.out,
        ended.said
    );

    for (token, more, code, words) in [
        (
            token::sign(&claims("chat", -90), token::SECRET),
            &[][..],
            8,
            "it expired ",
        ),
        (
            token::sign(&claims("chat", 3600), "another-key-that-is-long-enough"),
            &[],
            7,
            "it is not signed with client.token.hmac_secret_key",
        ),
        (
            token::sign(&claims("news", 3600), token::SECRET),
            &[],
            7,
            "its aud is news; client.token.audience is chat",
        ),
        (
            for_news.clone(),
            &["--channel", "sports"],
            7,
            "it is for channel news",
        ),
        (
            good.clone(),
            &["--channel", "news"],
            7,
            "it is a connection token",
        ),
        ("nonsense".to_owned(), &[], 7, "it is no token"),
    ] {
        let ended = check(&token, more).await?;
        ensure!(
            ended.code == code && ended.out.is_empty(),
            "{}: {}",
            ended.code,
            ended.out
        );
        ensure!(
            ended.said.contains(words) && ended.said.lines().count() == 1,
            "{}",
            ended.said
        );
        let told = check(&token, &[more, &["--json"]].concat()).await?.json()?;
        let reason = told["reason"].as_str().unwrap_or_default();
        ensure!(told["valid"] == false && reason.contains(words), "{told}");
    }

    let mut from_input = command(&["checktoken", "--config", path, "-"])?;
    from_input.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = from_input.spawn()?;
    let mut input = child.stdin.take().context("its input")?;
    input.write_all(format!("{good}\n").as_bytes()).await?;
    drop(input);
    let ended = tokio::time::timeout(2 * SOON, child.wait_with_output()).await??;
    ensure!(ended.status.code() == Some(0), "{ended:?}");
    let keyless = run(&["checktoken", &good]).await?;
    ensure!(keyless.code == 3, "{}", keyless.said);
    Ok(())
}

#[tokio::test]
async fn a_generated_token_is_valid() -> Result<()> {
    let mut made = command(&["gentoken", "--user", "ann", "--channel", "news"])?;
    made.env("CAMPANILE_CLIENT_TOKEN_HMAC_SECRET_KEY", token::SECRET);
    let token = finish(made).await?.out;
    let mut checked = command(&["checktoken", token.trim(), "--channel", "news"])?;
    checked.env("CAMPANILE_CLIENT_TOKEN_HMAC_SECRET_KEY", token::SECRET);
    let ended = finish(checked).await?;
    ensure!(ended.code == 0, "{}", ended.said);
    Ok(())
}

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
        refused.code == 1 && refused.said.contains("--api-key"),
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
