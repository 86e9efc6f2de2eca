//! Real Sentinels on free ports of the loopback interface, each with a folder of its own.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use ::redis::{Client, FromRedisValue};
use anyhow::{Context as _, Result, bail};
use futures_util::StreamExt as _;
use tempfile::TempDir;
use tokio::sync::oneshot;

use crate::process::Process;
use crate::redis::{RedisOptions, becomes_ready, free_port, run};
use crate::wait::eventually;

/// How long a server must be silent before Sentinels replace it, unless they are told otherwise: so long that none is replaced
/// because the machine stood still for a moment.
const CALM: Duration = Duration::from_secs(60);

/// The same for a server that is gone.
pub const DOWN_AFTER: Duration = Duration::from_secs(2);

/// How long Sentinels may take to find each other and the replicas, and to fail over: they talk every two seconds and
/// vote, perhaps more than once.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// What Sentinels watch.
#[derive(Debug, Clone, Copy)]
pub struct Service<'a> {
    /// What they call it.
    pub name: &'a str,
    /// The port of its primary.
    pub port: u16,
    /// The password of its servers; empty: none.
    pub password: &'a str,
    /// How many replicas it has.
    pub replicas: usize,
}

/// Sentinels that watch the same.
#[derive(Debug)]
pub struct Sentinels(Vec<Sentinel>);

#[derive(Debug)]
struct Sentinel {
    port: u16,
    // Before the folder with its log, which it prints when it is dropped.
    _process: Process,
    _dir: TempDir,
}

impl Sentinels {
    /// Starts `count` of them with further lines in their configuration, and waits until each knows all others and the
    /// replicas of each service.
    pub async fn start(count: usize, services: &[Service<'_>], extra: &str) -> Result<Self> {
        let mut sentinels = Vec::new();
        for _ in 0..count {
            sentinels.push(Sentinel::start(count, services, extra).await?);
        }
        let sentinels = Self(sentinels);
        for service in services {
            sentinels.wait_until_ready(service.name, service.replicas).await;
        }
        Ok(sentinels)
    }

    /// Hosts and ports, as they stand in a URL.
    pub fn hosts(&self) -> String {
        let hosts: Vec<String> = self.0.iter().map(|it| format!("127.0.0.1:{}", it.port)).collect();
        hosts.join(",")
    }

    /// The URL of a service whose servers have this password.
    pub fn url(&self, service: &str, password: &str) -> String {
        format!("redis+sentinel://:{password}@{}/{service}", self.hosts())
    }

    /// Runs one command on the first of them.
    pub async fn command<T: FromRedisValue>(&self, words: &[&str]) -> Result<T> {
        self.0.first().context("a Sentinel")?.command(words).await
    }

    /// Runs one command on each of them.
    pub async fn command_all(&self, words: &[&str]) -> Result<()> {
        for sentinel in &self.0 {
            sentinel.command::<()>(words).await?;
        }
        Ok(())
    }

    /// The port of the primary of `service`, as the first of them says.
    pub async fn primary(&self, service: &str) -> Result<u16> {
        let (_, port): (String, u16) = self
            .command(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", service])
            .await?;
        Ok(port)
    }

    /// Has all of them give up what has been silent for so long.
    pub async fn give_up_after(&self, service: &str, silence: Duration) -> Result<()> {
        let millis = silence.as_millis().to_string();
        let words = ["SENTINEL", "SET", service, "down-after-milliseconds", &millis];
        self.command_all(&words).await
    }

    /// Waits until each knows all others, and `replicas` of `service` that follow its primary.
    pub async fn wait_until_ready(&self, service: &str, replicas: usize) {
        for sentinel in &self.0 {
            let others = self.0.len() - 1;
            eventually(
                "the Sentinels know each other and the replicas",
                PATIENCE,
                || async { sentinel.knows(service, others, replicas).await.unwrap_or(false) },
            )
            .await;
        }
    }

    /// Resolves to the moment at which one of them first tells that `service` has another primary. Listening begins before
    /// this returns.
    pub async fn switch(&self, service: &str) -> Result<oneshot::Receiver<Instant>> {
        let (sender, receiver) = oneshot::channel();
        let mut listening = Vec::new();
        for sentinel in &self.0 {
            let client = Client::open(("127.0.0.1", sentinel.port))?;
            let mut pubsub = client.get_async_pubsub().await?;
            pubsub.subscribe("+switch-master").await?;
            listening.push(pubsub.into_on_message());
        }
        let service = format!("{service} ");
        tokio::spawn(async move {
            let mut messages = futures_util::stream::select_all(listening);
            while let Some(message) = messages.next().await {
                let text: String = message.get_payload().unwrap_or_default();
                if text.starts_with(&service) {
                    // The test may have ended.
                    let _ = sender.send(Instant::now());
                    return;
                }
            }
        });
        Ok(receiver)
    }
}

impl Sentinel {
    async fn start(count: usize, services: &[Service<'_>], extra: &str) -> Result<Self> {
        for _ in 0..10 {
            let (port, dir) = (free_port()?, tempfile::tempdir()?);
            let file = dir.path().join("sentinel.conf");
            std::fs::write(&file, configuration(port, count, services, extra)?)?;
            let mut command = Command::new("redis-server");
            command.arg(&file).arg("--sentinel").current_dir(dir.path());
            let mut process = Process::start("sentinel", dir.path(), command)?;
            if becomes_ready(&mut process, port, &RedisOptions::default()).await {
                return Ok(Self {
                    port,
                    _process: process,
                    _dir: dir,
                });
            }
        }
        bail!("redis-server --sentinel did not start on any of ten ports")
    }

    async fn command<T: FromRedisValue>(&self, words: &[&str]) -> Result<T> {
        run(self.port, &RedisOptions::default(), words).await
    }

    async fn knows(&self, service: &str, others: usize, count: usize) -> Result<bool> {
        let primary: HashMap<String, String> = self.command(&["SENTINEL", "MASTER", service]).await?;
        let replicas: Vec<HashMap<String, String>> = self.command(&["SENTINEL", "REPLICAS", service]).await?;
        let follows = |replica: &HashMap<String, String>| {
            replica["flags"] == "slave" && replica.get("master-link-status").is_some_and(|it| it == "ok")
        };
        Ok(primary["flags"] == "master"
            && primary["num-other-sentinels"] == others.to_string()
            && replicas.len() == count
            && replicas.iter().all(follows))
    }
}

fn configuration(port: u16, count: usize, services: &[Service<'_>], extra: &str) -> Result<String> {
    let mut text = format!("port {port}\nbind 127.0.0.1\n{extra}\n");
    for service in services {
        let (name, password) = (service.name, service.password);
        let (quorum, down_after) = (count / 2 + 1, CALM.as_millis());
        writeln!(
            text,
            "sentinel monitor {name} 127.0.0.1 {} {quorum}",
            service.port
        )?;
        writeln!(text, "sentinel down-after-milliseconds {name} {down_after}")?;
        writeln!(text, "sentinel failover-timeout {name} 10000")?;
        if !password.is_empty() {
            writeln!(text, "sentinel auth-pass {name} {password}")?;
        }
    }
    Ok(text)
}
