//! One client connection's protocol state: commands and answers go in, replies and effects come out.
//!
//! A session knows no sockets, no bytes, no shards and no clock. Its driver hands in what happens (`handle_*`), then
//! polls what there is to do ([`Session::poll`]) until there is nothing, and comes back at [`Session::next_timeout`]
//! at the latest. The same inputs give the same outputs.
//!
//! ```text
//! Command ─ handle_command ─▶ permission ─▶ Effect ─▶ router ─▶ Outcome ─ handle_outcome ─▶ Reply
//! ```
//!
//! # What the driver owes
//!
//! - Outputs are carried out in order, until [`poll`](Session::poll) gives none, after each `handle_*`.
//! - Before each command it asks [`Session::accepts_commands`], and stops reading while that is false: until an
//!   outcome comes. The rest of the frame waits. This is how commands that must not overtake one another are kept in
//!   order, and how requests in flight are bounded.
//! - Each effect with a [`RequestId`] gets exactly one outcome, within the router's timeouts, also when the session
//!   has closed meanwhile.
//! - A successful [`Outcome::Subscribed`] is handed in at the very point at which delivery begins, and the replies
//!   that it causes are queued before anything is delivered. Until the reply to the connect command is queued,
//!   publications for the connection wait behind it: subscriptions by the server begin before it.
//! - Effects that an outcome causes are begun after the outcome has been handed in, not within it.
//!
//! # What the session guarantees
//!
//! Each command with a number is answered exactly once, unless the session closes first. After [`Output::Close`], or
//! [`Session::handle_closed`], each subscription that was reported made has been ended by exactly one
//! [`Effect::Unsubscribe`]. What it holds is bounded by the limits in
//! [`ClientOptions`](crate::config::options::ClientOptions).
//!
//! # Parts
//!
//! - commands: `connect`, `subscribe`, `unsubscribe`, `publish`, `presence`, `history`, `refresh`; and `server`,
//!   those of the server API;
//! - state: `subscriptions`, `pending`, `timers`, `plan`; what it is given: `context`;
//! - judgement: `permissions`, `limits`;
//! - the boundary: `command`, `effect`, `outcome`, `wire`.

mod command;
mod connect;
mod context;
mod effect;
mod history;
mod limits;
mod outcome;
mod pending;
mod permissions;
mod plan;
mod presence;
mod publish;
mod refresh;
mod server;
mod subscribe;
mod subscriptions;
#[cfg(test)]
mod tests;
mod timers;
mod unsubscribe;
mod wire;

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use campanile_common::message::{
    Answer, ClientInfo, Command, Error, PingResult, Push, Reply, Request as Asked,
};
use campanile_common::{Disconnect, DisconnectCode, ErrorCode, Timestamp};

pub use command::{ServerCommand, ServerRefresh, ServerSubscribe, SubscriptionSettings};
pub use context::{SessionContext, Start};
pub use effect::{Delivery, Effect, HistorySpec, Output, PublishSpec, Recover, RequestId, SubscribeSpec};
pub use outcome::{Joined, Outcome, Recovery};
pub(crate) use publish::fits as payload_fits;

use connect::Connecting;
use limits::{RateMeter, Verdict};
use pending::{Pending, Request};
use subscriptions::Subscriptions;
use timers::Timers;

/// The protocol state of one client connection; see the module's documentation.
pub struct Session {
    context: Arc<SessionContext>,
    identity: Identity,
    phase: Phase,
    subscriptions: Subscriptions,
    pending: Pending,
    timers: Timers,
    meter: RateMeter,
    seed: u64,
    outputs: VecDeque<Output>,
    /// The client is to go elsewhere once what it has asked for is answered.
    leaving: bool,
}

/// Whose connection it is.
struct Identity {
    client: Box<str>,
    /// Empty: nobody's in particular.
    user: Box<str>,
    /// What other clients may know; empty: nothing.
    info: Bytes,
}

