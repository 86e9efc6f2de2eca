//! The documents, held to what they describe: tables that a person wrote beside the code that they are about.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use campanile_common::{DisconnectCode, ErrorCode, UnsubscribeCode};
use campanile_tests::gateway::Gateway;

/// Where messages are defined, in the order of the table.
const MESSAGES: &[&str] = &[
    "error",
    "emulation",
    "command",
    "reply",
    "push",
    "publication",
    "connect",
    "subscribe",
    "operation",
];

#[tokio::test]
async fn operations_name_every_metric_that_a_gateway_exports_and_no_other() -> Result<()> {
    let mut gateway = Gateway::launch_bare().await?;
    gateway.wait_until_ready().await;
    let (_, body) = gateway.get("/metrics").await?;
    let exported: BTreeSet<String> = body
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .filter_map(|line| line.split(' ').next())
        .map(str::to_owned)
        .collect();
    let is_metric = |name: &String| name.starts_with("campanile_") || name.starts_with("process_");
    let named: BTreeSet<String> = first_cells(&document("operations.md")?)
        .filter(is_metric)
        .collect();
    assert_eq!(named, exported);
    Ok(())
}

#[test]
fn the_protocol_lists_every_message_with_its_fields() -> Result<()> {
    let mut defined = Vec::new();
    for file in MESSAGES {
        defined.extend(rows(&read(&format!("common/src/message/{file}.rs"))?));
    }
    let text = document("protocol.md")?;
    let (_, table) = text
        .split_once("| message | fields |\n| --- | --- |\n")
        .context("the protocol has a table of messages")?;
    let listed: Vec<_> = table.lines().map(str::to_owned).collect();
    for (listed, defined) in listed.iter().zip(&defined) {
        assert_eq!(listed, defined);
    }
    assert_eq!(listed.len(), defined.len());
    Ok(())
}

#[test]
fn the_codes_in_the_protocol_have_the_texts_that_are_sent() -> Result<()> {
    let text = document("protocol.md")?;
    let errors = ErrorCode::ALL.map(|code| (code.code(), code.message()));
    let ends = DisconnectCode::ALL.map(|code| (code.code(), code.reason()));
    let unsubscribes = UnsubscribeCode::ALL.map(|code| (code.code(), code.reason()));
    let known: Vec<_> = errors.into_iter().chain(ends).chain(unsubscribes).collect();
    let mut found = 0;
    for line in text.lines() {
        let mut cells = line.split('|').map(str::trim).skip(1);
        let code = cells.next().and_then(|cell| cell.parse::<u32>().ok());
        let Some((code, said)) = code.zip(cells.next()) else {
            continue;
        };
        if let Some((_, sent)) = known.iter().find(|(known, _)| *known == code) {
            assert_eq!(said, *sent, "{code}");
            found += 1;
        }
    }
    assert!(found > 25, "only {found} codes were found");
    Ok(())
}

#[test]
fn the_design_gives_a_reason_for_every_dependency_and_for_no_other() -> Result<()> {
    let manifest: toml::Table = read("Cargo.toml")?.parse()?;
    let dependencies = manifest["workspace"]["dependencies"]
        .as_table()
        .context("the workspace has dependencies")?;
    let named: BTreeSet<&str> = dependencies
        .keys()
        .map(String::as_str)
        .filter(|name| !name.starts_with("campanile-"))
        .collect();
    let text = document("design.md")?;
    let (_, table) = text
        .split_once("| crate | why this one |\n| --- | --- |\n")
        .context("the design has a table of dependencies")?;
    let explained: BTreeSet<&str> = table
        .lines()
        .filter_map(|row| row.split('|').nth(1))
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect();
    assert_eq!(explained, named);
    Ok(())
}

/// A row of the table for each message that `source` defines.
fn rows(source: &str) -> Vec<String> {
    let mut rows = Vec::new();
    let mut attribute = "";
    let mut fields: Option<(String, Vec<String>)> = None;
    let mut renamed = None;
    // What is not indented stands outside the macro that makes messages.
    for line in source.lines().filter_map(|line| line.strip_prefix("    ")) {
        let line = line.trim();
        if let Some(name) = line.strip_prefix("pub struct ") {
            let name = name.trim_end_matches("{}").trim_end_matches('{').trim();
            fields = Some((name.to_owned(), Vec::new()));
        } else if line.starts_with("#[prost(") {
            attribute = line;
        } else if let Some(name) = quoted(line, "#[serde(rename = ") {
            renamed = Some(name);
        } else if let (Some((name, kind)), Some((_, fields))) = (field(line), &mut fields)
            && let Some(tag) = quoted(attribute, "tag = ")
        {
            let name = renamed.take().unwrap_or(name);
            fields.push(format!("{tag}:{} `{name}`", wire_type(attribute, kind)));
        }
        if line.ends_with('}')
            && let Some((name, fields)) = fields.take()
        {
            rows.push(format!("| {name} | {} |", fields.join(", ")).replace("|  |", "| |"));
        }
    }
    rows
}

/// Name and type in the line of a field.
fn field(line: &str) -> Option<(&str, &str)> {
    let (name, kind) = line.strip_prefix("pub ")?.strip_suffix(',')?.split_once(": ")?;
    Some((name, kind))
}

/// The type on the wire of a field of the Rust type `kind`.
fn wire_type(attribute: &str, kind: &str) -> String {
    let message = kind
        .rsplit(|letter: char| !letter.is_alphanumeric())
        .find(|part| !part.is_empty());
    let message = message.unwrap_or(kind);
    let scalar = attribute.trim_start_matches("#[prost(");
    let scalar = scalar.split([',', ' ']).next().unwrap_or_default();
    let wire = match scalar {
        // The entries of a map, spelled out.
        "message" if message == "SubscriptionEntry" => return "map<string, SubscribeResult>".to_owned(),
        "message" => message.to_owned(),
        "btree_map" => {
            let types = quoted(attribute, "btree_map = ").unwrap_or_default();
            format!("map<{}>", types.replace("message", message))
        }
        scalar => scalar.to_owned(),
    };
    if attribute.contains("repeated") {
        format!("repeated {wire}")
    } else {
        wire
    }
}

/// The text in quotes behind `before`.
fn quoted<'a>(line: &'a str, before: &str) -> Option<&'a str> {
    let (_, rest) = line.split_once(before)?;
    rest.strip_prefix('"')?.split('"').next()
}

/// What stands between backticks in the first cells of tables.
fn first_cells(text: &str) -> impl Iterator<Item = String> {
    text.lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|line| line.split('`').next())
        .map(str::to_owned)
}

fn document(name: &str) -> Result<String> {
    read(&format!("docs/{name}"))
}

fn read(path: &str) -> Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}
