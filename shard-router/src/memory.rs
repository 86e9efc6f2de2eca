//! The memory shard: a shard without a server process, for a gateway on its own and for tests.
//!
//! [`MemoryServer`] stands for the server: its [state](state::MemoryState) is pure, time is read from a clock it was
//! given, and it can be made to fail in each way a real one does. [`MemoryShard`] is one gateway's way to it; several
//! gateways in one process may share a server.

mod link;
mod server;
mod shard;
pub mod state;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use self::server::{Clock, MemoryServer, RestartWith, Snapshot};
pub use self::shard::MemoryShard;
use crate::shard::{Shard, ShardEvents, ShardFactory, ShardOptions};
use crate::topology::{ShardId, ShardUrl};

/// Makes [`MemoryShard`]s for the servers it knows.
pub struct MemoryFactory {
    servers: BTreeMap<ShardId, Arc<MemoryServer>>,
    options: ShardOptions,
}

impl MemoryFactory {
    /// Ways to `servers`, each with `options`.
    #[must_use]
    pub fn new(servers: BTreeMap<ShardId, Arc<MemoryServer>>, options: ShardOptions) -> Self {
        Self { servers, options }
    }

    /// `count` empty servers, named `memory-1` and so on, that hold `max_bytes` each.
    #[must_use]
    pub fn embedded(count: usize, max_bytes: usize, options: ShardOptions) -> Self {
        let server = |number| {
            let id = ShardId::new(&format!("memory-{number}"));
            (id, Arc::new(MemoryServer::new(max_bytes)))
        };
        Self::new((1..=count).map(server).collect(), options)
    }

    /// The servers by name.
    #[must_use]
    pub fn servers(&self) -> &BTreeMap<ShardId, Arc<MemoryServer>> {
        &self.servers
    }
}

impl ShardFactory for MemoryFactory {
    fn open(
        &self,
        shard: &ShardId,
        _url: &ShardUrl,
        events: Arc<dyn ShardEvents>,
    ) -> Result<Arc<dyn Shard>, String> {
        let server = self.servers.get(shard).ok_or("this process has no such shard")?;
        let server = Arc::clone(server);
        Ok(Arc::new(MemoryShard::open(
            shard.clone(),
            server,
            &events,
            self.options.clone(),
        )))
    }
}
