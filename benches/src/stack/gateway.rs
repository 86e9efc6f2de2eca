//! A gateway.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::child::Child;
use super::{StackOptions, guard};
use crate::Failure;

/// How long a gateway may take to listen, and then to be ready.
const PATIENCE: Duration = Duration::from_secs(30);

/// Between two looks.
const STEP: Duration = Duration::from_millis(10);

/// A gateway.
#[derive(Debug)]
pub(super) struct Gateway {
    pub(super) child: Child,
    /// `http://127.0.0.1:PORT`.
    pub(super) base: String,
    quic: Option<String>,
    /// The SHA-256 of its certificate, in hex.
    pub(super) certificate: Option<String>,
}

impl Gateway {
    /// Starts a gateway and waits until it listens.
    pub(super) async fn start(
        name: &str,
        config: &str,
        options: &StackOptions,
        dir: &Path,
    ) -> Result<Self, Failure> {
        let file = dir.join("campanile.json");
        std::fs::write(&file, config)?;
        let binary = binary(options)?;
        let mut command = guard::command(&binary)?;
        command.arg("--config").arg(file);
        for (key, value) in [("node.name".to_owned(), name.to_owned())]
            .iter()
            .chain(&options.settings)
        {
            command.arg("--set").arg(format!("{key}={value}"));
        }
        let mut child = Child::start(name, command, dir)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let output = child.output();
            let after = |words: &str| {
                let line = output.lines().find_map(|line| line.strip_prefix(words));
                line.map(str::to_owned)
            };
            if let (Some(address), Some(certificate)) =
                (after("listening on http://"), after("certificate SHA-256: "))
            {
                return Ok(Self {
                    base: format!("http://{address}"),
                    quic: after("listening on quic://"),
                    certificate: Some(certificate),
                    child,
                });
            }
            if child.has_ended() || Instant::now() >= deadline {
                let tail = child.tail(true);
                return Err(Failure::run(format!("{name} does not listen{tail}")));
            }
            sleep(STEP).await;
        }
    }

    /// Where clients connect.
    pub(super) fn client_url(&self, quic: bool) -> Result<String, Failure> {
        if quic {
            let address = self.quic.as_ref();
            let address = address.ok_or_else(|| Failure::run("the gateway does not listen for QUIC"))?;
            return Ok(format!("quic://{address}"));
        }
        Ok(format!(
            "{}/connection/websocket",
            self.base.replacen("http", "ws", 1)
        ))
    }

    /// Waits until it can serve, and reaches all that it needs.
    pub(super) async fn wait_until_ready(&mut self) -> Result<(), Failure> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = timeout(Duration::from_secs(5), self.ready()).await;
            let answer = match answer {
                Ok(Ok(answer))
                    if answer.starts_with("HTTP/1.1 200 ") && answer.contains(r#""complete":true"#) =>
                {
                    return Ok(());
                }
                Ok(Ok(answer)) => answer,
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no answer".to_owned(),
            };
            if self.child.has_ended() || Instant::now() >= deadline {
                let name = self.child.name();
                return Err(Failure::run(format!("{name} does not become ready: {answer}")));
            }
            sleep(STEP).await;
        }
    }

    async fn ready(&self) -> std::io::Result<String> {
        let address = self.base.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET /ready HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }
}

/// The gateway's program.
fn binary(options: &StackOptions) -> Result<PathBuf, Failure> {
    if let Some(binary) = &options.gateway_binary {
        return Ok(std::path::absolute(binary)?);
    }
    let beside = std::env::current_exe()?.with_file_name("campanile");
    if beside.exists() {
        return Ok(beside);
    }
    let missing = format!(
        "{} is missing: build it, or say --gateway-binary",
        beside.display()
    );
    Err(Failure::run(missing))
}
