//! The binary as a process. That this package has such a test also makes cargo build the binary before the tests of the
//! workspace run, which start it.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Output, Stdio};

fn campanile(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_campanile"));
    command.args(arguments);
    command
}

fn run(arguments: &[&str]) -> Output {
    campanile(arguments)
        .output()
        .expect("the binary was built with this test")
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A gateway that runs, not longer than this value lives.
struct Running(Child);

impl Running {
    fn start(arguments: &[&str]) -> Self {
        let mut command = campanile(arguments);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        Self(child.expect("the binary was built with this test"))
    }

    /// The first lines that it prints.
    fn lines(&mut self, count: usize) -> Vec<String> {
        let stdout = self.0.stdout.take().expect("it is asked for its lines once");
        let lines = BufReader::new(stdout).lines().take(count);
        lines.map(|line| line.expect("it prints text")).collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already, unless the test failed.
        let _ = self.0.kill();
    }
}

#[test]
fn the_binary_tells_its_version() {
    for arguments in [["--version"], ["version"]] {
        let output = run(&arguments);
        assert!(output.status.success());
        assert!(out(&output).contains(env!("CARGO_PKG_VERSION")));
    }
}

#[test]
fn a_generated_configuration_is_valid_and_signs_tokens() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("campanile.yaml");
    std::fs::write(&file, run(&["genconfig"]).stdout).unwrap();
    let file = file.to_str().unwrap();
    let checked = run(&["checkconfig", "--config", file]);
    assert!(checked.status.success(), "{}", out(&checked));
    assert_eq!(out(&checked), "the configuration is valid\n");
    let token = run(&["gentoken", "--config", file, "--user", "ann", "--ttl", "1m"]);
    assert_eq!(out(&token).matches('.').count(), 2);
}

#[test]
fn each_kind_of_failure_has_its_exit_code() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (arguments, code) in [
        (&["--http.port", &port][..], 14),
        (&["--no-such-flag"], 2),
        (&["checkconfig", "--set", "no.such.key=1"], 10),
        (&["serve", "--set", "client.channel_limit=many"], 11),
        (&["gentoken", "--user", "ann"], 3),
    ] {
        assert_eq!(run(arguments).status.code(), Some(code), "{arguments:?}");
    }
}

#[test]
fn a_gateway_that_logs_nothing_still_says_why_it_does_not_start() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = run(&["--log.level", "none", "--http.port", &port]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("cannot listen on") && said.lines().count() == 1,
        "{said:?}"
    );
}

#[test]
fn it_says_where_it_listens_and_ends_when_told_to() {
    let mut gateway = Running::start(&["--http.port", "0"]);
    let printed = gateway.lines(4);
    let tcp = printed[0].strip_prefix("listening on http://127.0.0.1:");
    let udp = printed[1].strip_prefix("listening on quic://127.0.0.1:");
    assert!(tcp.is_some() && tcp == udp, "{printed:?}");
    assert!(
        printed[2].starts_with("API key: ") && printed[3].starts_with("token secret: "),
        "{printed:?}"
    );
    let told = Command::new("kill")
        .arg(gateway.0.id().to_string())
        .status()
        .unwrap();
    assert!(told.success());
    assert_eq!(gateway.0.wait().unwrap().code(), Some(0));
}

