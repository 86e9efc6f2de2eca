//! The topology store: where the topology lives, gateways register, and coordinators take turns.
//!
//! Needs a linearizable compare-and-set that is durable for every acknowledged change. It also carries the gateways'
//! messages to each other (cluster-wide API commands), for which it promises nothing but delivery to those that are
//! connected: whoever asks counts the answers.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use metrics::{Counter, Unit, counter, describe_counter};
use tokio::sync::{mpsc, watch};

use crate::topology::{Token, Topology};

mod memory;
mod redis;
mod report;

pub use memory::MemoryStore;
pub use redis::{RedisStore, RedisStoreConfig};
pub use report::GatewayReport;

/// How many messages of other gateways wait for one that is slow to read them. Each is a cluster-wide command or an
/// answer to one; whoever sent what no longer fits learns from the missing answer.
const MESSAGES_HELD: usize = 1024;

/// The counter of messages between gateways that did not fit.
fn messages_dropped() -> Counter {
    const NAME: &str = "campanile_store_messages_dropped_total";
    describe_counter!(
        NAME,
        Unit::Count,
        "Messages of other gateways that were dropped because too many waited"
    );
    counter!(NAME)
}

/// The pending answer of the store.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// A gateway's name in the registry: unique per process start.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct GatewayId(pub Arc<str>);

/// How long a registration or lease lasts without being refreshed.
pub const REGISTRATION_TTL: Duration = Duration::from_secs(10);

/// The store, as one gateway sees it.
pub trait TopologyStore: Send + Sync + 'static {
    /// The current topology; `None` in an empty store.
    fn read(&self) -> StoreFuture<'_, Option<Topology>>;

    /// Replaces the document if the stored one is still `expected` (by generation and change id; `None`: if the store
    /// is still empty). False: it was not; read and decide again.
    fn compare_and_set<'a>(
        &'a self,
        expected: Option<&'a Topology>,
        next: &'a Topology,
    ) -> StoreFuture<'a, bool>;

    /// Wakes whenever the topology may have changed; the value counts the wakes. Also wakes now and then without
    /// reason, so that a lost notification costs seconds, not forever.
    fn changes(&self) -> watch::Receiver<u64>;

    /// Enters or refreshes this gateway. With `must_exist`, false means the earlier registration has expired.
    fn register<'a>(
        &'a self,
        gateway: &'a GatewayId,
        report: &'a GatewayReport,
        must_exist: bool,
    ) -> StoreFuture<'a, bool>;

    /// Takes this gateway off the registry.
    fn deregister<'a>(&'a self, gateway: &'a GatewayId) -> StoreFuture<'a, ()>;

    /// The live gateways and what each says of itself.
    fn gateways(&self) -> StoreFuture<'_, Vec<(GatewayId, GatewayReport)>>;

    /// Takes or extends the coordinator's lease; false: another gateway holds it.
    fn hold_lease<'a>(&'a self, gateway: &'a GatewayId) -> StoreFuture<'a, bool>;

    /// Gives the lease up if this gateway holds it.
    fn release_lease<'a>(&'a self, gateway: &'a GatewayId) -> StoreFuture<'a, ()>;

    /// The next fencing token.
    fn next_token(&self) -> StoreFuture<'_, Token>;

    /// Sends `message` to every gateway that listens (its own included).
    fn broadcast(&self, message: Bytes) -> StoreFuture<'_, ()>;

    /// Sends `message` to one gateway.
    fn send<'a>(&'a self, to: &'a GatewayId, message: Bytes) -> StoreFuture<'a, ()>;

    /// The messages sent to `gateway` or to all, from the moment this resolves on. Bounded; what does not fit is
    /// dropped and counted, and whoever waits for an answer learns that none came.
    fn listen<'a>(&'a self, gateway: &'a GatewayId) -> StoreFuture<'a, mpsc::Receiver<Bytes>>;

    /// Whether the store answered lately, in words where it did not.
    fn status(&self) -> Result<(), String>;

    /// What is not as it should be, in words, though the store works.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Why the store did not do as asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// Not reachable, or no answer in time. A change may have been made.
    #[error("the topology store cannot be reached: {0}")]
    Unavailable(String),
    /// The stored document is not understood; a newer release may have written it.
    #[error("the topology in the store is not understood: {0}")]
    Malformed(String),
}