/// How far the connection is.
enum Phase {
    /// Nothing has come yet.
    Opening,
    /// The connect command is being carried out.
    Connecting(Box<Connecting>),
    /// Connected.
    Connected,
    /// The connect command failed; the client is expected to go.
    Refused,
    /// Over.
    Closed,
}

impl Session {
    /// A connection that has just been opened.
    #[must_use]
    pub fn new(context: Arc<SessionContext>, start: Start) -> Self {
        let stale = start.now + context.client.stale_close_delay;
        Self {
            context,
            identity: Identity {
                client: start.client.into_boxed_str(),
                user: Box::default(),
                info: Bytes::new(),
            },
            phase: Phase::Opening,
            subscriptions: Subscriptions::default(),
            pending: Pending::default(),
            timers: Timers {
                stale: Some(stale),
                ..Timers::default()
            },
            meter: RateMeter::default(),
            seed: start.seed,
            outputs: VecDeque::new(),
            leaving: false,
        }
    }

    /// Goes by these rules from here on. What has begun goes on as it is.
    pub fn go_by(&mut self, rules: &Arc<SessionContext>) {
        if !Arc::ptr_eq(&self.context, rules) {
            self.context = Arc::clone(rules);
        }
    }

    /// Whether the next command may be handed in. While not, an outcome is awaited.
    #[must_use]
    pub fn accepts_commands(&self) -> bool {
        let full = self.pending.commands() >= self.context.client.in_flight_limit;
        !self.leaving && !matches!(self.phase, Phase::Connecting(_)) && !full && !self.pending.unsubscribing()
    }

