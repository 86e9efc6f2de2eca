//! The world: everything there is in one run, and the ways in which its parts reach each other.

use std::cell::{Cell, RefCell, RefMut};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use campanile_common::{Epoch, Timestamp};

use super::clients::Subscriber;
use super::connection::ConnectionRef;
use super::ears::Ears;
use super::gateway::Gateway;
use super::kernel::{Kernel, Life, MS, Micros};
use super::link::{Arrival, Link};
use super::profile::Profile;
use super::rng::Rng;
use super::server::Server;
use super::store::Store;
use super::trace::{Invariant, Trace, Violation};
use super::truth::Truth;
use crate::topology::ShardId;

/// Everything there is. Clones are the same world.
#[derive(Clone)]
pub(super) struct World(Rc<Parts>);

struct Parts {
    profile: Profile,
    kernel: RefCell<Kernel>,
    rng: RefCell<Rng>,
    trace: RefCell<Trace>,
    names: RefCell<BTreeMap<Life, String>>,
    servers: RefCell<BTreeMap<ShardId, Server>>,
    connections: RefCell<Vec<ConnectionRef>>,
    store: RefCell<Store>,
    truth: RefCell<Truth>,
    gateways: RefCell<Vec<Rc<Gateway>>>,
    subscribers: RefCell<Vec<Subscriber>>,
    ears: RefCell<Ears>,
    coordinators: RefCell<Vec<Life>>,
    operator: Cell<Option<Life>>,
    numbers: RefCell<u64>,
    /// Whether faults, requests and publications go on.
    busy: Cell<bool>,
    /// Whether a server or the store may have changed since that was looked at.
    touched: Cell<bool>,
}

impl World {
    pub(super) fn new(profile: Profile, rng: Rng, trace: Trace, store: Store) -> Self {
        Self(Rc::new(Parts {
            profile,
            kernel: RefCell::new(Kernel::new()),
            rng: RefCell::new(rng),
            trace: RefCell::new(trace),
            names: RefCell::default(),
            servers: RefCell::default(),
            connections: RefCell::default(),
            store: RefCell::new(store),
            truth: RefCell::new(Truth::new()),
            gateways: RefCell::default(),
            subscribers: RefCell::default(),
            ears: RefCell::default(),
            coordinators: RefCell::default(),
            operator: Cell::default(),
            numbers: RefCell::default(),
            busy: Cell::new(true),
            touched: Cell::new(true),
        }))
    }

    pub(super) fn profile(&self) -> &Profile {
        &self.0.profile
    }

