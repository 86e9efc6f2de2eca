//! The start scripts of Redis servers that Sentinel looks after, and of Sentinel: what they make of what they are told.
//!
//! The programs that they call are stand-ins: a `redis-cli` that answers for whoever is asked, and a `redis-server` that shows the
//! configuration that it was given. What real ones make of it is in `tests/tests/production`.

use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use campanile_tests::manifests::{Manifests, Mounts, write_files};
use campanile_tests::process::{Process, write_script};
use campanile_tests::wait::{SOON, eventually};
use serde_json::Value;

const TOOLS: &str = "/bin-of-the-test";
const PATHS: [&str; 7] = [
    TOOLS,
    "/data",
    "/etc/campanile-redis",
    "/etc/campanile-sentinel",
    "/etc/redis",
    "/run/redis",
    "/run/sentinel",
];

const SHARD: &str = "campanile-shard-0";

/// The two of it.
const FIRST: &str = "campanile-shard-0.campanile-shards";
const SECOND: &str = "campanile-shard-replica-0.campanile-shards";

/// The first container of a set, with stand-ins for its programs.
struct Stage {
    mounts: Mounts,
    set: &'static str,
}

impl Stage {
    fn new(set: &'static str) -> Result<Self> {
        let mounts = Mounts::new(&PATHS)?;
        let (tools, calls) = (mounts.at(TOOLS), mounts.at(TOOLS).join("calls"));
        // `-h HOST …`: what HOST says is in the file of its name.
        let cli = format!(
            "echo \"$2\" >> '{}'; exec cat '{}'/\"$2\"",
            calls.display(),
            tools.display()
        );
        write_script(&tools.join("redis-cli"), &cli)?;
        write_script(&tools.join("redis-server"), "cat \"$1\"")?;
        let stage = Self { mounts, set };
        let manifests = Manifests::overlay("production")?;
        let workload = manifests.workload(set)?;
        for mount in list(&workload.container()?["volumeMounts"]) {
            let (name, path) = (mount["name"].as_str(), mount["mountPath"].as_str());
            let name = name.context("a volume")?;
            if !["data", "run"].contains(&name) {
                let mut files = manifests.volume(workload, name)?;
                files
                    .values_mut()
                    .for_each(|text| *text = stage.mounts.point(text));
                write_files(&files, &stage.mounts.at(path.context("a path")?))?;
            }
        }
        Ok(stage)
    }

    /// Has a host answer from now on.
    fn says(&self, host: &str, text: &str) -> Result<()> {
        Ok(std::fs::write(self.mounts.at(TOOLS).join(host), text)?)
    }

    /// Has a Sentinel know a primary since the failover of this number.
    fn sentinel(&self, number: usize, primary: &str, epoch: usize) -> Result<()> {
        let text = format!(
            "PONG\n{primary}\n6379\nname\n{SHARD}\nip\n{primary}\nport\n6379\nrunid\n\nconfig-epoch\n{epoch}\n"
        );
        self.says(&sentinel(number), &text)
    }

    /// Has a Sentinel know nothing of the shard.
    fn clueless(&self, number: usize) -> Result<()> {
        self.says(&sentinel(number), "PONG\n\nERR No such master with that name\n")
    }

    /// How often `redis-cli` was called.
    fn calls(&self) -> usize {
        let calls = std::fs::read_to_string(self.mounts.at(TOOLS).join("calls"));
        calls.map_or(0, |calls| calls.lines().count())
    }

    /// What the container starts.
    fn command(&self) -> Result<Command> {
        let manifests = Manifests::overlay("production")?;
        let container = manifests.workload(self.set)?.container()?.clone();
        let words = ["command", "args"].map(|part| container[part].as_array().cloned().unwrap_or_default());
        let words = words.concat();
        let mut words = words
            .iter()
            .filter_map(Value::as_str)
            .map(|it| self.mounts.point(it));
        let mut command = Command::new(words.next().context("a command")?);
        let tools = self.mounts.at(TOOLS);
        command
            .args(words)
            .env_clear()
            .envs(manifests.environment(&container, &format!("{}-0", self.set))?)
            .env("PATH", format!("{}:{}", tools.display(), std::env::var("PATH")?))
            .stdin(Stdio::null());
        Ok(command)
    }