    /// Whether the session is over. What is left to do then is to undo.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    /// Whose connection it is; empty: anonymous, or not known yet.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.identity.user
    }

    /// Whether answers to effects are still to come.
    #[must_use]
    pub fn awaits_answers(&self) -> bool {
        !self.pending.is_empty()
    }

    /// A command of the client.
    pub fn handle_command(&mut self, now: Timestamp, command: Command) {
        if self.is_closed() {
            return;
        }
        match self
            .context
            .client
            .rate_limit
            .map(|limit| self.meter.admit(now, limit))
        {
            Some(Verdict::Close) => return self.close(DisconnectCode::TooManyRequests),
            Some(Verdict::Refuse) => return self.refuse(command.id, ErrorCode::TooManyRequests),
            Some(Verdict::Admit) | None => {}
        }
        if command.is_pong() {
            return self.handle_pong();
        }
        match command.into_request() {
            Ok((id, Some(request))) if id != 0 || matches!(request, Asked::Send(_)) => {
                self.handle_request(now, id, request);
            }
            // Several requests, none, or one without a number to answer to.
            _ => self.close(DisconnectCode::BadRequest),
        }
    }

    fn handle_request(&mut self, now: Timestamp, id: u32, request: Asked) {
        match (&self.phase, request) {
            (Phase::Opening, Asked::Connect(request)) => self.handle_connect(now, id, request),
            // Before connecting nothing else is understood, afterwards connecting is not.
            (Phase::Opening | Phase::Refused, _) | (_, Asked::Connect(_)) => {
                self.close(DisconnectCode::BadRequest);
            }
            _ if !self.accepts_commands() => self.refuse(id, ErrorCode::TooManyRequests),
            (_, request) => self.handle_connected(now, id, request),
        }
    }

    fn handle_connected(&mut self, now: Timestamp, id: u32, request: Asked) {
        match request {
            Asked::Subscribe(request) => self.handle_subscribe(now, id, &request),
            Asked::Unsubscribe(request) => self.handle_unsubscribe(id, &request),
            Asked::Publish(request) => self.handle_publish(id, request),
            Asked::Presence(request) => self.handle_presence(id, &request.channel, false),
            Asked::PresenceStats(request) => self.handle_presence(id, &request.channel, true),
            Asked::History(request) => self.handle_history(id, request),
            Asked::Refresh(request) => self.handle_refresh(now, id, &request),
            Asked::SubRefresh(request) => self.handle_sub_refresh(now, id, &request),
            Asked::Ping(_) => self.answer(id, PingResult {}),
            Asked::RPC(_) => self.refuse(id, ErrorCode::MethodNotFound),
            // There is no answer in which a client could be told that nobody listens.
            Asked::Send(_) => self.close(DisconnectCode::NotAvailable),
            Asked::Connect(_) => self.close(DisconnectCode::BadRequest),
        }
    }

    /// A frame that is no sequence of commands.
    pub fn handle_bad_frame(&mut self) {
        self.close(DisconnectCode::BadRequest);
    }

    /// The answer to an effect.
    pub fn handle_outcome(&mut self, now: Timestamp, id: RequestId, outcome: Outcome) {
        match (self.pending.take(id), outcome) {
            (Some(Request::Register), Outcome::Registered(registered)) => {
                self.finish_register(now, registered);
            }
            (Some(Request::Subscribe(attempt)), Outcome::Subscribed(joined)) => {
                self.finish_subscribe(now, *attempt, joined);
            }
            (Some(Request::Publish { command }), Outcome::Published(published)) => {
                self.finish_publish(command, published);
            }
            (Some(Request::Presence { command, stats }), Outcome::Presence(present)) => {
                self.finish_presence(command, stats, present);
            }
            (Some(Request::History { command }), Outcome::History(page)) => {
                self.finish_history(command, page);
            }
            // Forgotten when the session closed.
            (None, _) => {}
            (Some(_), _) => {
                debug_assert!(false, "an outcome of another effect");
                self.close(DisconnectCode::InternalError);
            }
        }
        self.leave_once_answered();
    }

    /// The time that [`Session::next_timeout`] gave has come, or may have.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        if !self.is_closed() {
            self.run_timers(now);
        }
    }

    /// The transport is gone.
    pub fn handle_closed(&mut self) {
        if !self.is_closed() {
            self.undo();
        }
    }

    /// When [`Session::handle_timeout`] wants to be called at the latest.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Timestamp> {
        self.timers.next()
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Output> {
        let output = self.outputs.pop_front();
        if output.is_none() && self.outputs.capacity() > 0 {
            self.outputs = VecDeque::new();
        }
        output
    }

    fn close(&mut self, disconnect: impl Into<Disconnect>) {
        if !self.is_closed() {
            self.outputs.push_back(Output::Close(disconnect.into()));
            self.undo();
        }
    }

    /// Ends the session: every subscription that was made is ended; what is being made will be, see
    /// `finish_subscribe`.
    fn undo(&mut self) {
        self.phase = Phase::Closed;
        self.timers = Timers::default();
        self.pending.keep_subscriptions();
        for subscription in self.subscriptions.take() {
            self.undo_subscription(&subscription);
        }
    }

    fn answer(&mut self, command: u32, answer: impl Into<Answer>) {
        self.outputs
            .push_back(Output::Reply(Reply::answer(command, answer)));
    }

    /// Answers with an error. What has no number is not answered.
    fn refuse(&mut self, command: u32, error: impl Into<Error>) {
        if command != 0 {
            self.outputs
                .push_back(Output::Reply(Reply::error(command, error)));
        }
    }

    fn push(&mut self, push: Push) {
        self.outputs.push_back(Output::Reply(Reply::push(push)));
    }

    fn effect(&mut self, effect: Effect) {
        self.outputs.push_back(Output::Effect(effect));
    }

    /// This client as others see it, with what a subscription adds.
    fn client_info(&self, chan_info: Bytes) -> ClientInfo {
        ClientInfo {
            user: self.identity.user.to_string(),
            client: self.identity.client.to_string(),
            conn_info: self.identity.info.clone(),
            chan_info,
        }
    }
}