    pub(super) fn kernel(&self) -> RefMut<'_, Kernel> {
        self.0.kernel.borrow_mut()
    }

    pub(super) fn rng(&self) -> RefMut<'_, Rng> {
        self.0.rng.borrow_mut()
    }

    pub(super) fn trace(&self) -> RefMut<'_, Trace> {
        self.0.trace.borrow_mut()
    }

    pub(super) fn servers(&self) -> RefMut<'_, BTreeMap<ShardId, Server>> {
        self.0.servers.borrow_mut()
    }

    pub(super) fn connections(&self) -> RefMut<'_, Vec<ConnectionRef>> {
        self.0.connections.borrow_mut()
    }

    pub(super) fn store(&self) -> RefMut<'_, Store> {
        self.0.store.borrow_mut()
    }

    pub(super) fn truth(&self) -> RefMut<'_, Truth> {
        self.0.truth.borrow_mut()
    }

    pub(super) fn gateways(&self) -> RefMut<'_, Vec<Rc<Gateway>>> {
        self.0.gateways.borrow_mut()
    }

    pub(super) fn subscribers(&self) -> RefMut<'_, Vec<Subscriber>> {
        self.0.subscribers.borrow_mut()
    }

    pub(super) fn ears(&self) -> RefMut<'_, Ears> {
        self.0.ears.borrow_mut()
    }

    pub(super) fn coordinators(&self) -> RefMut<'_, Vec<Life>> {
        self.0.coordinators.borrow_mut()
    }

    pub(super) fn set_operator(&self, life: Life) {
        self.0.operator.set(Some(life));
    }

    pub(super) fn operator(&self) -> Life {
        self.0
            .operator
            .get()
            .expect("the operators are there from the beginning")
    }

    pub(super) fn now(&self) -> Micros {
        self.kernel().now
    }

    /// The time by everybody's clock.
    pub(super) fn timestamp(&self) -> Timestamp {
        // Far from zero, at which everything would seem to have expired.
        Timestamp::from_millis(1_000_000 + self.now() / MS)
    }

    pub(super) fn is_busy(&self) -> bool {
        self.0.busy.get()
    }

    /// From now on nothing fails any more, and nobody asks for or publishes anything.
    pub(super) fn calm_down(&self) {
        self.0.busy.set(false);
    }

    /// A server or the store may have changed.
    pub(super) fn touch(&self) {
        self.0.touched.set(true);
    }

    /// Whether one may have, since this was last asked.
    pub(super) fn take_touched(&self) -> bool {
        self.0.touched.replace(false)
    }

    /// The gateways that run, paused or not.
    pub(super) fn alive(&self) -> Vec<Rc<Gateway>> {
        let kernel = self.kernel();
        let gateways = self.gateways();
        gateways
            .iter()
            .filter(|gateway| kernel.is_alive(gateway.life))
            .cloned()
            .collect()
    }

    /// Ends everything, so that nothing keeps anything else alive.
    pub(super) fn dissolve(&self) {
        let left = self.kernel().dissolve();
        drop(left);
        self.gateways().clear();
        self.subscribers().clear();
        self.servers().clear();
        *self.store() = Store::default();
    }

    /// A number that nothing else has.
    pub(super) fn number(&self) -> u64 {
        let mut numbers = self.0.numbers.borrow_mut();
        *numbers += 1;
        *numbers
    }

    /// A name for a stream's incarnation.
    pub(super) fn new_epoch(&self) -> Epoch {
        // With the time, so that everybody can tell what has happened since.
        Epoch::from(format!("e{}.{}", self.number(), self.now()).as_str())
    }

    /// How long a message is under way.
    pub(super) fn latency(&self) -> Micros {
        let (slow, slowest) = (self.0.profile.slow, self.0.profile.slowest);
        let mut rng = self.rng();
        if self.is_busy() && rng.chance(slow) {
            return rng.between(MS, slowest);
        }
        rng.between(50, 1500)
    }

    /// When the next message of a channel that keeps its order arrives; `last` is when the one before does.
    pub(super) fn arrival(&self, last: &Cell<Micros>) -> Micros {
        let at = (self.now() + self.latency()).max(last.get());
        last.set(at);
        at
    }

    /// A time that is `average` on average.
    pub(super) fn about(&self, average: Micros) -> Micros {
        self.rng().between(average / 4, average * 7 / 4)
    }

    /// Gives a process its name in the trace.
    pub(super) fn call_it(&self, life: Life, name: String) {
        self.0.names.borrow_mut().insert(life, name);
    }

    pub(super) fn name(&self, life: Life) -> String {
        self.0.names.borrow().get(&life).cloned().unwrap_or_default()
    }

    /// Writes down what happens, if that is wanted.
    pub(super) fn note(&self, words: impl FnOnce() -> String) {
        let (step, now) = {
            let kernel = self.kernel();
            (kernel.steps, kernel.now)
        };
        self.trace().note(step, now, words);
    }

    /// A promise is broken. The first one ends the run.
    pub(super) fn violated(&self, invariant: Invariant, words: impl FnOnce() -> String) {
        let (step, at) = {
            let kernel = self.kernel();
            (kernel.steps, kernel.now)
        };
        let mut trace = self.trace();
        if trace.violation.is_none() {
            trace.violation = Some(Violation {
                invariant,
                words: words(),
                step,
                at,
            });
        }
    }

    /// Has `act` happen after `delay`, to nobody in particular.
    pub(super) fn later(&self, delay: Micros, act: impl FnOnce(&Self) + 'static) {
        let at = self.now() + delay;
        self.kernel().schedule(None, at, Box::new(act));
    }

    /// Whether the store knows a gateway as live.
    pub(super) fn is_registered(&self, life: Life) -> bool {
        let gateway = self
            .gateways()
            .iter()
            .find(|gateway| gateway.life == life)
            .cloned();
        let now = self.now();
        gateway.is_some_and(|gateway| self.store().is_live(&gateway.id, now))
    }

    /// A link brings its gateway something.
    pub(super) fn link_brings(&self, link: &Rc<Link>, arrival: Arrival) {
        let gateway = self
            .gateways()
            .iter()
            .find(|gateway| gateway.life == link.client())
            .cloned();
        if let Some(gateway) = gateway {
            gateway.link_brings(self, link, arrival);
        }
    }

    /// Stops a process for a while.
    pub(super) fn pause_for(&self, pid: super::kernel::Pid, pause: Micros) {
        self.kernel().pause(pid);
        self.later(pause, move |world| world.kernel().resume(pid));
    }

    /// Lets the next thing happen that is due by `until`. False: nothing is.
    pub(super) fn step(&self, until: Micros) -> bool {
        let Some(act) = self.kernel().pop(until) else {
            return false;
        };
        act(self);
        self.run_tasks();
        true
    }

    /// Runs the tasks that what happened has woken.
    pub(super) fn run_tasks(&self) {
        loop {
            let Some((id, mut future)) = self.kernel().begin_poll() else {
                return;
            };
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            let future = match future.as_mut().poll(&mut context) {
                std::task::Poll::Pending => Some(future),
                std::task::Poll::Ready(()) => None,
            };
            self.kernel().end_poll(id, future);
        }
    }
}

/// A duration in the world's time.
pub(super) fn micros(duration: Duration) -> Micros {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
