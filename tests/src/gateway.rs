//! The `campanile` binary as a process, and its configuration.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::api::Api;
use crate::metrics::Metrics;
use crate::process::Process;
use crate::token;
use crate::wait::{SOON, eventually, until};
use crate::wire::{Endpoint, Fingerprint, Transport, Udp};

/// The key of the server API in every test.
pub const API_KEY: &str = "an-api-key-of-the-tests";

/// A configuration file in the making.
#[derive(Debug, Clone)]
pub struct GatewayConfig(Value);

impl Default for GatewayConfig {
    /// On ports that the kernel chooses, over every transport, with the tests' secrets, and with nothing allowed to clients.
    fn default() -> Self {
        Self(json!({
            "http_server": { "address": "127.0.0.1", "port": 0 },
            "quic": { "enabled": true, "generated_certificate": true },
            "webtransport": { "enabled": true },
            "http_api": { "key": API_KEY },
            // Whoever does not read for a while is not to be closed for that, but where a test is about it.
            "client": { "token": { "hmac_secret_key": token::SECRET }, "ping_interval": "10m" },
            "cluster": { "command_timeout": "1s" },
            "log": { "level": "debug" },
        }))
    }
}

impl From<Value> for GatewayConfig {
    fn from(file: Value) -> Self {
        Self(file)
    }
}

impl GatewayConfig {
    /// A configuration with nothing in it.
    pub fn empty() -> Self {
        Self(json!({}))
    }

    /// Sets the key at a dotted path, such as `client.queue_max_size`.
    #[must_use]
    pub fn set(mut self, path: &str, value: impl Into<Value>) -> Self {
        let mut at = &mut self.0;
        for part in path.split('.') {
            if !at.is_object() {
                *at = Value::Object(Map::new());
            }
            at = at
                .as_object_mut()
                .expect("made an object above")
                .entry(part)
                .or_insert(Value::Null);
        }
        *at = value.into();
        self
    }

    /// Adds a namespace with these options.
    #[must_use]
    pub fn namespace(mut self, name: &str, options: &Value) -> Self {
        let mut namespace = options.clone();
        namespace["name"] = json!(name);
        let namespaces = &mut self.0["channel"]["namespaces"];
        match namespaces.as_array_mut() {
            Some(list) => list.push(namespace),
            None => *namespaces = json!([namespace]),
        }
        self
    }

    /// The file's text.
    pub fn text(&self) -> String {
        self.0.to_string()
    }
}

/// A gateway process.
#[derive(Debug)]
pub struct Gateway {
    // Before the folder with its log, which it prints when it is dropped.
    process: Process,
    dir: TempDir,
    base: String,
}

impl Gateway {
    /// Starts a gateway and waits until it is ready.
    pub async fn start(config: &GatewayConfig) -> Result<Self> {
        let mut gateway = Self::launch(config).await?;
        gateway.wait_until_ready().await;
        Ok(gateway)
    }

    /// Starts a gateway and waits only until it listens.
    pub async fn launch(config: &GatewayConfig) -> Result<Self> {
        Self::launch_file("campanile.json", &config.text(), &[]).await
    }

