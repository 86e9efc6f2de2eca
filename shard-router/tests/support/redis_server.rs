//! A real `redis-server` on a free loopback port, with a folder of its own, ended with the value.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long a server may take to come up or to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// One server. Dropping it kills the process.
#[derive(Debug)]
pub struct RedisServer {
    port: u16,
    dir: TempDir,
    settings: Vec<String>,
    process: Child,
}

impl RedisServer {
    /// Starts a server that keeps nothing on disk, and waits until it answers.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts a server with further settings, as on its command line.
    pub fn start_with(settings: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let settings: Vec<String> = settings.iter().map(ToString::to_string).collect();
        // Somebody else may take the port between the look and the start: then the server ends at once.
        for _ in 0..20 {
            let port = free_port();
            let mut process = spawn(port, dir.path(), &settings);
            if comes_up(&mut process, port) {
                return Self {
                    port,
                    dir,
                    settings,
                    process,
                };
            }
            let _ = process.wait();
        }
        panic!("redis-server did not start on any of twenty ports");
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Where its files are.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Kills the process, leaving its files.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Starts it again after [`kill`](Self::kill), on the same port and files.
    pub fn restart(&mut self) {
        self.kill();
        self.process = spawn(self.port, self.dir.path(), &self.settings);
        assert!(comes_up(&mut self.process, self.port), "redis-server came back");
    }

    /// Sends SIGSTOP: connections stay, nothing is answered.
    pub fn pause(&self) {
        self.signal("STOP");
    }

    /// The end of a [`pause`](Self::pause).
    pub fn resume(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let id = self.process.id().to_string();
        let status = Command::new("kill").arg(format!("-{name}")).arg(id).status();
        assert!(status.expect("kill is there").success());
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(port: u16, dir: &Path, settings: &[String]) -> Child {
    let mut command = Command::new("redis-server");
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
    // A replica is served at once.
    command.args(["--repl-diskless-sync-delay", "0"]);
    command.arg("--dir").arg(dir).args(settings);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.spawn().expect("redis-server is installed")
}

/// Whether the server of `process`, and no other, comes to answer on `port`.
fn comes_up(process: &mut Child, port: u16) -> bool {
    let client = redis::Client::open(("127.0.0.1", port)).expect("an address");
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if process.try_wait().expect("a child of ours").is_some() {
            return false;
        }
        let info = client
            .get_connection_with_timeout(Duration::from_secs(1))
            .and_then(|mut connection| redis::cmd("INFO").arg("server").query::<String>(&mut connection));
        if info.is_ok_and(|info| info.contains(&format!("process_id:{}\r", process.id()))) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}

/// A port below those that the kernel gives to outgoing connections, so that a restarted server finds it free.
fn free_port() -> u16 {
    let seed = RandomState::new();
    (0..100_u32)
        .map(|attempt| 10_000 + u16::try_from(seed.hash_one(attempt) % 20_000).expect("below 20000"))
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .expect("one of a hundred ports is free")
}