#[test]
fn a_running_gateway_is_asked_about_its_shards() {
    let mut gateway = Running::start(&["--http.port", "0"]);
    let printed = gateway.lines(3);
    let url = printed[0].strip_prefix("listening on ").unwrap().to_owned();
    let key = printed[2].strip_prefix("API key: ").unwrap().to_owned();
    let ask = |arguments: &[&str]| {
        let mut command = campanile(&["shards", "--url", &url]);
        command.env("CAMPANILE_HTTP_API_KEY", &key).args(arguments);
        command.output().expect("the binary was built with this test")
    };
    // It has no topology yet for a moment, and says so.
    let list = loop {
        let output = ask(&["list"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        match output.status.code() {
            Some(5) if said.contains("no topology yet") => {}
            _ => break output,
        }
    };
    let text = out(&list);
    assert!(list.status.success(), "{text}");
    let header = text.lines().next().unwrap();
    assert!(header.starts_with("NAME      ADDRESS       STATE"), "{text}");
    assert_eq!(
        text.matches("  this process  active       1  ").count(),
        4,
        "{text}"
    );

    let plan = out(&ask(&["plan", "remove", "memory-1", "--json"]));
    assert!(
        plan.starts_with("{\"generation\":") && plan.contains("\"minimum\":"),
        "{plan}"
    );
    assert_eq!(out(&ask(&["plan"])), "nothing moves\n");

    for (arguments, code, words) in [
        (&["drain", "nowhere"][..], 5, "there is no shard nowhere"),
        (&["weight", "memory-1", "0"], 5, "weight 0"),
        (&["list", "--wait"], 2, "nothing to wait for"),
        (&["list", "--api-key", "another"], 5, "--api-key"),
        (&["list", "--url", "http://127.0.0.1:1"], 1, "127.0.0.1:1"),
        (&["list", "--url", "https://127.0.0.1:1"], 1, "127.0.0.1:1"),
        (&["list", "--url", "redis://h"], 2, "redis://h"),
    ] {
        let output = ask(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(words) && said.lines().count() == 1, "{said:?}");
        assert!(!said.contains(&key), "{said:?}");
    }
    let added = ask(&["add", "memory-5", "memory:", "--wait", "--json"]);
    let lines = out(&added);
    assert!(added.status.success(), "{lines}");
    assert!(
        lines.lines().next().unwrap().contains("\"to\":\"memory-5\""),
        "{lines}"
    );
    let last = lines.lines().last().unwrap();
    assert!(
        last.starts_with("{\"done\":true,\"generation\":") && last.ends_with("\"moves\":null}"),
        "{lines}"
    );
    let removed = out(&ask(&["remove", "memory-1", "--wait"]));
    assert!(
        removed.lines().last().unwrap().starts_with("done; topology "),
        "{removed}"
    );
    let text = out(&ask(&["list"]));
    assert!(
        text.contains("\nmemory-5  this process  active") && !text.contains("memory-1"),
        "{text}"
    );

    let refused = out(&ask(&["drain", "nowhere", "--json"]));
    assert!(refused.starts_with("{\"error\":{\"code\":300,"), "{refused}");
}

#[test]
fn a_certificate_that_cannot_be_used_ends_the_start_with_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name).display().to_string();
    let [mine, other] = [(); 2].map(|()| rcgen::generate_simple_self_signed(["h".to_owned()]).unwrap());
    std::fs::write(file("c.pem"), mine.cert.pem()).unwrap();
    std::fs::write(file("k.pem"), other.signing_key.serialize_pem()).unwrap();
    let (certificate, key) = (file("c.pem"), file("k.pem"));
    let with = |command, certificate: &str| {
        run(&[
            command,
            "--set=http_server.tls.enabled=true",
            &format!("--set=http_server.tls.cert_pem={certificate}"),
            &format!("--set=http_server.tls.key_pem={key}"),
        ])
    };
    for command in ["serve", "checkconfig"] {
        for (certificate, words) in [
            (
                &certificate,
                "error: http_server.tls: the key in key_pem does not belong to",
            ),
            (&file("nowhere"), "error: http_server.tls.cert_pem: cannot read "),
        ] {
            let output = with(command, certificate);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(13), "{command}: {said}");
            assert_eq!(said.matches("error: ").count(), 1, "{said}");
            assert!(said.contains(words), "{said}");
        }
    }
    std::fs::write(&key, mine.signing_key.serialize_pem()).unwrap();
    assert!(with("checkconfig", &certificate).status.success());
}

#[test]
fn the_fingerprint_of_a_certificate_is_printed() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("c.pem");
    let path = file.to_str().unwrap();
    std::fs::write(
        &file,
        rcgen::generate_simple_self_signed(["h".to_owned()])
            .unwrap()
            .cert
            .pem(),
    )
    .unwrap();
    let output = run(&["fingerprint", path]);
    let text = out(&output);
    let lengths: Vec<usize> = text.lines().map(str::len).collect();
    assert_eq!(lengths, [64, 44], "{text}");
    std::fs::write(&file, "nothing").unwrap();
    let output = run(&["fingerprint", path]);
    assert_eq!(output.status.code(), Some(13));
    assert!(String::from_utf8_lossy(&output.stderr).contains("there is no certificate in"));
}
