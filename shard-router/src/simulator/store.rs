//! The topology store: one document with compare-and-set, registrations that expire, a lease, a counter for tokens.
//!
//! Each request reaches it after some delay and is carried out at once; the answer takes its time too. While the store is
//! unavailable, requests fail, and an answer may get lost after the request was carried out.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use super::kernel::{Life, Micros};
use super::task::Reply;
use super::world::World;
use crate::store::{GatewayId, GatewayReport};
use crate::topology::{Generation, Token, Topology};

/// Why the store did not answer: it cannot be reached, or the answer was lost. What was asked may have been done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unavailable;

pub(super) type Answer<T> = Reply<Result<T, Unavailable>>;

/// Tells somebody that the document has changed.
type Watcher = Arc<dyn Fn(&World)>;

#[derive(Default)]
pub(super) struct Store {
    pub(super) topology: Option<Arc<Topology>>,
    /// Every document that was ever stored.
    pub(super) history: BTreeMap<Generation, Arc<Topology>>,
    registrations: BTreeMap<GatewayId, (GatewayReport, Micros)>,
    lease: Option<(u64, Micros)>,
    token: Token,
    pub(super) available: bool,
    /// Who is told of changes.
    watchers: Vec<(Life, Watcher)>,
}

impl Store {
    pub(super) fn new(first: Topology) -> Self {
        let first = Arc::new(first);
        Self {
            history: BTreeMap::from([(first.generation, Arc::clone(&first))]),
            topology: Some(first),
            available: true,
            ..Self::default()
        }
    }

    /// The stored document.
    pub(super) fn present(&self) -> &Arc<Topology> {
        self.topology.as_ref().expect("the world begins with a document")
    }

    /// Whether a gateway's registration has not expired.
    pub(super) fn is_live(&self, gateway: &GatewayId, now: Micros) -> bool {
        self.registrations
            .get(gateway)
            .is_some_and(|(_, until)| *until > now)
    }

    /// A live gateway that has not acknowledged the stored document.
    pub(super) fn unacknowledged(&self, now: Micros) -> Option<String> {
        let present = self.present().generation;
        let mut behind = self
            .live(now)
            .into_iter()
            .filter(|(_, report)| report.applied != present);
        let (gateway, report) = behind.next()?;
        Some(format!(
            "{gateway:?} has acknowledged {}, not {present}",
            report.applied
        ))
    }

    /// The registrations that have not expired.
    pub(super) fn live(&self, now: Micros) -> Vec<(GatewayId, GatewayReport)> {
        let live = self.registrations.iter().filter(|(_, (_, until))| *until > now);
        live.map(|(id, (report, _))| (id.clone(), report.clone()))
            .collect()
    }
}

impl World {
    /// Reads the document.
    pub(super) fn read_topology(&self, life: Life) -> Answer<Arc<Topology>> {
        self.ask_store(life, |store, _| Arc::clone(store.present()))
    }

    /// Replaces the document if it is still `expected`.
    pub(super) fn compare_and_set(&self, life: Life, expected: &Topology, next: Topology) -> Answer<bool> {
        let mark = (expected.generation, expected.change_id);
        let next = Arc::new(next);
        let world = self.clone();
        self.ask_store(life, move |store, _| {
            let present = Arc::clone(store.present());
            if (present.generation, present.change_id) != mark {
                return false;
            }
            let known = store.history.insert(next.generation, Arc::clone(&next));
            if known.is_some() || next.generation <= present.generation {
                world.violated("generation_whole_and_growing", || {
                    format!(
                        "generation {} was stored over {}",
                        next.generation, present.generation
                    )
                });
            }
            let before = store.topology.replace(Arc::clone(&next));
            for (life, watcher) in &store.watchers {
                let watcher = Arc::clone(watcher);
                world.after(*life, world.latency(), move |world| watcher(world));
            }
            if let Some(before) = before {
                world.stored(&before, &next);
            }
            true
        })
    }

    /// Has `notice` called on `life` whenever the document has changed, a little later.
    pub(super) fn watch_store(&self, life: Life, notice: impl Fn(&World) + 'static) {
        self.store().watchers.push((life, Arc::new(notice)));
    }

    /// Enters or refreshes a gateway; false: the registration that must exist has expired.
    pub(super) fn register(
        &self,
        life: Life,
        gateway: &GatewayId,
        report: GatewayReport,
        must_exist: bool,
    ) -> Answer<bool> {
        let gateway = gateway.clone();
        // Counted from before the refresh is sent: an answer that is late says nothing about how long it still lasts.
        let until = self.now() + self.profile().registration_ttl;
        self.ask_store(life, move |store, now| {
            store.registrations.retain(|_, (_, until)| *until > now);
            let allowed = !must_exist || store.registrations.contains_key(&gateway);
            if allowed {
                store.registrations.insert(gateway, (report, until));
            }
            allowed
        })
    }

    /// The live gateways and what they report.
    pub(super) fn registered(&self, life: Life) -> Answer<Vec<(GatewayId, GatewayReport)>> {
        self.ask_store(life, |store, now| store.live(now))
    }

    /// Takes or extends the lease. Where the profile has two coordinators at once, it is given away now and then although
    /// somebody holds it.
    pub(super) fn hold_lease(&self, life: Life, holder: u64) -> Answer<bool> {
        let until = self.now() + self.profile().registration_ttl;
        let twice = self.rng().chance(self.profile().two_coordinators);
        self.ask_store(life, move |store, now| {
            let free = store
                .lease
                .is_none_or(|(present, until)| present == holder || until <= now);
            if free {
                store.lease = Some((holder, until));
            }
            free || twice
        })
    }

    /// The next fencing token.
    pub(super) fn next_token(&self, life: Life) -> Answer<Token> {
        self.ask_store(life, |store, _| {
            store.token.0 += 1;
            store.token
        })
    }

    fn ask_store<T: Debug + 'static>(
        &self,
        life: Life,
        act: impl FnOnce(&mut Store, Micros) -> T + 'static,
    ) -> Answer<T> {
        let (filler, reply) = self.reply();
        let answer = filler.clone();
        let reach = move |world: &World| {
            let available = world.store().available;
            // An unavailable store may still have carried out what it never answers.
            if !available && world.rng().chance(800) {
                return;
            }
            let now = world.now();
            let result = act(&mut world.store(), now);
            if available {
                world.after(life, world.latency(), move |world| answer.fill(world, Ok(result)));
            }
        };
        let at = self.now() + self.latency();
        self.kernel().schedule(None, at, Box::new(reach));
        let patience = self.profile().patience;
        self.after(life, patience, move |world| filler.fill(world, Err(Unavailable)));
        reply
    }
}
