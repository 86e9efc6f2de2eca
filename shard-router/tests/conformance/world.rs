//! The servers under test, and how they are made to fail.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use campanile_common::Timestamp;
use campanile_shard_router::memory::{MemoryServer, MemoryShard, RestartWith, Snapshot};
use campanile_shard_router::redis::{RedisFactory, RedisShardConfig};
use campanile_shard_router::shard::{Shard, ShardEvents, ShardFactory, ShardOptions};
use campanile_shard_router::topology::{ShardId, ShardUrl};
use tempfile::TempDir;

use crate::gateway::Gateway;
use crate::redis_server::RedisServer;

/// A server, and gateways' ways to it.
pub trait World: Send + Sized {
    /// What the server holds at some moment.
    type Snapshot: Send;

    fn open_shard(&self, options: ShardOptions, events: Arc<dyn ShardEvents>) -> Arc<dyn Shard>;

    /// Another server, on the same time.
    fn another(&self) -> Self;

    /// Somebody asks on the server itself that it be drained.
    fn ask_to_drain(&self);
    /// Whether they are told that it is.
    fn is_drained(&self) -> bool;

    /// Lets this much of the server's time pass.
    fn pass(&self, time: Duration) -> impl Future<Output = ()> + Send;

    /// Nothing is answered, connections stay.
    fn pause(&self);
    fn resume(&self);

    /// The process ends; its data is where it was.
    fn stop(&mut self);
    /// A new run, with the data of the last.
    fn restart(&mut self);
    /// A new run with nothing.
    fn restart_empty(&mut self);
    fn snapshot(&self) -> Self::Snapshot;
    /// A new run with the data of an earlier moment.
    fn restart_with(&mut self, snapshot: Self::Snapshot);
    /// All data goes, the run stays.
    fn flush(&self);
    /// All Pub/Sub connections end.
    fn break_links(&self);

    fn gateway(&self) -> Gateway {
        self.gateway_with(options())
    }

    fn gateway_with(&self, options: ShardOptions) -> Gateway {
        Gateway::open_with(|events| self.open_shard(options, events))
    }
}

/// Patient: the machine that runs the tests may be slow.
pub fn options() -> ShardOptions {
    ShardOptions {
        command_timeout: Duration::from_secs(10),
        ..ShardOptions::default()
    }
}

/// The name of the only shard.
pub fn shard_id() -> ShardId {
    ShardId::new("one")
}

/// A memory server whose clock the case moves.
pub struct MemoryWorld {
    server: Arc<MemoryServer>,
    clock: Arc<AtomicU64>,
}

impl MemoryWorld {
    pub fn start() -> Self {
        Self::on(Arc::new(AtomicU64::new(1_700_000_000_000)))
    }

    fn on(clock: Arc<AtomicU64>) -> Self {
        let reading = Arc::clone(&clock);
        let now = Arc::new(move || Timestamp::from_millis(reading.load(Ordering::Relaxed)));
        Self {
            server: Arc::new(MemoryServer::with_clock(1 << 30, now)),
            clock,
        }
    }
}

impl World for MemoryWorld {
    type Snapshot = Snapshot;

    fn open_shard(&self, options: ShardOptions, events: Arc<dyn ShardEvents>) -> Arc<dyn Shard> {
        Arc::new(MemoryShard::open(
            shard_id(),
            Arc::clone(&self.server),
            &events,
            options,
        ))
    }

    fn another(&self) -> Self {
        Self::on(Arc::clone(&self.clock))
    }

    fn ask_to_drain(&self) {
        self.server.ask_to_drain();
    }

    fn is_drained(&self) -> bool {
        self.server.drained()
    }

    async fn pass(&self, time: Duration) {
        self.clock
            .fetch_add(u64::try_from(time.as_millis()).unwrap(), Ordering::Relaxed);
    }

    fn pause(&self) {
        self.server.pause();
    }

    fn resume(&self) {
        self.server.resume();
    }

