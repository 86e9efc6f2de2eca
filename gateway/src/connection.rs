//! One client connection: its queue, its session, and the task that drives both.
//!
//! ```text
//! transport ─ frame ─▶ codec ─ command ─▶ session ─ effect ─▶ router
//!     ▲                                      │                  │ outcome
//!     └──── batch ── outbound queue ◀─ reply ┴◀─────────────────┘
//!                          ▲ publication
//!                         hub
//! ```
//!
//! * [`Connection`]: what all who touch a connection share; it locks the session, carries out what comes of it, and
//!   never calls the router with the lock held.
//! * [`effects`]: what sessions want done, begun in their order.
//! * [`driver`]: the connection's task: frames in, batches out.
//! * [`outbound`]: the queue between them; [`delivery`]: how long it takes from the hub through it.
//! * [`host`]: what all connections of a gateway share; [`entrance`]: how they begin, [`endpoint`]: over WebSocket,
//!   [`webtransport`]: over WebTransport; [`shutdown`]: how all of them end; [`local`]: what the cluster asks of them.
//!
//! Locks are taken in this order: a channel's (the router's), a connection's, its queue's.

mod close;
pub mod counters;
pub mod delivery;
mod driver;
mod effects;
pub mod endpoint;
pub mod entrance;
pub mod host;
pub mod local;
pub mod outbound;
pub mod shutdown;
pub mod webtransport;

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use campanile_common::message::{Command, Reply};
use campanile_common::{ChannelName, Codec, Timestamp};
use campanile_shard_router::audience::LossReason;
use parking_lot::{Mutex, MutexGuard};
use rand::Rng;

use crate::hub::{Membership, Subscriber};
use crate::registry::ClientId;
use crate::session::{Effect, Outcome, Output, RequestId, ServerCommand, Session, Start};
use crate::timers::Sleeper;
use crate::transport::{Takes, TransportKind};
pub use close::CloseReason;
use delivery::DeliveryMeter;
pub use driver::drive;
use host::Host;
use outbound::Outbound;

/// One client connection.
pub struct Connection {
    host: Arc<Host>,
    id: ClientId,
    transport: TransportKind,
    codec: Codec,
    outbound: Outbound,
    state: Mutex<State>,
}

struct State {
    session: Session,
    /// The subscriptions that the hub delivers to. Few; searched from end to end.
    memberships: Vec<Arc<Membership<Connection>>>,
    /// What the session wants done and was not begun yet, in order.
    effects: VecDeque<Begin>,
    /// Whether someone is beginning effects at this moment.
    beginning: bool,
    /// The earliest time at which the wheel will wake this connection.
    wakes_at: Option<Timestamp>,
    /// The driver, while the session accepts no commands.
    paused: Option<Waker>,
}

/// An effect that is to be begun.
struct Begin {
    effect: Effect,
    /// What an [`Effect::Unsubscribe`] takes out of the hub.
    membership: Option<Arc<Membership<Connection>>>,
}

impl Connection {
    /// A connection whose transport has just been opened. Its host knows of it from now on until it is
    /// [`over`](Self::over).
    #[must_use]
    pub fn open(host: Arc<Host>, transport: TransportKind, codec: Codec) -> Arc<Self> {
        Self::open_taking(host, transport, codec, Takes::default())
    }

    /// The same for a client that takes more than one stream.
    #[must_use]
    pub fn open_taking(host: Arc<Host>, transport: TransportKind, codec: Codec, takes: Takes) -> Arc<Self> {
        let id = ClientId::random();
        let now = host.clock.now();
        let start = Start {
            client: id.to_string(),
            now,
            seed: rand::rng().random(),
        };
        let rules = host.sessions.get();
        let connection = Arc::new(Self {
            outbound: Outbound::taking(takes, rules.client.queue_max_size, &host.counters.lanes),
            id,
            transport,
            codec,
            state: Mutex::new(State::new(Session::new(rules, start))),
            host,
        });
        connection.host.registry.insert(id, Arc::clone(&connection));
        connection.host.counters.opened(transport, codec);
        connection.with_session(|_, _| ());
        connection
    }

    /// A command of the server API.
    pub fn handle_server(self: &Arc<Self>, command: ServerCommand) {
        self.with_session(|session, now| session.handle_server(now, command));
    }

    /// What waits to be sent to its client, in bytes.
    #[must_use]
    pub fn waiting_bytes(&self) -> u32 {
        self.outbound.waiting_bytes()
    }

    /// Whose connection it is; empty: anonymous, or not known yet.
    #[must_use]
    pub fn user(&self) -> String {
        self.state.lock().session.user().to_owned()
    }

    /// Its name, as the server API uses it.
    #[must_use]
    pub fn id(&self) -> ClientId {
        self.id
    }

    fn handle_command(self: &Arc<Self>, command: Command) {
        self.with_session(|session, now| session.handle_command(now, command));
    }

    fn handle_bad_frame(self: &Arc<Self>) {
        self.host.counters.bad_frame(self.codec);
        self.with_session(|session, _| session.handle_bad_frame());
    }

    fn handle_outcome(self: &Arc<Self>, request: RequestId, outcome: Outcome) {
        self.with_session(|session, now| session.handle_outcome(now, request, outcome));
    }

