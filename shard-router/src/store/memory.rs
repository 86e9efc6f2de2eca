//! The store of a deployment within one process: embedded shards, and tests with several gateways.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use metrics::Counter;
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::{
    GatewayId, GatewayReport, MESSAGES_HELD, REGISTRATION_TTL, StoreFuture, TopologyStore, messages_dropped,
};
use crate::topology::{Token, Topology};

/// A store in memory, shared by the gateways of one process and gone with it.
#[derive(Debug)]
pub struct MemoryStore {
    state: Mutex<State>,
    changes: watch::Sender<u64>,
    registration_ttl: Duration,
    dropped: Counter,
}

#[derive(Debug, Default)]
struct State {
    topology: Option<Topology>,
    gateways: BTreeMap<GatewayId, Registration>,
    lease: Option<(GatewayId, Instant)>,
    token: Token,
    listeners: Vec<(GatewayId, mpsc::Sender<Bytes>)>,
}

#[derive(Debug)]
struct Registration {
    report: GatewayReport,
    until: Instant,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::with_registration_ttl(REGISTRATION_TTL)
    }

    /// An empty store in which registrations and the lease last `ttl`.
    #[must_use]
    pub fn with_registration_ttl(ttl: Duration) -> Self {
        Self {
            state: Mutex::default(),
            changes: watch::Sender::new(0),
            registration_ttl: ttl,
            dropped: messages_dropped(),
        }
    }

    /// Carries `act` out when first polled, on what has not expired.
    fn act<'a, T: Send + 'a>(
        &'a self,
        act: impl FnOnce(&mut State, Instant) -> T + Send + 'a,
    ) -> StoreFuture<'a, T> {
        Box::pin(async move {
            let mut state = self.state.lock();
            let now = Instant::now();
            state.expire(now);
            Ok(act(&mut state, now + self.registration_ttl))
        })
    }

    fn deliver<'a>(&'a self, message: Bytes, to: Option<&'a GatewayId>) -> StoreFuture<'a, ()> {
        self.act(move |state, _| {
            state.listeners.retain(|(_, listener)| !listener.is_closed());
            let addressed = state
                .listeners
                .iter()
                .filter(|(id, _)| to.is_none_or(|to| to == id));
            for (_, listener) in addressed {
                if listener.try_send(message.clone()).is_err() {
                    self.dropped.increment(1);
                }
            }
        })
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl State {
    fn expire(&mut self, now: Instant) {
        self.gateways.retain(|_, registration| registration.until > now);
        self.lease.take_if(|(_, until)| *until <= now);
    }
}

impl TopologyStore for MemoryStore {
    fn read(&self) -> StoreFuture<'_, Option<Topology>> {
        self.act(move |state, _| state.topology.clone())
    }

    fn compare_and_set<'a>(
        &'a self,
        expected: Option<&'a Topology>,
        next: &'a Topology,
    ) -> StoreFuture<'a, bool> {
        let mark = |topology: &Topology| (topology.generation, topology.change_id);
        self.act(move |state, _| {
            let unchanged = state.topology.as_ref().map(mark) == expected.map(mark);
            if unchanged {
                state.topology = Some(next.clone());
                self.changes.send_modify(|wakes| *wakes += 1);
            }
            unchanged
        })
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn register<'a>(
        &'a self,
        gateway: &'a GatewayId,
        report: &'a GatewayReport,
        must_exist: bool,
    ) -> StoreFuture<'a, bool> {
        self.act(move |state, until| {
            let allowed = !must_exist || state.gateways.contains_key(gateway);
            if allowed {
                let report = report.clone();
                state
                    .gateways
                    .insert(gateway.clone(), Registration { report, until });
            }
            allowed
        })
    }

    fn deregister<'a>(&'a self, gateway: &'a GatewayId) -> StoreFuture<'a, ()> {
        self.act(move |state, _| {
            state.gateways.remove(gateway);
        })
    }

    fn gateways(&self) -> StoreFuture<'_, Vec<(GatewayId, GatewayReport)>> {
        self.act(move |state, _| {
            let live = state.gateways.iter();
            live.map(|(id, registration)| (id.clone(), registration.report.clone()))
                .collect()
        })
    }

    fn hold_lease<'a>(&'a self, gateway: &'a GatewayId) -> StoreFuture<'a, bool> {
        self.act(move |state, until| {
            let free = state.lease.as_ref().is_none_or(|(holder, _)| holder == gateway);
            if free {
                state.lease = Some((gateway.clone(), until));
            }
            free
        })
    }

    fn release_lease<'a>(&'a self, gateway: &'a GatewayId) -> StoreFuture<'a, ()> {
        self.act(move |state, _| {
            state.lease.take_if(|(holder, _)| holder == gateway);
        })
    }

    fn next_token(&self) -> StoreFuture<'_, Token> {
        self.act(move |state, _| {
            state.token.0 += 1;
            state.token
        })
    }

    fn broadcast(&self, message: Bytes) -> StoreFuture<'_, ()> {
        self.deliver(message, None)
    }

    fn send<'a>(&'a self, to: &'a GatewayId, message: Bytes) -> StoreFuture<'a, ()> {
        self.deliver(message, Some(to))
    }

    fn listen<'a>(&'a self, gateway: &'a GatewayId) -> StoreFuture<'a, mpsc::Receiver<Bytes>> {
        self.act(move |state, _| {
            let (sender, receiver) = mpsc::channel(MESSAGES_HELD);
            state.listeners.push((gateway.clone(), sender));
            receiver
        })
    }

    fn status(&self) -> Result<(), String> {
        Ok(())
    }
}