    fn stop(&mut self) {
        self.server.stop();
    }

    fn restart(&mut self) {
        self.server.restart(RestartWith::Data);
    }

    fn restart_empty(&mut self) {
        self.server.restart(RestartWith::Nothing);
    }

    fn snapshot(&self) -> Snapshot {
        self.server.snapshot()
    }

    fn restart_with(&mut self, snapshot: Snapshot) {
        self.server.restart(RestartWith::Snapshot(snapshot));
    }

    fn flush(&self) {
        self.server.flush();
    }

    fn break_links(&self) {
        self.server.break_links();
    }
}

/// A `redis-server` that writes everything down at once.
pub struct RedisWorld {
    pub server: RedisServer,
}

impl RedisWorld {
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    pub fn start_with(settings: &[&str]) -> Self {
        // Killed, not unplugged: what was written is there again, and no answer waits for the disk.
        let durable = ["--appendonly", "yes", "--appendfsync", "no"];
        Self {
            server: RedisServer::start_with(&[&durable, settings].concat()),
        }
    }

    /// A gateway that is configured otherwise.
    pub fn gateway_at(config: RedisShardConfig) -> Gateway {
        Gateway::open_with(|events| open(config, options(), events))
    }

    /// Runs one command on the server.
    pub fn command<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        self.try_command(words).unwrap()
    }

    /// Runs one command that may fail.
    pub fn try_command<T: redis::FromRedisValue>(&self, words: &[&str]) -> redis::RedisResult<T> {
        let client = redis::Client::open(self.server.url()).unwrap();
        let mut command = redis::cmd(words[0]);
        command
            .arg(&words[1..])
            .query(&mut client.get_connection().unwrap())
    }

    fn files(&self) -> PathBuf {
        self.server.dir().join("appendonlydir")
    }
}

fn open(config: RedisShardConfig, options: ShardOptions, events: Arc<dyn ShardEvents>) -> Arc<dyn Shard> {
    let factory =
        RedisFactory::new([(shard_id(), config)], RedisShardConfig::DEFAULT_PREFIX, options).unwrap();
    factory
        .open(&shard_id(), &ShardUrl::default(), events)
        .expect("the factory was told of it")
}

impl World for RedisWorld {
    type Snapshot = TempDir;

    fn open_shard(&self, options: ShardOptions, events: Arc<dyn ShardEvents>) -> Arc<dyn Shard> {
        open(RedisShardConfig::new(&self.server.url()), options, events)
    }

    fn another(&self) -> Self {
        Self::start()
    }

    fn ask_to_drain(&self) {
        self.command::<()>(&["SET", "campanile:drain", "1"]);
    }

    fn is_drained(&self) -> bool {
        self.command(&["EXISTS", "campanile:drained"])
    }

    async fn pass(&self, time: Duration) {
        // The server reckons in whole milliseconds.
        tokio::time::sleep(time + Duration::from_millis(2)).await;
    }

    fn pause(&self) {
        self.server.pause();
    }

    fn resume(&self) {
        self.server.resume();
    }

    fn stop(&mut self) {
        self.server.kill();
    }

    fn restart(&mut self) {
        self.server.restart();
    }

    fn restart_empty(&mut self) {
        self.server.kill();
        std::fs::remove_dir_all(self.files()).unwrap();
        self.server.restart();
    }

    fn snapshot(&self) -> TempDir {
        let copy = tempfile::tempdir().unwrap();
        copy_files(&self.files(), copy.path());
        copy
    }

    fn restart_with(&mut self, snapshot: TempDir) {
        self.server.kill();
        std::fs::remove_dir_all(self.files()).unwrap();
        std::fs::create_dir(self.files()).unwrap();
        copy_files(snapshot.path(), &self.files());
        self.server.restart();
    }

    fn flush(&self) {
        self.command::<()>(&["FLUSHALL"]);
    }

    fn break_links(&self) {
        self.command::<i64>(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    }
}

fn copy_files(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
