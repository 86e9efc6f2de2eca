//! The binary as a process, where it needs no server. That this package has such a test also makes cargo build the binary
//! before the tests of the workspace run, which start it.

use std::net::TcpListener;
use std::process::{Command, Output};

use campanile_benches::scenario;

const BINARY: &str = env!("CARGO_BIN_EXE_campanile-bench");

fn run(arguments: &[&str]) -> Output {
    let output = Command::new(BINARY).args(arguments).output();
    output.expect("the binary was built with this test")
}

/// That it ended with this code, and the one line that it said.
fn refused(output: &Output, code: i32) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}");
    let mut lines = said.lines().filter(|line| line.starts_with("campanile-bench: "));
    let line = lines.next().expect("it says why");
    assert_eq!(lines.next(), None, "{said}");
    line.to_owned()
}

#[test]
fn the_list_has_every_scenario() {
    let output = run(&["list"]);
    assert!(output.status.success());
    let listed = String::from_utf8(output.stdout).unwrap();
    for scenario in scenario::ALL {
        assert!(
            listed.lines().any(|line| line.starts_with(scenario.name())),
            "{listed}"
        );
        for key in scenario.keys() {
            let option = format!("-o {}={}", key.name, key.default);
            assert!(listed.contains(&option), "{option}: {listed}");
        }
    }
}

#[test]
fn what_makes_no_sense_is_told_apart_from_what_does_not_work() {
    let line = refused(&run(&["juggle"]), 2);
    assert!(line.contains("juggle"), "{line}");
    assert_eq!(run(&["fanout", "--no-such-option"]).status.code(), Some(2));
    refused(&run(&["fanout", "--rate=-1"]), 2);
}

#[test]
fn a_result_that_could_not_be_kept_is_not_measured() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("missing/report.json");
    let file = file.to_str().unwrap();
    let line = refused(&run(&["fanout", "--json", file]), 2);
    assert!(line.contains(file), "{line}");
}

#[test]
fn a_load_in_which_nothing_would_be_checked_is_refused() {
    for (scenario, load, words) in [
        ("fanout", "--connections=0", "--connections"),
        ("fanout", "--rate=0", "--rate"),
        ("fanout", "--connect-rate=inf", "--connect-rate"),
        ("rooms", "--option=members=0", "members"),
        ("private", "--connections=0", "--connections"),
        ("connect", "--connections=0", "--connections"),
        ("recover", "--option=fraction=0", "fraction"),
        ("reshard", "--option=rounds=0", "rounds"),
        ("mixed", "--option=rounds=0", "rounds"),
        ("churn", "--rate=0", "--rate"),
        ("slow", "--connections=9", "10"),
    ] {
        let line = refused(&run(&[scenario, load]), 2);
        assert!(line.contains(words), "{scenario} {load}: {line}");
    }
}

#[test]
fn a_target_that_cannot_be_reached_is_named() {
    // Bound, so that nobody else is there, and closed again: connections are refused at once.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("ws://{closed}/connection/websocket");
    let api = format!("http://{closed}/api");
    let line = refused(&run(&["fanout", "--url", &url, "--api", &api]), 3);
    assert!(line.contains(&closed.to_string()), "{line}");
    let line = refused(&run(&["fanout", "--url", &url]), 3);
    assert!(line.contains("refused"), "{line}");
}

#[test]
fn more_connections_than_may_be_open_are_refused_with_what_to_do() {
    // The hard limit too: what the soft one is, the program raises by itself.
    let limited = "ulimit -n 300; exec \"$0\" \"$@\"";
    let run = |arguments: &[&str]| {
        let mut command = Command::new("sh");
        command.args(["-c", limited, BINARY]).args(arguments);
        command.output().unwrap()
    };
    let line = refused(
        &run(&["idle", "-c", "1000", "--url", "ws://127.0.0.1:9/", "--quiet"]),
        2,
    );
    assert!(line.contains("ulimit -n 1200"), "{line}");
    // The gateway that would be started has the same limit.
    let line = refused(
        &run(&["idle", "-c", "1000", "--workers", "10", "--shards", "0"]),
        2,
    );
    assert!(line.contains("--gateways"), "{line}");
}
