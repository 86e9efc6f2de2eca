//! The memory shard: a shard without a server process, for a gateway on its own and for tests.
//!
//! [`MemoryServer`] stands for the server: its [state](state::MemoryState) is pure, time is read from a clock it was
//! given, and it can be made to fail in each way a real one does. [`MemoryShard`] is one gateway's way to it; several
//! gateways in one process may share a server.

mod link;
mod server;
mod shard;
mod shared;
pub mod state;

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

pub use self::server::{Clock, MemoryServer, RestartWith, Snapshot};
pub use self::shard::MemoryShard;
use crate::shard::{Shard, ShardEvents, ShardFactory, ShardOptions};
use crate::topology::{ShardId, ShardUrl};

/// Makes [`MemoryShard`]s, and the servers for them.
pub struct MemoryFactory {
    servers: Mutex<BTreeMap<ShardId, Arc<MemoryServer>>>,
    /// What a server that is made on demand holds at most; `None`: none is made.
    max_bytes: Option<usize>,
    options: ShardOptions,
}

impl MemoryFactory {
    /// Ways to `servers` and to no others, each with `options`.
    #[must_use]
    pub fn new(servers: BTreeMap<ShardId, Arc<MemoryServer>>, options: ShardOptions) -> Self {
        Self {
            servers: Mutex::new(servers),
            max_bytes: None,
            options,
        }
    }

    /// `count` empty servers, named `memory-1` and so on, that hold `max_bytes` each. Further ones are made when a way
    /// to a shard of another name is opened.
    #[must_use]
    pub fn embedded(count: usize, max_bytes: usize, options: ShardOptions) -> Self {
        let server = |number| {
            let id = ShardId::new(&format!("memory-{number}"));
            (id, Arc::new(MemoryServer::new(max_bytes)))
        };
        Self {
            max_bytes: Some(max_bytes),
            ..Self::new((1..=count).map(server).collect(), options)
        }
    }

    /// The servers by name, as far as there are any by now.
    #[must_use]
    pub fn servers(&self) -> BTreeMap<ShardId, Arc<MemoryServer>> {
        self.servers.lock().clone()
    }

    fn server(&self, shard: &ShardId) -> Result<Arc<MemoryServer>, String> {
        let mut servers = self.servers.lock();
        if let Some(server) = servers.get(shard) {
            return Ok(Arc::clone(server));
        }
        let max_bytes = self.max_bytes.ok_or("this process has no such shard")?;
        let server = Arc::new(MemoryServer::new(max_bytes));
        servers.insert(shard.clone(), Arc::clone(&server));
        Ok(server)
    }
}

impl ShardFactory for MemoryFactory {
    fn open(
        &self,
        shard: &ShardId,
        url: &ShardUrl,
        events: Arc<dyn ShardEvents>,
    ) -> Result<Arc<dyn Shard>, String> {
        if !url.is_empty() && url.expose() != ShardUrl::MEMORY {
            return Err("the shards of this process are in its memory: it reaches no others".to_owned());
        }
        Ok(Arc::new(MemoryShard::open(
            shard.clone(),
            self.server(shard)?,
            &events,
            self.options.clone(),
        )))
    }
}
