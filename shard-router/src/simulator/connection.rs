//! Command connections: requests are carried out in the order in which they were sent, after any delay; answers come
//! back in order, after any delay; when a connection breaks, what was under way may or may not be carried out.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::rc::{Rc, Weak};

use super::kernel::{Life, Micros, SECOND};
use super::task::{Reply, Signal};
use super::world::World;
use crate::memory::state::MemoryState;
use crate::shard::ShardError;
use crate::topology::{Incarnation, ShardId};
use campanile_common::Timestamp;

/// A process's connection to one run of a server.
#[derive(Clone)]
pub(super) struct Connection(Rc<Inner>);

struct Inner {
    client: Life,
    server: Life,
    shard: ShardId,
    run: Incarnation,
    /// When the last request arrives, and when the last answer does.
    there: Cell<Micros>,
    back: Cell<Micros>,
    broken: Cell<bool>,
    /// Set when one of the requests that were under way at the break was lost: then all later ones are.
    cut: Cell<bool>,
    sent: Cell<u64>,
    waiting: RefCell<BTreeMap<u64, Waiting>>,
    gone: Signal,
}

/// Answers a request that is under way with an error.
type Waiting = Box<dyn Fn(&World, ShardError)>;

/// How the world finds the connections that there are.
pub(super) struct ConnectionRef(Weak<Inner>);

impl Connection {
    pub(super) fn run(&self) -> &Incarnation {
        &self.0.run
    }

    pub(super) fn server(&self) -> Life {
        self.0.server
    }

    pub(super) fn shard(&self) -> &ShardId {
        &self.0.shard
    }

    pub(super) fn client(&self) -> Life {
        self.0.client
    }

    pub(super) fn is_broken(&self) -> bool {
        self.0.broken.get()
    }

    /// Has `act` carried out at the server. Unanswered after `patience`; it may be carried out all the same.
    pub(super) fn call<T: Debug + 'static>(
        &self,
        world: &World,
        patience: Micros,
        act: impl FnOnce(&mut MemoryState, Timestamp) -> Result<T, ShardError> + 'static,
    ) -> Reply<Result<T, ShardError>> {
        let (filler, reply) = world.reply();
        if self.is_broken() {
            filler.fill(
                world,
                Err(ShardError::Unavailable("the connection is broken".into())),
            );
            return reply;
        }
        let inner = &self.0;
        let number = inner.sent.get() + 1;
        inner.sent.set(number);
        let waiting = filler.clone();
        let fail: Waiting = Box::new(move |world, error| waiting.fill(world, Err(error)));
        inner.waiting.borrow_mut().insert(number, fail);
        let connection = self.clone();
        let arrive = move |world: &World| {
            if !connection.still_arrives(world) {
                return;
            }
            let now = world.timestamp();
            let Some(result) = world.execute(&connection.0.shard, |state| act(state, now)) else {
                return;
            };
            world.note(|| {
                let Inner { shard, client, .. } = &*connection.0;
                format!(
                    "{shard} answers {} (request {number}): {result:?}",
                    world.name(*client)
                )
            });
            connection.answer(world, number, move |world| filler.fill(world, result));
        };
        let at = world.arrival(&inner.there);
        world.kernel().schedule(Some(inner.server), at, Box::new(arrive));
        let late = self.clone();
        world.after(inner.client, patience, move |world| late.give_up(world, number));
        reply
    }

    /// Waits, as its client, until it is broken.
    pub(super) async fn gone(&self, world: &World) {
        while !self.is_broken() {
            self.0.gone.wait(world, self.0.client, SECOND).await;
        }
    }

    /// Whether a request that was sent reaches the server although the connection may have broken since.
    fn still_arrives(&self, world: &World) -> bool {
        if self.is_broken() && !self.0.cut.get() {
            self.0.cut.set(world.rng().chance(500));
        }
        !self.0.cut.get()
    }

    fn answer(&self, world: &World, number: u64, fill: impl FnOnce(&World) + 'static) {
        let connection = self.clone();
        let at = world.arrival(&self.0.back);
        let back = move |world: &World| {
            // What a broken connection still brings is heard by nobody.
            let heard =
                !connection.is_broken() && connection.0.waiting.borrow_mut().remove(&number).is_some();
            if heard {
                fill(world);
            }
        };
        world.kernel().schedule(Some(self.0.client), at, Box::new(back));
    }

    fn give_up(&self, world: &World, number: u64) {
        let waiting = self.0.waiting.borrow_mut().remove(&number);
        if let Some(fail) = waiting {
            fail(world, ShardError::Unanswered("no answer in time".into()));
        }
    }

    /// Breaks the connection: its client learns of it, and that nobody knows what became of its requests.
    pub(super) fn break_now(&self, world: &World) {
        if self.0.broken.replace(true) {
            return;
        }
        let connection = self.clone();
        let notice = move |world: &World| {
            connection.0.gone.notify(world);
            let waiting = std::mem::take(&mut *connection.0.waiting.borrow_mut());
            for fail in waiting.into_values() {
                fail(world, ShardError::Unanswered("the connection broke".into()));
            }
        };
        let delay = world.latency();
        world.after(self.0.client, delay, notice);
    }
}

impl World {
    /// Connects `client` to whichever run of `shard` answers. `None`: none does.
    pub(super) fn connect(&self, client: Life, shard: &ShardId) -> Reply<Option<Connection>> {
        let (filler, reply) = self.reply();
        let Some(server) = self.servers().get(shard).map(|server| server.life) else {
            filler.fill(self, None);
            return reply;
        };
        let (shard, answer) = (shard.clone(), filler.clone());
        let delay = self.latency();
        let reach = move |world: &World| {
            let run = {
                let servers = world.servers();
                servers[&shard].state.as_ref().map(|state| state.run().clone())
            };
            let Some(run) = run else { return };
            let connection = Connection(Rc::new(Inner {
                client,
                server,
                shard,
                run,
                there: Cell::default(),
                back: Cell::default(),
                broken: Cell::default(),
                cut: Cell::default(),
                sent: Cell::default(),
                waiting: RefCell::default(),
                gone: Signal::default(),
            }));
            world
                .connections()
                .push(ConnectionRef(Rc::downgrade(&connection.0)));
            let delay = world.latency();
            world.after(client, delay, move |world| answer.fill(world, Some(connection)));
        };
        let at = self.now() + delay;
        self.kernel().schedule(Some(server), at, Box::new(reach));
        let patience = self.profile().patience;
        self.after(client, patience, move |world| filler.fill(world, None));
        reply
    }

    /// How many connections are open.
    pub(super) fn count_connections(&self) -> usize {
        let mut connections = self.connections();
        connections.retain(|reference| reference.0.upgrade().is_some_and(|inner| !inner.broken.get()));
        connections.len()
    }

    /// Breaks the connections that `which` names.
    pub(super) fn break_connections(&self, mut which: impl FnMut(&Connection) -> bool) {
        let mut open = Vec::new();
        self.connections().retain(|reference| {
            let Some(inner) = reference.0.upgrade() else {
                return false;
            };
            open.push(Connection(inner));
            true
        });
        for connection in open.into_iter().filter(|connection| which(connection)) {
            connection.break_now(self);
        }
    }
}
