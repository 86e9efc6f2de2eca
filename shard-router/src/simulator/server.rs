//! The servers behind the shards: each holds a real [`MemoryState`] and carries out what reaches it, in order.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::kernel::Life;
use super::link::Link;
use super::world::World;
use crate::memory::state::{Data, LinkKey, MemoryState};
use crate::topology::{Incarnation, ShardId};

/// More than any run of the world stores.
const LIMIT: usize = 64 << 20;

pub(super) struct Server {
    pub(super) id: ShardId,
    pub(super) life: Life,
    /// `None` while it is down.
    pub(super) state: Option<MemoryState>,
    /// What a restart would find.
    disk: Data,
    /// What a replica has, or a backup: the data of some earlier moment.
    snapshot: Data,
    runs: u32,
    /// Whether the present run was a replica before.
    pub(super) promoted: bool,
    pub(super) links: BTreeMap<LinkKey, Rc<Link>>,
}

/// What a server that starts again finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Everything that it held.
    All,
    /// Nothing.
    Nothing,
    /// What it held when a snapshot was last taken.
    Older,
    /// The same, because a replica that lagged was promoted.
    Promoted,
}

impl Server {
    pub(super) fn new(id: ShardId, life: Life) -> Self {
        let mut server = Self {
            id,
            life,
            state: None,
            disk: Data::default(),
            snapshot: Data::default(),
            runs: 0,
            promoted: false,
            links: BTreeMap::new(),
        };
        server.run(Data::default());
        server
    }

    fn run(&mut self, data: Data) {
        self.runs += 1;
        let run = Incarnation::new(&format!("{}-{}", self.id, self.runs));
        self.state = Some(MemoryState::new(run, data, LIMIT));
    }

    pub(super) fn is_up(&self) -> bool {
        self.state.is_some()
    }

    /// Keeps what is held now for a later restart with older data.
    pub(super) fn take_snapshot(&mut self) {
        if let Some(state) = &self.state {
            self.snapshot = state.data();
        }
    }
}

impl World {
    /// Ends a server. Whoever was connected notices.
    pub(super) fn crash(&self, shard: &ShardId) {
        let (life, links) = {
            let mut servers = self.servers();
            let server = servers.get_mut(shard).expect("faults name known shards");
            let Some(state) = server.state.take() else { return };
            server.disk = state.data();
            (server.life, std::mem::take(&mut server.links))
        };
        drop(self.kernel().kill(life.pid));
        for link in links.into_values() {
            link.lost(self);
        }
        self.break_connections(|connection| connection.server() == life);
        self.note(|| format!("{shard} has stopped"));
    }

    /// Starts a server that is down: a new run.
    pub(super) fn restart(&self, shard: &ShardId, found: Found) {
        let mut servers = self.servers();
        let server = servers.get_mut(shard).expect("faults name known shards");
        if server.is_up() {
            return;
        }
        server.life = self.kernel().revive(server.life.pid);
        let data = match found {
            Found::All => std::mem::take(&mut server.disk),
            Found::Nothing => Data::default(),
            Found::Older | Found::Promoted => server.snapshot.clone(),
        };
        server.promoted = found == Found::Promoted;
        server.run(data);
        drop(servers);
        self.touch();
        self.note(|| format!("{shard} has started again, with {found:?}"));
    }

    /// Runs `act` on a server's state, sends out what it published, and has everything looked at.
    pub(super) fn execute<T>(&self, shard: &ShardId, act: impl FnOnce(&mut MemoryState) -> T) -> Option<T> {
        let (result, deliveries) = {
            let mut servers = self.servers();
            let server = servers.get_mut(shard)?;
            let state = server.state.as_mut()?;
            let result = act(state);
            let deliveries: Vec<_> = state
                .take_outbox()
                .into_iter()
                .filter_map(|delivery| Some((Rc::clone(server.links.get(&delivery.link)?), delivery.event)))
                .collect();
            (result, deliveries)
        };
        self.touch();
        for (link, event) in deliveries {
            link.deliver(self, event);
        }
        Some(result)
    }
}
