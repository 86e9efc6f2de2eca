use std::fs;

use super::example::{hostile, report};
use super::{Document, Output, Report, html, json, table};
use crate::compare::Comparison;

const GOLDEN: &str = include_str!("table/golden.txt");

/// Elements of HTML that have no end tag.
const VOID: [&str; 2] = ["meta", "br"];

fn run(report: Report) -> Document {
    Document::Run(Box::new(report))
}

fn comparison() -> Document {
    let names = ["new".to_owned(), "old <1>".to_owned()];
    let rounds = vec![[report(1.0), report(1.25)], [report(1.1), report(1.3)]];
    Document::Comparison(Box::new(Comparison::new(names, rounds)))
}

#[test]
fn the_table_looks_as_it_is_meant_to() {
    let text = table::text(&run(report(1.0)));
    assert!(text.is_ascii());
    assert_eq!(text, GOLDEN, "\n{text}");
}

#[test]
fn the_table_says_what_was_broken_and_what_was_not_seen() {
    let mut broken = hostile();
    broken.outcome.recording.violation_count = 120;
    let text = table::text(&run(broken));
    assert!(
        text.contains("BROKEN PROMISES: 120\n  out of order: </script>"),
        "{text}"
    );
    assert!(text.contains("  and 119 more\n"), "{text}");
    assert!(text.contains("not measured: </script>"), "{text}");
    assert!(!text.contains("was kept"), "{text}");
}

#[test]
fn a_document_comes_back_from_json_as_it_was() {
    for document in [run(hostile()), comparison()] {
        let text = json::text(&document);
        let parsed = json::parse(&text).unwrap();
        // The last digit of a fraction may differ from what was written: JSON is read fast, not to the last bit.
        assert_eq!(table::text(&parsed), table::text(&document));
        let recordings = |document: &Document| -> Vec<_> {
            let runs = match document {
                Document::Run(report) => vec![report.as_ref()],
                Document::Comparison(comparison) => comparison.rounds.iter().flatten().collect(),
            };
            runs.into_iter()
                .map(|run| run.outcome.recording.clone())
                .collect()
        };
        assert_eq!(recordings(&parsed), recordings(&document));
    }
}

#[test]
fn what_is_no_report_is_refused_in_words() {
    let refused = |text: &str| json::parse(text).unwrap_err().to_string();
    assert!(
        refused("{}").starts_with("not a report: missing field"),
        "{}",
        refused("{}")
    );
    assert!(refused(r#"{"format":"other","version":1}"#).contains("not a report, but \"other\""));
    let later = json::text(&run(report(1.0))).replacen("\"version\":1", "\"version\":99", 1);
    assert!(refused(&later).contains("version 99"));
    let cut = json::text(&run(report(1.0))).replacen("\"figures\"", "\"numbers\"", 1);
    assert!(refused(&cut).starts_with("a damaged report"));
}

#[test]
fn pages_are_well_formed() {
    for page in pages() {
        let mut open = Vec::new();
        let body = page.strip_prefix("<!DOCTYPE html>\n").unwrap();
        for tag in body
            .split('<')
            .skip(1)
            .map(|rest| rest.split('>').next().unwrap())
        {
            let name: String = tag.chars().take_while(|letter| !letter.is_whitespace()).collect();
            if let Some(name) = name.strip_prefix('/') {
                assert_eq!(open.pop().as_deref(), Some(name));
            } else if !tag.ends_with('/') && !VOID.contains(&name.as_str()) {
                assert!(tag.matches('"').count().is_multiple_of(2), "<{tag}>");
                open.push(name);
            }
        }
        assert!(open.is_empty(), "{open:?}");
    }
}

#[test]
fn pages_ask_for_nothing_from_elsewhere_and_run_nothing() {
    for page in pages() {
        for forbidden in [
            "<script",
            "<img",
            "<link",
            "<iframe",
            "src=",
            "href=",
            "url(",
            "@import",
            "onerror='",
        ] {
            // What stands there in words has its tags escaped and is not taken for them.
            let words = page.replace("src=&quot;", "").replace("onerror=&#39;", "");
            assert!(!words.contains(forbidden), "{forbidden}");
        }
    }
}

#[test]
fn a_page_shows_what_was_measured() {
    let page = html::page(&[("this run".to_owned(), run(report(1.0)))]);
    for expected in [
        "1,612,345/CPU\u{a0}s",
        "8.250\u{a0}\u{b5}s",
        "Every promise that was checked was kept.",
        "<b>delivery</b>",
        "<b>deliveries a second</b>",
        "<b>CPU: cores busy</b>",
        "gateway-0",
        "campanile-bench fanout -c 1000",
        "campanile_writes_total{codec=&quot;protobuf&quot;}",
        "2025-06-15 15:07 UTC",
    ] {
        assert!(page.contains(expected), "{expected}");
    }
}

#[test]
fn several_runs_stand_side_by_side_with_their_ratios() {
    let page = html::page(&[
        ("before".to_owned(), run(report(1.0))),
        ("after".to_owned(), run(report(2.0))),
    ]);
    assert!(page.contains("<th class=\"n\">before</th><th class=\"n\">after</th>"));
    assert!(page.contains("\u{d7}\u{a0}0.500"));
    assert!(page.contains("after: gateway-0"));
}

#[test]
fn stored_reports_become_a_page_again() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second, page] =
        ["first.json", "second.json", "page.html"].map(|name| folder.path().join(name));
    fs::write(&first, json::text(&run(report(1.0)))).unwrap();
    fs::write(&second, json::text(&comparison())).unwrap();
    let output = Output {
        json: None,
        html: Some(page.clone()),
    };
    output.tell_again(&[first, second]).unwrap();
    let text = fs::read_to_string(page).unwrap();
    assert!(text.contains("A compared with B"));
    let missing = folder.path().join("missing.json");
    let failure = output.tell_again(std::slice::from_ref(&missing)).unwrap_err();
    assert!(
        failure.to_string().starts_with(&missing.display().to_string()),
        "{failure}"
    );
}

fn pages() -> [String; 3] {
    let pages = [
        vec![("evil <name>".to_owned(), run(hostile()))],
        vec![
            ("one".to_owned(), run(report(1.0))),
            ("two".to_owned(), run(hostile())),
        ],
        vec![("a comparison".to_owned(), comparison())],
    ];
    pages.map(|documents| html::page(&documents))
}
