//! What operators and scripts get to see.

use campanile_client::TlsOptions;
use clap::Parser as _;
use serde_json::json;

use super::arguments::{ChangeCommand, ShardsCommand};
use super::progress::{bar, line};
use super::wait::Verdict;
use super::*;
use crate::cli::caller::Caller;
use crate::cli::{Cli, Command};
use crate::shards::report::{Load, MoveGroup, Moves, ShardRow};

fn row(name: &str, state: &str, partitions: usize) -> ShardRow {
    ShardRow {
        name: name.to_owned(),
        address: format!("10.0.0.{}:6379", name.len()),
        state: state.to_owned(),
        weight: 1,
        partitions,
        share: f64::from(u32::try_from(partitions).unwrap()) / 4096.0,
        incarnation: Some("5a".repeat(4)),
        reachable: true,
        ..ShardRow::default()
    }
}

fn listed() -> ShardList {
    ShardList {
        generation: 7,
        managed_by: "api".to_owned(),
        shards: vec![
            row("a", "active", 3072),
            ShardRow {
                weight: 20,
                incarnation: None,
                reachable: false,
                trouble: Some("it does not answer".to_owned()),
                ..row("north-2", "draining", 1024)
            },
        ],
    }
}

fn group(from: &str, to: &str, partitions: usize, bytes: Option<u64>) -> MoveGroup {
    MoveGroup {
        from: from.to_owned(),
        to: to.to_owned(),
        partitions,
        share: f64::from(u32::try_from(partitions).unwrap()) / 4096.0,
        bytes,
    }
}

fn moves() -> Moves {
    Moves {
        planned: 1024,
        done: 512,
        left: 448,
        moving: 64,
        groups: vec![group("a", "b", 512, None)],
        bytes: Some(5 << 20),
        seconds: Some(10.0),
        rate: Some(51.2),
        byte_rate: Some(f64::from(1 << 19)),
        remaining: Some(10.0),
        stage: Some("copying".to_owned()),
        trouble: None,
    }
}

#[test]
fn the_list_is_a_table() {
    assert_eq!(
        show::list(&listed()),
        "\
NAME     ADDRESS        STATE     WEIGHT  PARTITIONS   SHARE  REACHABLE  INCARNATION
a        10.0.0.1:6379  active         1        3072  75.0 %  yes        5a5a5a5a
north-2  10.0.0.7:6379  draining      20        1024  25.0 %  no         -

north-2: it does not answer
topology 7; the list is managed by: api
"
    );
}

#[test]
fn a_plan_says_what_moves_how_much_and_what_comes_of_it() {
    let load = |name: &str, before, after| Load {
        name: name.to_owned(),
        before,
        after,
        share: f64::from(u32::try_from(after).unwrap()) / 4096.0,
    };
    let plan = PlanReport {
        generation: 7,
        moves: vec![
            group("a", "c", 683, Some(700 << 20)),
            group("b", "c", 682, Some(999)),
        ],
        partitions: 1365,
        share: 1365.0 / 4096.0,
        bytes: Some((700 << 20) + 999),
        minimum: 1365,
        shards: vec![load("a", 2048, 1365), load("b", 2048, 1366), load("c", 0, 1365)],
    };
    assert_eq!(
        show::plan(&plan),
        "\
1365 of 4096 partitions move (33.3 %), about 700 MiB; the minimum is 1365

FROM  TO  PARTITIONS   SHARE    BYTES
a     c          683  16.7 %  700 MiB
b     c          682  16.7 %    999 B

SHARD  BEFORE  AFTER   SHARE
a        2048   1365  33.3 %
b        2048   1366  33.3 %
c           0   1365  33.3 %
"
    );
    assert_eq!(show::plan(&PlanReport::default()), "nothing moves\n");
}

#[test]
fn the_status_is_the_list_and_what_has_not_arrived() {
    let status = Status {
        list: listed(),
        moves: Some(moves()),
        ..Status::default()
    };
    let text = show::status(&status);
    let (list, moves) = text.split_at(show::list(&listed()).len());
    assert_eq!(list, show::list(&listed()));
    assert_eq!(
        moves,
        "
512 of 1024 partitions moved (50.0 %), 64 on the way, 51.2/s, 512 KiB/s, 10s left, copying

FROM  TO  PARTITIONS
a     b          512
"
    );
    assert!(show::status(&Status::default()).ends_with("\nnothing moves\n"));
}

#[test]
fn progress_has_its_rate_and_what_is_left() {
    assert_eq!(
        bar(&moves()),
        "████████████░░░░░░░░░░░░  512/1024  51.2/s  512 KiB/s  10s left  copying"
    );
    assert_eq!(
        line(&moves()),
        "512 of 1024 partitions moved (50.0 %), 64 on the way, 51.2/s, 512 KiB/s, 10s left, copying"
    );
    let stuck = Moves {
        rate: None,
        byte_rate: None,
        remaining: Some(3725.0),
        trouble: Some("gateway g-2 does not answer".to_owned()),
        ..moves()
    };
    assert_eq!(
        bar(&stuck),
        "████████████░░░░░░░░░░░░  512/1024  1h02m left  gateway g-2 does not answer"
    );
    assert!(bar(&moves()).chars().count() < 80);
}

