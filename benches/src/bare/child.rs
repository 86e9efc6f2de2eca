//! The bare server as a process of its own, as a run starts it.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::{Fault, LISTENING};
use crate::Failure;
use crate::measure::processes::Watched;
use crate::target::{CodecName, Target};

/// How long it may take until it listens.
const START: Duration = Duration::from_secs(10);

/// A bare server that runs. It ends when this is dropped.
#[derive(Debug)]
pub struct Bare {
    target: Target,
    _process: Child,
}

impl Bare {
    /// Starts `binary`, which is `campanile-bench`.
    pub async fn start(
        binary: &Path,
        coalesce: usize,
        fault: Option<Fault>,
        codec: CodecName,
    ) -> Result<Self, Failure> {
        let mut command = Command::new(binary);
        command.arg("bare").arg(format!("--coalesce={coalesce}"));
        if let Some(fault) = fault {
            let fault = clap::ValueEnum::to_possible_value(&fault);
            command
                .arg("--fault")
                .args(fault.map(|it| it.get_name().to_owned()));
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        let mut process = command.spawn()?;
        let address = match timeout(START, address(&mut process)).await {
            Ok(address) => address?,
            Err(_) => return Err(Failure::run("the bare server does not start")),
        };
        Ok(Self {
            target: target(address, codec, process.id()),
            _process: process,
        })
    }

    /// How it is reached.
    #[must_use]
    pub const fn target(&self) -> &Target {
        &self.target
    }
}

/// Where it listens, as it says.
async fn address(process: &mut Child) -> Result<SocketAddr, Failure> {
    let mut lines = BufReader::new(process.stdout.take().ok_or_else(ended)?).lines();
    while let Some(line) = lines.next_line().await? {
        if let Some(address) = line.strip_prefix(LISTENING) {
            return address.parse().map_err(|_| ended());
        }
    }
    Err(ended())
}

fn ended() -> Failure {
    Failure::run("the bare server has ended at its start")
}

fn target(address: SocketAddr, codec: CodecName, pid: Option<u32>) -> Target {
    let watched = |pid| Watched {
        // The same as that of what it is compared with, so that figures have the same names.
        name: "gateway-1".to_owned(),
        pid,
    };
    Target {
        urls: vec![format!("ws://{address}/connection/websocket")],
        codec,
        apis: vec![format!("http://{address}/api")],
        namespace: "bench".to_owned(),
        stream_namespace: "stream".to_owned(),
        processes: pid.map(watched).into_iter().collect(),
        ..Target::default()
    }
}
