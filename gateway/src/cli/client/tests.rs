//! What can be typed, and what is printed.

use std::collections::BTreeMap;

use campanile_client::{Position, Publication, Reason};
use clap::Parser as _;
use serde_json::json;

use super::failure::Failure;
use super::line;
use crate::cli::{Cli, Command, Exit};

fn parse(line: &[&str]) -> Option<Command> {
    let line = ["campanile"].iter().chain(line);
    Some(Cli::try_parse_from(line).ok()?.into_command())
}

#[test]
fn what_is_asked_for_is_understood() {
    let line = [
        "sub",
        "a",
        "b",
        "-n",
        "3",
        "--since",
        "k:T:17",
        "--url",
        "quic://x:1,ws://x",
        "--json",
    ];
    let Some(Command::Sub(arguments)) = parse(&line) else {
        panic!("not understood");
    };
    assert_eq!(arguments.channels, ["a", "b"]);
    assert_eq!(arguments.count, Some(3));
    assert_eq!(arguments.since, Some(Position::new("k:T".into(), 17.into())));
    assert_eq!(arguments.server.urls, ["quic://x:1", "ws://x"]);
    assert!(arguments.server.json);
    let Some(Command::Pub(arguments)) = parse(&["pub", "a", "-1", "--token", "secret"]) else {
        panic!("not understood");
    };
    assert_eq!(arguments.data, "-1");
    assert!(!format!("{arguments:?}").contains("secret"));
}

#[test]
fn what_makes_no_sense_is_refused() {
    for line in [
        &["sub"][..],
        &["sub", "a", "-n", "0"],
        &["sub", "a", "--since", "17"],
        &["sub", "a", "--since", ":17"],
        &["sub", "a", "--since", "e:x"],
        &["sub", "a", "--cert-hash", "abc"],
        &["pub", "a"],
    ] {
        assert!(parse(line).is_none(), "{line:?}");
    }
}

#[test]
fn a_publication_is_one_line_whatever_is_in_it() {
    let mut publication = Publication::default();
    publication.data = r#"{"a":"\n"}"#.into();
    publication.offset = Some(7);
    publication.tags = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
    assert_eq!(
        line::publication("c", Some("e"), &publication),
        json!({
            "type": "publication", "channel": "c", "epoch": "e", "offset": 7, "data": { "a": "\n" },
            "tags": { "k": "v" },
        })
    );
    let mut publication = Publication::default();
    publication.data = "plain".into();
    assert_eq!(line::publication("c", None, &publication)["text"], "plain");
    publication.data = vec![0xff].into();
    assert_eq!(line::publication("c", None, &publication)["base64"], "/w==");
}

#[test]
fn a_refusal_says_what_to_do() {
    let refused = Failure::Refused {
        what: "news: not subscribed".to_owned(),
        reason: Reason::new(103, "permission denied"),
    };
    assert!(
        refused
            .to_string()
            .starts_with("news: not subscribed: permission denied (103). Give a --token")
    );
    assert_eq!(refused.json()["code"], 103);
    assert_eq!(refused.exit(), Exit::Refused);
}