#[test]
fn sizes_have_three_digits() {
    for (count, text) in [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.00 KiB"),
        (10 << 10, "10.0 KiB"),
        (1_048_000, "1.00 MiB"),
        (u64::MAX, "16384 PiB"),
    ] {
        assert_eq!(show::bytes(count), text);
    }
}

#[test]
fn waiting_ends_when_the_aim_is_reached_or_given_up() {
    let status = |generation, moving: bool, shards: &[ShardRow]| Status {
        list: ShardList {
            generation,
            shards: shards.to_vec(),
            ..ShardList::default()
        },
        moves: moving.then(moves),
        ..Status::default()
    };
    let (active, full) = ([row("d", "active", 9)], [row("d", "draining", 9)]);
    let (empty, leaving, lost) = (
        [row("d", "draining", 0)],
        [row("d", "leaving", 0)],
        [row("d", "lost", 0)],
    );
    let d = || "d".to_owned();
    let aims = [Aim::Active(d()), Aim::Drained(d()), Aim::Gone(d()), Aim::Idle];
    for aim in &aims {
        assert_eq!(
            aim.judge(5, &status(4, false, &active)),
            Verdict::Going,
            "{aim:?}"
        );
        assert_eq!(aim.judge(5, &status(5, true, &active)), Verdict::Going, "{aim:?}");
    }
    // For each aim: is it reached, given up, or still going on?
    let cases: [(&[ShardRow], [char; 4]); 6] = [
        (&active, ['+', '-', '-', '+']),
        (&full, ['-', '-', '-', '+']),
        (&empty, ['-', '+', '.', '+']),
        (&leaving, ['-', '+', '.', '+']),
        (&lost, ['-', '-', '.', '+']),
        (&[], ['-', '+', '+', '+']),
    ];
    for (shards, expected) in cases {
        for (aim, expected) in aims.iter().zip(expected) {
            let verdict = match aim.judge(5, &status(6, false, shards)) {
                Verdict::Done => '+',
                Verdict::Going => '.',
                Verdict::Abandoned(why) => {
                    assert!(why.contains("shard d"), "{why}");
                    '-'
                }
            };
            assert_eq!(verdict, expected, "{aim:?} {shards:?}");
        }
    }
    let heavy = Aim::Weight(d(), 1);
    assert_eq!(heavy.judge(5, &status(6, false, &active)), Verdict::Done);
    assert!(matches!(
        Aim::Weight(d(), 2).judge(5, &status(6, false, &active)),
        Verdict::Abandoned(_)
    ));
}

fn parse(line: &[&str]) -> ShardsArguments {
    let line = ["campanile", "shards"].iter().chain(line);
    let Command::Shards(arguments) = Cli::parse_from(line).into_command() else {
        panic!("that is another command");
    };
    arguments
}

#[test]
fn each_command_is_a_call_of_the_api() {
    let change = |line: &[&str]| match parse(line).command {
        ShardsCommand::Change(change) => change.call().unwrap(),
        other => panic!("{other:?} changes nothing"),
    };
    assert_eq!(
        change(&["add", "d", "redis://h:1", "--weight", "2", "--durable", "--wait"]),
        (
            "shards/add",
            json!({ "name": "d", "url": "redis://h:1", "weight": 2, "durable": true })
        )
    );
    assert_eq!(
        change(&["drain", "d"]),
        ("shards/drain", json!({ "name": "d", "undo": false }))
    );
    assert_eq!(
        change(&["remove", "d"]),
        ("shards/remove", json!({ "name": "d" }))
    );
    assert_eq!(
        change(&["weight", "d", "0", "--json"]),
        ("shards/weight", json!({ "name": "d", "weight": 0 }))
    );
    let ShardsCommand::Plan { change: Some(change) } = parse(&["plan", "remove", "d"]).command else {
        panic!("that is no plan");
    };
    assert_eq!(
        ChangeCommand::hypothetical(change).unwrap(),
        json!({ "remove": { "name": "d" } })
    );
}

#[test]
fn neither_key_nor_url_shows_when_arguments_are_printed() {
    let arguments = parse(&["--api-key", "hidden", "add", "d", "redis://u:hidden@h"]);
    assert!(!format!("{arguments:?}").contains("hidden"));
}

#[test]
fn only_what_can_be_a_gateway_is_called() {
    let new = |url: &str| Caller::new(url, None, &TlsOptions::default());
    let of = |url: &str| new(url).map(drop).unwrap_err();
    for url in ["127.0.0.1:8000", "redis://h", "", "http:///x", "/x"] {
        assert!(matches!(of(url), CallError::Url(_)), "{url}");
    }
    for url in [
        "http://h",
        "http://[::1]:8000/",
        "http://h:1/an/api",
        "https://h",
        "https://[::1]:8000",
    ] {
        assert!(new(url).is_ok(), "{url}");
    }
}
