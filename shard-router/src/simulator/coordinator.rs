//! Coordinators: the pure [`Attempt`](crate::mover::Attempt) and `decision`, and what joins them to the store and the
//! shards. What is here says the same as the coordinator's drivers, without a runtime.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use super::connection::Connection;
use super::kernel::{Life, MS};
use super::task::Signal;
use super::world::World;
use crate::memory::state::MemoryState;
use crate::safeguard::{Safeguard, holds};
use crate::shard::ShardError;
use crate::topology::{Change, Generation, ShardId, Token, Topology, TransitionError};
use campanile_common::Timestamp;
use std::fmt::Debug;

mod errand;
mod housekeeping;
mod keeper;

/// What one coordinator does while it believes that it holds the lease.
struct Term {
    world: World,
    life: Life,
    token: Token,
    over: Cell<bool>,
    page: RefCell<Page>,
    /// Set while a write of this term is under way: its writes take turns.
    writing: Cell<bool>,
    written: Signal,
    /// The store says that something has changed.
    changed: Signal,
    connections: RefCell<BTreeMap<ShardId, Connection>>,
    /// The shards that a keeper is deciding about: no move from or to them is announced meanwhile.
    looked_at: RefCell<BTreeSet<ShardId>>,
    /// Set while a move is being announced: no keeper begins to decide meanwhile.
    announcing: Cell<bool>,
}

/// The topology as the term knows it.
#[derive(Clone, Default)]
struct Page {
    topology: Option<Arc<Topology>>,
    /// How often somebody else was found to have changed it.
    foreign: u64,
    least: Generation,
}

/// Why a decision was not written. It is made again.
enum NotWritten {
    /// Somebody else has changed the topology, or may have, or the store cannot be reached.
    Lost,
    /// The present topology does not allow it.
    Refused,
}

impl World {
    /// Has `life` take turns at coordinating.
    pub(super) fn start_coordinator(&self, life: Life) {
        let world = self.clone();
        self.spawn(life, async move { take_turns(world, life).await });
    }
}

async fn take_turns(world: World, life: Life) {
    let holder = world.number();
    let ttl = world.profile().registration_ttl;
    loop {
        if world.hold_lease(life, holder).await == Ok(true)
            && let Ok(token) = world.next_token(life).await
        {
            let term = Term::begin(&world, life, token);
            world.note(|| format!("{} coordinates with {token:?}", world.name(life)));
            while world.hold_lease(life, holder).await == Ok(true) {
                world.sleep(life, ttl / 3).await;
            }
            term.over.set(true);
            world.note(|| format!("{} coordinates no longer", world.name(life)));
        }
        let pause = world.about(ttl / 4);
        world.sleep(life, pause).await;
    }
}

impl Term {
    fn begin(world: &World, life: Life, token: Token) -> Rc<Self> {
        let changed = Signal::default();
        let notice = changed.clone();
        world.watch_store(life, move |world| notice.notify(world));
        let term = Rc::new(Self {
            world: world.clone(),
            life,
            token,
            over: Cell::new(false),
            page: RefCell::default(),
            writing: Cell::new(false),
            written: Signal::default(),
            changed,
            connections: RefCell::default(),
            looked_at: RefCell::default(),
            announcing: Cell::new(false),
        });
        let moving = Rc::clone(&term);
        world.spawn(life, async move { moving.carry_moves().await });
        let cleaning = Rc::clone(&term);
        world.spawn(life, async move { cleaning.keep_house().await });
        let shards: Vec<ShardId> = world.servers().keys().cloned().collect();
        for shard in shards {
            let keeping = Rc::clone(&term);
            world.spawn(life, async move { keeping.keep(shard).await });
        }
        term
    }

    /// What is known of the topology.
    fn page(&self) -> Page {
        self.page.borrow().clone()
    }

    /// Reads the topology.
    async fn refresh(&self) -> Option<Page> {
        self.take_turn().await;
        let read = self.world.read_topology(self.life).await;
        self.end_turn();
        let topology = read.ok()?;
        let mut page = self.page.borrow_mut();
        page.turn_to(topology);
        Some(page.clone())
    }

    /// Writes what `transition` makes of the present topology, if nobody else has changed it since `decided_on`.
    async fn commit(
        &self,
        decided_on: &Page,
        least: Generation,
        transition: impl FnOnce(&Topology, Change) -> Result<Topology, TransitionError>,
    ) -> Result<Arc<Topology>, NotWritten> {
        self.take_turn().await;
        let written = self.write(decided_on, least, transition).await;
        self.end_turn();
        if written.is_err() {
            self.refresh().await;
        }
        written
    }

    async fn write(
        &self,
        decided_on: &Page,
        least: Generation,
        transition: impl FnOnce(&Topology, Change) -> Result<Topology, TransitionError>,
    ) -> Result<Arc<Topology>, NotWritten> {
        let page = self.page();
        let Some(present) = page.topology.filter(|_| page.foreign == decided_on.foreign) else {
            return Err(NotWritten::Lost);
        };
        let change = Change {
            generation: page.least.max(least),
            id: self.world.number(),
        };
        let next = transition(&present, change).map_err(|error| {
            self.world
                .note(|| format!("{} may not: {error}", self.world.name(self.life)));
            NotWritten::Refused
        })?;
        match self
            .world
            .compare_and_set(self.life, &present, next.clone())
            .await
        {
            Ok(true) => {
                let next = Arc::new(next);
                let mut page = self.page.borrow_mut();
                page.least = page.least.max(next.generation.next());
                page.topology = Some(Arc::clone(&next));
                Ok(next)
            }
            Ok(false) | Err(_) => Err(NotWritten::Lost),
        }
    }

    async fn take_turn(&self) {
        while self.writing.replace(true) {
            self.written.wait(&self.world, self.life, 50 * MS).await;
        }
    }

    fn end_turn(&self) {
        self.writing.set(false);
        self.written.notify(&self.world);
    }

    /// Carries `act` out at the trusted run of `shard`.
    async fn at<T: Debug + 'static>(
        &self,
        shard: &ShardId,
        act: impl FnOnce(&mut MemoryState, Timestamp) -> Result<T, ShardError> + 'static,
    ) -> Result<T, ShardError> {
        let connection = self.connection(shard).await?;
        let trusted = {
            let page = self.page.borrow();
            let entry = page
                .topology
                .as_ref()
                .and_then(|topology| topology.shards.get(shard));
            entry.and_then(|entry| entry.incarnation.clone())
        };
        if trusted.as_ref() != Some(connection.run()) && holds(Safeguard::IncarnationChecked) {
            return Err(ShardError::Unavailable("another run answers".into()));
        }
        connection
            .call(&self.world, self.world.profile().patience, act)
            .await
    }

    /// A connection to whichever run of `shard` answers.
    async fn connection(&self, shard: &ShardId) -> Result<Connection, ShardError> {
        let known = self.connections.borrow().get(shard).cloned();
        if let Some(known) = known.filter(|known| !known.is_broken()) {
            return Ok(known);
        }
        let made = self.world.connect(self.life, shard).await;
        let made = made.ok_or_else(|| ShardError::Unavailable("no answer".into()))?;
        self.connections.borrow_mut().insert(shard.clone(), made.clone());
        Ok(made)
    }
}

impl Page {
    fn turn_to(&mut self, topology: Arc<Topology>) {
        let known = self.topology.as_ref();
        if known.is_some_and(|known| known.generation >= topology.generation) {
            return;
        }
        self.least = self.least.max(topology.generation.next());
        self.topology = Some(topology);
        self.foreign += 1;
    }
}