    /// The configuration with which it starts its server. `change` may set variables.
    fn started(&self, change: impl FnOnce(&mut Command)) -> Result<String> {
        let mut command = self.command()?;
        change(&mut command);
        let Output {
            status,
            stdout,
            stderr,
        } = command.output()?;
        ensure!(
            status.success(),
            "{}: {}",
            self.set,
            String::from_utf8_lossy(&stderr)
        );
        Ok(String::from_utf8(stdout)?)
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn sentinel(number: usize) -> String {
    format!("campanile-sentinel-{number}.campanile-sentinels")
}

/// The last line that begins so.
fn line(text: &str, begin: &str) -> Option<String> {
    let found = text.lines().rev().find_map(|line| line.strip_prefix(begin));
    found.map(str::to_owned)
}

#[test]
fn a_redis_follows_whom_the_sentinels_name() -> Result<()> {
    for (set, own) in [("campanile-shard", FIRST), ("campanile-shard-replica", SECOND)] {
        // Who the Sentinels say is primary, and since which failover.
        for (answers, primary) in [
            (vec![(0, FIRST, 0), (1, FIRST, 0), (2, FIRST, 0)], FIRST),
            (vec![(0, SECOND, 1), (1, SECOND, 1)], SECOND),
            // One that was away when it happened.
            (vec![(0, FIRST, 0), (2, SECOND, 1)], SECOND),
            (vec![(0, SECOND, 9), (1, FIRST, 10), (2, SECOND, 9)], FIRST),
        ] {
            let stage = Stage::new(set)?;
            for (number, primary, epoch) in &answers {
                stage.sentinel(*number, primary, *epoch)?;
            }
            let text = stage.started(|_| {})?;
            let expected = (primary != own).then(|| format!("{primary} 6379"));
            assert_eq!(line(&text, "replicaof "), expected, "{set}, {answers:?}: {text}");
            assert_eq!(line(&text, "replica-announce-ip ").as_deref(), Some(own));
            for secret in ["requirepass ", "masterauth "] {
                assert_eq!(line(&text, secret).as_deref(), Some("\"replaceme\""));
            }
            assert_eq!(line(&text, "maxmemory-policy ").as_deref(), Some("noeviction"));
        }
    }
    Ok(())
}

#[test]
fn the_password_of_before_is_taken_as_well() -> Result<()> {
    let stage = Stage::new("campanile-shard")?;
    for number in 0..3 {
        stage.sentinel(number, FIRST, 0)?;
    }
    let plain = stage.started(|_| {})?;
    assert_eq!(line(&plain, "user default"), None);
    let text = stage.started(|command| {
        command.env("REDIS_FORMER_PASSWORD", "old");
    })?;
    let expected = " on >replaceme >old ~* &* +@all";
    assert_eq!(line(&text, "user default").as_deref(), Some(expected));
    Ok(())
}

#[test]
fn one_sentinel_alone_is_believed_in_the_end() -> Result<()> {
    let stage = Stage::new("campanile-shard")?;
    stage.sentinel(2, SECOND, 3)?;
    let text = stage.started(|command| {
        command.env("SENTINEL_SECONDS", "0");
    })?;
    assert_eq!(line(&text, "replicaof "), Some(format!("{SECOND} 6379")));
    Ok(())
}

#[tokio::test]
async fn without_sentinels_a_redis_waits_and_does_not_guess() -> Result<()> {
    let stage = Stage::new("campanile-shard")?;
    let mut command = stage.command()?;
    command.env("SENTINEL_SECONDS", "0");
    let folder = stage.mounts.at(TOOLS);
    let mut process = Process::start("redis", &folder, command)?;
    // Each of the three has been asked twice.
    eventually("the Sentinels are asked again", SOON, || async {
        stage.calls() >= 6
    })
    .await;
    assert!(process.is_running(), "{}", process.output());
    for number in 0..3 {
        stage.sentinel(number, SECOND, 1)?;
    }
    let status = process.ended(SOON).await?;
    assert!(status.success(), "{status}");
    let text = process.output();
    assert_eq!(
        line(&text, "replicaof "),
        Some(format!("{SECOND} 6379")),
        "{text}"
    );
    Ok(())
}

#[tokio::test]
async fn a_redis_that_waits_ends_when_it_is_told_to() -> Result<()> {
    let stage = Stage::new("campanile-shard-replica")?;
    let folder = stage.mounts.at(TOOLS);
    let mut process = Process::start("redis", &folder, stage.command()?)?;
    eventually("the Sentinels are asked", SOON, || async { stage.calls() > 0 }).await;
    // As the first process of a container it would not be ended by the signal itself.
    let status = process.terminate(SOON + Duration::from_secs(5)).await?;
    assert!(status.success(), "{status}");
    Ok(())
}

#[test]
fn a_new_shard_begins_with_the_first_and_a_forgotten_one_with_its_primary() -> Result<()> {
    for (set, other, expected) in [
        ("campanile-shard", None, None),
        ("campanile-shard-replica", None, Some(FIRST)),
        ("campanile-shard", Some("slave"), None),
        ("campanile-shard", Some("master"), Some(SECOND)),
    ] {
        let stage = Stage::new(set)?;
        stage.clueless(0)?;
        stage.clueless(2)?;
        if let Some(role) = other {
            stage.says(SECOND, &format!("{role}\n17\n"))?;
        }
        let expected = expected.map(|host| format!("{host} 6379"));
        let text = stage.started(|_| {})?;
        assert_eq!(line(&text, "replicaof "), expected, "{set}, {other:?}: {text}");
    }
    // One that has begun anew does not outvote one that knows.
    let stage = Stage::new("campanile-shard")?;
    stage.clueless(0)?;
    stage.sentinel(1, SECOND, 0)?;
    assert_eq!(
        line(&stage.started(|_| {})?, "replicaof "),
        Some(format!("{SECOND} 6379"))
    );
    Ok(())
}

#[test]
fn a_sentinel_keeps_what_it_learned_and_is_told_passwords_and_permissions_again() -> Result<()> {
    let stage = Stage::new("campanile-sentinel")?;
    let text = stage.started(|_| {})?;
    let learned = "sentinel monitor campanile-shard-1 campanile-shard-replica-1.campanile-shards 6379 2\n\
                   sentinel config-epoch campanile-shard-1 3\n\
                   sentinel auth-pass campanile-shard-1 old\n\
                   sentinel monitor campanile-shard-0 campanile-shard-0.campanile-shards 6379 2\n";
    std::fs::write(stage.mounts.at("/data").join("sentinel.conf"), text + learned)?;
    let again = stage.started(|_| {})?;
    let count = |what: &str| again.lines().filter(|line| line.starts_with(what)).count();
    assert_eq!(count("sentinel monitor "), 2);
    assert_eq!(
        count("sentinel monitor campanile-shard-1 campanile-shard-replica-1."),
        1,
        "{again}"
    );
    assert_eq!(count("sentinel config-epoch campanile-shard-1 3"), 1);
    for shard in 0..2 {
        let line = format!("sentinel auth-pass campanile-shard-{shard} replaceme");
        assert_eq!(count(&line), 1);
    }
    assert_eq!(count("sentinel auth-pass"), 2);
    let announced = "sentinel announce-ip campanile-sentinel-0.campanile-sentinels";
    assert_eq!(count(announced), 1);
    assert_eq!(count("user default"), 1);
    assert_eq!(count("user operator"), 1);
    Ok(())
}
