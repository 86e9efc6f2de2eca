//! The architecture as a test: which code knows nothing of I/O, and which crate may know which.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Files, and folders with all that is in them, that compute and do nothing else: no runtime, no Redis, no sockets, no
/// files, no clocks. A path that is not there fails the test, so that a move is followed here.
const PURE: &[&str] = &[
    "client/src/protocol.rs",
    "client/src/protocol",
    "common/src",
    "shard-router/src/partition.rs",
    "shard-router/src/publication.rs",
    "shard-router/src/ring.rs",
    "shard-router/src/ring",
    "shard-router/src/topology.rs",
    "shard-router/src/topology",
    "shard-router/src/safeguard.rs",
    "shard-router/src/fence.rs",
    "shard-router/src/coordinator/bootstrap.rs",
    "shard-router/src/coordinator/conductor/batch.rs",
    "shard-router/src/coordinator/decision.rs",
    "shard-router/src/coordinator/list.rs",
    "shard-router/src/coordinator/options.rs",
    "shard-router/src/handover.rs",
    "shard-router/src/handover",
    "shard-router/src/mover.rs",
    "shard-router/src/mover",
    "shard-router/src/feed.rs",
    "shard-router/src/feed",
    "shard-router/src/router/renewals.rs",
    "shard-router/src/router/renewals",
    "shard-router/src/store/report.rs",
    "shard-router/src/memory/state.rs",
    "shard-router/src/memory/state",
    "shard-router/src/shard/copying.rs",
    "shard-router/src/shard/envelope.rs",
    "shard-router/src/shard/events.rs",
    "shard-router/src/shard/key_name.rs",
    "shard-router/src/shard/parts.rs",
    "shard-router/src/shard/requests.rs",
    "gateway/src/auth.rs",
    "gateway/src/auth",
    "gateway/src/session.rs",
    "gateway/src/session",
    "gateway/src/timers/wheel.rs",
    "gateway/src/transport/stream/violation.rs",
    "gateway/src/transport/websocket/decoder.rs",
    "gateway/src/transport/websocket/frame.rs",
    "gateway/src/transport/websocket/violation.rs",
];

/// What would betray I/O in them.
const FORBIDDEN: &[&str] = &[
    "tokio",
    "redis::",
    "std::net",
    "std::fs",
    "std::thread",
    "Instant::now",
    "SystemTime::now",
];

/// Which of our crates each of them may name, and which foreign ones it must not.
const CRATES: &[(&str, &[&str], &[&str])] = &[
    ("common", &[], &["tokio", "redis"]),
    ("shard-router", &["campanile-common"], &["axum", "hyper"]),
    (
        "gateway",
        &["campanile-client", "campanile-common", "campanile-shard-router"],
        &["redis"],
    ),
    ("client", &["campanile-common"], &["redis"]),
];

#[test]
fn pure_code_does_no_io() {
    let mut offences = Vec::new();
    for pure in PURE {
        let path = root().join(pure);
        assert!(path.exists(), "{pure} is listed as pure but is not there");
        for file in rust_files(&path) {
            let text = fs::read_to_string(&file).expect("a file just listed can be read");
            offences.extend(offences_in(&file, &text));
        }
    }
    assert!(offences.is_empty(), "I/O in pure code:\n{}", offences.join("\n"));
}

#[test]
fn dependencies_run_one_way() {
    for (name, allowed, forbidden) in CRATES {
        let dependencies = dependencies(&root().join(name).join("Cargo.toml"));
        for dependency in &dependencies {
            let ours = dependency.starts_with("campanile-");
            assert!(
                !ours || allowed.contains(&dependency.as_str()),
                "{name} must not depend on {dependency}"
            );
            assert!(
                !forbidden.contains(&dependency.as_str()),
                "{name} must not depend on {dependency}"
            );
        }
    }
}

/// The gateway is a server; its commands are a client, and they alone know the client crate.
#[test]
fn only_commands_of_the_gateway_are_a_client() {
    let source = root().join("gateway/src");
    let commands = source.join("cli");
    for file in rust_files(&source) {
        let text = fs::read_to_string(&file).expect("a file just listed can be read");
        assert!(
            !text.contains("campanile_client::") || file.starts_with(&commands),
            "{} must not use the client crate",
            file.display()
        );
    }
}

#[test]
fn an_offence_is_seen_and_a_comment_is_not() {
    let file = Path::new("x.rs");
    assert_eq!(
        offences_in(file, "use tokio::time;\nlet now = Instant::now();\n").len(),
        2
    );
    assert_eq!(
        offences_in(
            file,
            "// free of tokio\n/// and of `std::net`\nlet a = 1; // no tokio\n"
        )
        .len(),
        0
    );
}

fn offences_in(file: &Path, text: &str) -> Vec<String> {
    let code = |line: &str| line.split("//").next().unwrap_or_default().to_owned();
    let lines = text.lines().map(code).enumerate();
    lines
        .flat_map(|(number, line)| {
            FORBIDDEN
                .iter()
                .filter(move |word| line.contains(**word))
                .map(move |word| format!("{}:{}: {word}", file.display(), number + 1))
        })
        .collect()
}

/// The `.rs` files at or under `path`, without those that hold nothing but tests.
fn rust_files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let entries = fs::read_dir(path).expect("a listed folder can be read");
    entries
        .map(|entry| entry.expect("an entry of a folder just opened").path())
        .filter(|path| path.file_stem().is_none_or(|stem| stem != "tests"))
        .filter(|path| path.is_dir() || path.extension().is_some_and(|extension| extension == "rs"))
        .flat_map(|path| rust_files(&path))
        .collect()
}

/// The names in all dependency tables of a manifest.
fn dependencies(manifest: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(manifest).expect("each crate has a manifest");
    let manifest: toml::Table = text.parse().expect("a manifest is TOML");
    ["dependencies", "dev-dependencies", "build-dependencies"]
        .iter()
        .filter_map(|table| manifest.get(*table)?.as_table())
        .flat_map(|table| table.keys().cloned())
        .collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
