//! What all connections of a gateway share.

use std::sync::Arc;

use campanile_shard_router::router::Router;

use super::Connection;
use super::counters::Counters;
use super::shutdown::ShutdownMeters;
use crate::clock::Clock;
use crate::hub::Hub;
use crate::live::Live;
use crate::registry::{Admission, Registry};
use crate::session::SessionContext;
use crate::timers::Timers;
use crate::turnstile::Turnstile;

/// What all connections of a gateway share.
pub struct Host {
    /// The way to the channels.
    pub router: Arc<Router<Hub<Connection>>>,
    /// All connections.
    pub registry: Registry<Connection>,
    /// Who may come in.
    pub admission: Arc<Admission>,
    /// What wakes their sessions.
    pub timers: Timers<Connection>,
    /// What is counted about them.
    pub counters: Counters,
    /// What is counted about their end.
    pub shutdown: ShutdownMeters,
    /// The rules of their sessions.
    pub sessions: Live<SessionContext>,
    /// Those whose clients have gone, on their way out. Each holds a descriptor until its turn, within what
    /// [`admission`](Self::admission) allows of them.
    pub exit: Turnstile,
    /// The present.
    pub clock: Clock,
}

impl Host {
    /// A host without connections. Its timers do not run yet.
    #[must_use]
    pub fn new(
        router: Arc<Router<Hub<Connection>>>,
        sessions: impl Into<Live<SessionContext>>,
        clock: Clock,
    ) -> Arc<Self> {
        let sessions = sessions.into();
        let rules = sessions.get();
        let (limit, rate) = (rules.client.connection_limit, rules.client.connection_rate_limit);
        Arc::new(Self {
            router,
            registry: Registry::default(),
            admission: Admission::new(limit, rate, clock.now()),
            timers: Timers::new(clock),
            counters: Counters::register(),
            shutdown: ShutdownMeters::register(),
            sessions,
            exit: Turnstile::new(),
            clock,
        })
    }
}