    /// Starts a gateway with the configuration file `name` of this `text` and further arguments.
    pub async fn launch_file(name: &str, text: &str, arguments: &[&str]) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let file = dir.path().join(name);
        std::fs::write(&file, text)?;
        let mut command = Command::new(binary()?);
        command.arg("--config").arg(file).args(arguments);
        Self::launch_command(dir, command).await
    }

    /// Starts a gateway without arguments and without a configuration, but for the port, which others may hold.
    pub async fn launch_bare() -> Result<Self> {
        let mut command = Command::new(binary()?);
        command.env("CAMPANILE_HTTP_SERVER_PORT", "0");
        Self::launch_command(tempfile::tempdir()?, command).await
    }

    async fn launch_command(dir: TempDir, mut command: Command) -> Result<Self> {
        command.current_dir(dir.path());
        let mut process = Process::start("gateway", dir.path(), command)?;
        let base = until("the gateway prints where it listens", SOON, || {
            let (output, running) = (process.output(), process.is_running());
            assert!(running, "the gateway ended at start:\n{output}{}", process.log());
            async move { listening(&output) }
        })
        .await;
        Ok(Self { dir, process, base })
    }

    /// The base of its HTTP URLs, `http://127.0.0.1:PORT`, or with `https`.
    pub fn url(&self) -> &str {
        &self.base
    }

    /// Its host and port.
    pub fn address(&self) -> &str {
        self.base
            .split_once("://")
            .map_or(&self.base, |(_, address)| address)
    }

    /// The URL of its WebSocket endpoint.
    pub fn websocket_url(&self) -> String {
        match self.base.strip_prefix("https://") {
            Some(address) => format!("wss://{address}/connection/websocket"),
            None => websocket_url(self.address()),
        }
    }

    /// Where clients connect over a transport.
    ///
    /// # Panics
    /// When it is one over UDP and the gateway has not printed where that is.
    pub fn endpoint(&self, transport: Transport) -> Endpoint {
        match transport {
            Transport::WebSocket => Endpoint::WebSocket(self.websocket_url()),
            Transport::Quic => Endpoint::Quic(self.udp()),
            Transport::WebTransport => Endpoint::WebTransport(self.udp()),
        }
    }

    /// Its UDP port.
    ///
    /// # Panics
    /// When the gateway does not print where that is.
    pub fn udp(&self) -> Udp {
        let start = Instant::now();
        loop {
            let output = self.process.output();
            if let Some(udp) = udp(&output) {
                return udp;
            }
            assert!(
                start.elapsed() < SOON,
                "the gateway does not say where it takes QUIC:\n{output}"
            );
            // It says so line by line, after where it takes HTTP: this is not worth a future.
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Its server API, with the right key.
    pub fn api(&self) -> Api {
        Api::new(&self.base, API_KEY)
    }

    /// The process, for its signals and its log.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The process, for its end.
    pub fn process_mut(&mut self) -> &mut Process {
        &mut self.process
    }

    /// The folder in which it runs.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The status and the body of a GET.
    pub async fn get(&self, path: &str) -> Result<(u16, String)> {
        let response = reqwest::Client::new()
            .get(format!("{}{path}", self.base))
            .timeout(SOON)
            .send()
            .await?;
        Ok((response.status().as_u16(), response.text().await?))
    }

    /// What `/ready` says: whether it is ready and nothing is missing, and the body.
    pub async fn ready(&self) -> Result<(bool, Value)> {
        let (status, body) = self.get("/ready").await?;
        let body = serde_json::from_str(&body).unwrap_or(Value::String(body));
        Ok((status == 200 && body["complete"] == true, body))
    }

    /// Waits until `/ready` says yes, and that nothing is missing.
    pub async fn wait_until_ready(&mut self) {
        let running = self.process.is_running();
        assert!(running, "the gateway has ended");
        let this = &*self;
        eventually("the gateway is ready", Duration::from_secs(30), || async move {
            this.ready().await.is_ok_and(|(ready, _)| ready)
        })
        .await;
    }

    /// What `/metrics` says now.
    pub async fn metrics(&self) -> Result<Metrics> {
        let (status, body) = self.get("/metrics").await?;
        ensure!(status == 200, "/metrics answers {status}");
        Ok(Metrics::parse(&body))
    }
}

/// The URL of the WebSocket endpoint at this host and port.
pub fn websocket_url(address: &str) -> String {
    format!("ws://{address}/connection/websocket")
}

fn listening(output: &str) -> Option<String> {
    let base = |line: &str| {
        Some(
            line.strip_prefix("listening on ")?
                .trim_end_matches('/')
                .to_owned(),
        )
    };
    output
        .lines()
        .filter_map(base)
        .find(|base| base.starts_with("http"))
}

fn udp(output: &str) -> Option<Udp> {
    let after = |words: &str| output.lines().find_map(|line| line.strip_prefix(words));
    Some(Udp {
        address: after("listening on quic://")?.parse().ok()?,
        certificate: Fingerprint::parse(after("certificate SHA-256: ")?).ok()?,
    })
}

/// The gateway's binary.
///
/// # Errors
/// When it is missing or older than its sources.
pub fn binary() -> Result<PathBuf> {
    built("campanile", &["gateway/src", "shard-router/src", "common/src"])
}

/// The binary of this name beside the test's own, which cargo puts one folder deeper.
///
/// # Errors
/// When it is missing or older than its sources: cargo builds it only together with a test of its own package.
pub(crate) fn built(name: &str, sources: &[&str]) -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let target = test
        .parent()
        .and_then(Path::parent)
        .context("the test binary lies in target/*/deps")?;
    let binary = target.join(name);
    let advice = "run the tests with `make test` or `make e2e`, which build it";
    let built = std::fs::metadata(&binary).and_then(|it| it.modified());
    let built = built.with_context(|| format!("{} is missing: {advice}", binary.display()))?;
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for source in sources {
        let changed = last_change(&workspace.join(source))?;
        ensure!(
            changed <= built,
            "{} is older than {source}: {advice}",
            binary.display()
        );
    }
    Ok(binary)
}

/// When a file in this folder was last changed, tests aside, which are no part of the binary. (Nor are the times of folders
/// looked at: they change when an editor puts a file of its own there.)
fn last_change(folder: &Path) -> Result<SystemTime> {
    let mut last = SystemTime::UNIX_EPOCH;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let is_test = path
            .file_stem()
            .is_some_and(|stem| ["tests", "testing"].iter().any(|name| stem == *name));
        if !is_test {
            last = last.max(if path.is_dir() {
                last_change(&path)?
            } else {
                path.metadata()?.modified()?
            });
        }
    }
    Ok(last)
}
