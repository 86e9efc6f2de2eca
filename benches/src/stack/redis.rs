//! A Redis server on a free port of the loopback interface.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::child::Child;
use super::guard;
use crate::Failure;

/// Where ports are looked for: below those that the kernel gives to outgoing connections, of which a load makes many.
const PORTS: std::ops::Range<u16> = 10_000..30_000;

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// A Redis server.
#[derive(Debug)]
pub(super) struct Redis {
    pub(super) child: Child,
    port: u16,
}

impl Redis {
    /// Starts a server that keeps nothing on disk, and waits until it answers.
    pub(super) async fn start(name: &str, dir: &Path) -> Result<Self, Failure> {
        // Between the look and the start somebody else may take the port: then the server ends at once.
        for _ in 0..10 {
            let port = free_port()?;
            let mut command = guard::command(Path::new("redis-server"))?;
            command.args([
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
                "--port",
            ]);
            command.arg(port.to_string());
            let mut child = Child::start(name, command, dir)?;
            if answers(&mut child, port).await {
                return Ok(Self { child, port });
            }
            if child.output().is_empty() {
                let tail = child.tail(true);
                return Err(Failure::run(format!(
                    "cannot start redis-server: is it installed?{tail}"
                )));
            }
        }
        Err(Failure::run("redis-server did not start on any of ten ports"))
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

fn free_port() -> Result<u16, Failure> {
    let mut ports = (0..100).map(|_| rand::random_range(PORTS));
    ports
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .ok_or_else(|| Failure::run("no free port"))
}

/// Whether this very child comes to answer, and not somebody else who was quicker to take the port.
async fn answers(child: &mut Child, port: u16) -> bool {
    let deadline = Instant::now() + PATIENCE;
    let id = format!("process_id:{}\r\n", child.id());
    while Instant::now() < deadline && !child.has_ended() {
        let info = timeout(Duration::from_secs(1), info(port)).await;
        if info.is_ok_and(|info| info.is_ok_and(|text| text.contains(&id))) {
            return true;
        }
        sleep(Duration::from_millis(10)).await;
    }
    false
}

async fn info(port: u16) -> std::io::Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    stream.write_all(b"INFO server\r\nQUIT\r\n").await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    Ok(text)
}