    /// The transport is gone: undoes all that was done for the connection. What a second call finds is nothing.
    fn over(self: &Arc<Self>, reason: &CloseReason) {
        self.outbound.shut();
        self.with_session(|session, _| session.handle_closed());
        self.unregister(reason);
    }

    /// Nothing reaches the client any more, and nobody finds it.
    fn unregister(&self, reason: &CloseReason) {
        self.outbound.shut();
        self.host.counters.delivery.forget(&self.outbound);
        let user = self.state.lock().session.user().to_owned();
        if self.host.registry.remove(self.id, &user) {
            self.host.counters.closed(self.transport, self.codec, reason);
        }
    }

    /// Ready once the session accepts another command.
    fn poll_accepts(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if state.session.accepts_commands() {
            return Poll::Ready(());
        }
        state.paused = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Tells the session something, and carries out what comes of it. It goes by the rules that count at this moment.
    fn with_session<T>(self: &Arc<Self>, tell: impl FnOnce(&mut Session, Timestamp) -> T) -> T {
        let mut state = self.state.lock();
        state.session.go_by(&self.host.sessions.look());
        let now = self.host.clock.now();
        let told = tell(&mut state.session, now);
        self.release(state);
        told
    }

    /// Unlocks the connection after its session was told something, and carries out what comes of it.
    fn release(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        self.settle(&mut state);
        let nothing_to_begin = state.effects.is_empty();
        drop(state);
        if !nothing_to_begin {
            self.begin_effects();
        }
    }

    /// Takes the session's outputs: replies are queued, effects wait to be begun once no lock is held.
    fn settle(self: &Arc<Self>, state: &mut State) {
        while let Some(output) = state.session.poll() {
            match output {
                Output::Reply(reply) => self.reply(&reply, state.session.awaits_answers()),
                Output::Ping => self.outbound.push(self.codec.encode_ping()),
                Output::Close(disconnect) => self.outbound.close(disconnect),
                Output::Effect(effect) => state.add_effect(effect),
            }
        }
        if let Some(at) = state.session.next_timeout()
            && state.wakes_at.is_none_or(|wakes_at| at < wakes_at)
        {
            state.wakes_at = Some(self.host.timers.wake_at(at, self));
        }
        if let Some(driver) = state.paused.take_if(|_| state.session.accepts_commands()) {
            driver.wake();
        }
    }

    fn reply(&self, reply: &Reply, more_to_come: bool) {
        if let Some(error) = &reply.error {
            self.host.counters.error(error.code);
        }
        let reply = self.codec.encode_reply(reply);
        if more_to_come {
            self.outbound.push_one_of_many(reply);
        } else {
            self.outbound.push(reply);
        }
    }

    /// Begins what waits, in order, one at a time: whoever comes while somebody is at it leaves it to them.
    fn begin_effects(self: &Arc<Self>) {
        let mut state = self.state.lock();
        if std::mem::replace(&mut state.beginning, true) {
            return;
        }
        while let Some(begin) = state.effects.pop_front() {
            drop(state);
            self.begin(begin);
            state = self.state.lock();
        }
        state.effects = VecDeque::new();
        state.beginning = false;
    }
}

impl State {
    fn new(session: Session) -> Self {
        Self {
            session,
            memberships: Vec::new(),
            effects: VecDeque::new(),
            beginning: false,
            wakes_at: None,
            paused: None,
        }
    }

    /// Lets an effect wait. A subscription that it ends gets nothing from here on: the reply that says so comes next.
    fn add_effect(&mut self, effect: Effect) {
        let membership = match &effect {
            Effect::Unsubscribe { channel, .. } => self.take_membership(channel),
            _ => None,
        };
        self.effects.push_back(Begin { effect, membership });
    }

    fn take_membership(&mut self, channel: &ChannelName) -> Option<Arc<Membership<Connection>>> {
        let found = |membership: &Arc<Membership<Connection>>| membership.channel() == channel;
        let membership = self
            .memberships
            .swap_remove(self.memberships.iter().position(found)?);
        if self.memberships.is_empty() {
            self.memberships = Vec::new();
        }
        membership.end();
        Some(membership)
    }
}

impl Subscriber for Connection {
    fn outbound(&self) -> &Outbound {
        &self.outbound
    }

    fn codec(&self) -> Codec {
        self.codec
    }

    fn delivery(&self) -> Option<&DeliveryMeter> {
        Some(&self.host.counters.delivery)
    }

    fn lost(self: &Arc<Self>, membership: &Arc<Membership<Self>>, reason: LossReason) {
        let mut state = self.state.lock();
        // The client may have ended this subscription, and begun another, meanwhile.
        if state
            .memberships
            .iter()
            .any(|found| Arc::ptr_eq(found, membership))
        {
            self.host.counters.lost(reason);
            state.session.handle_lost(membership.channel());
            self.release(state);
        }
    }
}

impl Sleeper for Connection {
    fn wake_up(self: Arc<Self>, now: Timestamp) {
        let mut state = self.state.lock();
        // Without this an entry that was overtaken by an earlier one would beget entries of its own for ever.
        if state.wakes_at.take_if(|at| *at <= now).is_some() {
            state.session.handle_timeout(now);
            self.release(state);
        }
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod tests;
