//! The start scripts of Redis servers that Sentinel looks after, and of Sentinel: what they make of what they are told.
//!
//! The programs that they call are stand-ins: a `redis-cli` that answers for the Sentinels, and a `redis-server` that shows the
//! configuration that it was given.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use campanile_tests::manifests::{Manifests, Mounts, write_files};
use serde_json::Value;

const PATHS: [&str; 6] = [
    "/bin-of-the-test",
    "/data",
    "/etc/campanile-redis",
    "/etc/campanile-sentinel",
    "/etc/redis",
    "/run/redis",
];

/// Writes a program.
fn program(folder: &Path, name: &str, text: &str) -> Result<()> {
    let file = folder.join(name);
    std::fs::write(&file, format!("#!/bin/sh\n{text}\n"))?;
    Ok(std::fs::set_permissions(
        file,
        std::fs::Permissions::from_mode(0o755),
    )?)
}

/// The configuration with which the first pod of a set starts its server. `answer` is what the Sentinels say.
fn started(set: &str, answer: &str, mounts: &Mounts) -> Result<String> {
    let manifests = Manifests::overlay("production")?;
    let workload = manifests.workload(set)?;
    let container = workload.container()?;
    for mount in container["volumeMounts"].as_array().into_iter().flatten() {
        let (name, path) = (mount["name"].as_str(), mount["mountPath"].as_str());
        let (name, path) = (name.unwrap_or_default(), path.unwrap_or_default());
        let mut files = match name {
            "data" | "run" => continue,
            volume => manifests.volume(workload, volume)?,
        };
        files.values_mut().for_each(|text| *text = mounts.point(text));
        write_files(&files, &mounts.at(path))?;
    }
    let tools = mounts.at(PATHS[0]);
    program(&tools, "redis-cli", &format!("printf '{answer}'"))?;
    program(&tools, "redis-server", "cat \"$1\"")?;
    let words = ["command", "args"].map(|part| container[part].as_array().cloned().unwrap_or_default());
    let words = words.concat();
    let mut words = words.iter().filter_map(Value::as_str).map(|it| mounts.point(it));
    let output = Command::new(words.next().unwrap_or_default())
        .args(words)
        .env_clear()
        .envs(manifests.environment(container, &format!("{set}-0"))?)
        .env("PATH", format!("{}:{}", tools.display(), std::env::var("PATH")?))
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{set}: {said}");
    Ok(String::from_utf8(output.stdout)?)
}

#[test]
fn a_redis_follows_whom_sentinel_names_and_else_the_first_of_the_two() -> Result<()> {
    let (first, second) = (
        "campanile-shard-0.campanile-shards",
        "campanile-shard-replica-0.campanile-shards-replica",
    );
    for (set, answer, follows) in [
        ("campanile-shard", "", None),
        ("campanile-shard-replica", "", Some(first)),
        ("campanile-shard", first, None),
        ("campanile-shard", second, Some(second)),
        ("campanile-shard-replica", second, None),
        ("campanile-shard-replica", first, Some(first)),
        ("campanile-shard", "ERR No such master with that name", None),
    ] {
        let mounts = Mounts::new(&PATHS)?;
        let answer = match answer {
            "" => String::new(),
            answer => format!("{answer}\\n6379\\n"),
        };
        let text = started(set, &answer, &mounts)?;
        let line = |begin: &str| {
            let found = text.lines().rev().find_map(|line| line.strip_prefix(begin));
            found.map(str::to_owned)
        };
        let expected = follows.map(|host| format!("{host} 6379"));
        assert_eq!(line("replicaof "), expected, "{set}, {answer:?}: {text}");
        let own = if set == "campanile-shard" { first } else { second };
        assert_eq!(line("replica-announce-ip ").as_deref(), Some(own));
        for secret in ["requirepass ", "masterauth "] {
            assert_eq!(line(secret).as_deref(), Some("\"replaceme\""));
        }
        assert_eq!(line("maxmemory-policy ").as_deref(), Some("noeviction"));
    }
    Ok(())
}

#[test]
fn a_sentinel_keeps_what_it_learned_and_is_told_the_rest_again() -> Result<()> {
    let mounts = Mounts::new(&PATHS)?;
    let text = started("campanile-sentinel", "", &mounts)?;
    for number in 0..3 {
        let line =
            format!("sentinel monitor shard-{number} campanile-shard-{number}.campanile-shards 6379 2");
        assert!(text.lines().any(|it| it == line), "{line}: {text}");
    }
    let learned = text
        .replace(
            "monitor shard-1 campanile-shard-1.campanile-shards",
            "monitor shard-1 campanile-shard-replica-1.campanile-shards-replica",
        )
        .replace("auth-pass shard-1 replaceme", "auth-pass shard-1 old");
    assert_ne!(learned, text);
    let lines: Vec<_> = learned
        .lines()
        .filter(|line| !line.contains("shard-2"))
        .map(|line| format!("{line}\n"))
        .collect();
    std::fs::write(mounts.at("/data").join("sentinel.conf"), lines.concat())?;
    let again = started("campanile-sentinel", "", &mounts)?;
    let count = |what: &str| again.lines().filter(|line| line.contains(what)).count();
    assert_eq!(count("sentinel monitor shard-1 "), 1);
    assert_eq!(
        count("sentinel monitor shard-1 campanile-shard-replica-1."),
        1,
        "{again}"
    );
    assert_eq!(
        count("sentinel monitor shard-2 "),
        1,
        "one that was added: {again}"
    );
    assert_eq!(count("auth-pass shard-1 replaceme"), 1);
    assert_eq!(count("auth-pass"), 3);
    assert_eq!(count("user default"), 1);
    assert_eq!(count("user operator"), 1);
    Ok(())
}
