//! The machine: what goes in, what comes out.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use campanile_common::message::{Command, Request};

use super::backoff::{Backoff, Random};
use super::calls::Calls;
use super::lanes::Lanes;
use super::link::Link;
use super::output::{Attempt, CallId, CallResult, NoToken, Output, SubscriptionId, Ticket, TokenOwner};
use super::server_side::ServerSide;
use super::settings::{Settings, SubscriptionSettings};
use super::subscription::Subscription;
use super::timers::{Timer, Timers};
use crate::reason::{disconnected, unsubscribed};
use crate::transport::{Incoming, TransportKind};
use crate::{ClientEvent, Closed, OpenError, RequestError, State};

/// The protocol of one client, over all its connections.
///
/// Every method that takes something in says what time it is, and leaves what is to be done in the outputs, which the
/// driver takes at once; commands stay here until there is room for them. Time that goes backwards is as good as time that
/// stands still.
pub(crate) struct Machine {
    pub(super) settings: Settings,
    pub(super) random: Random,
    pub(super) timers: Timers,
    pub(super) link: Link,
    pub(super) backoff: Backoff,
    /// The connection token in use.
    pub(super) token: String,
    /// The token in use is no longer good.
    pub(super) token_is_stale: bool,
    pub(super) calls: Calls,
    pub(super) subscriptions: BTreeMap<SubscriptionId, Subscription>,
    pub(super) by_channel: HashMap<String, SubscriptionId>,
    pub(super) server_side: BTreeMap<String, ServerSide>,
    pub(super) lanes: Lanes,
    pub(super) outputs: VecDeque<Output>,
    pub(super) last_attempt: Attempt,
    pub(super) last_ticket: Ticket,
    last_call: CallId,
    last_subscription: SubscriptionId,
}

impl Machine {
    /// A client that is disconnected. Waits depend on `seed`.
    pub(crate) fn new(settings: Settings, seed: u64) -> Self {
        Self {
            token: settings.token.clone(),
            settings,
            random: Random::new(seed),
            timers: Timers::default(),
            link: Link::Disconnected,
            backoff: Backoff::default(),
            token_is_stale: false,
            calls: Calls::default(),
            subscriptions: BTreeMap::new(),
            by_channel: HashMap::new(),
            server_side: BTreeMap::new(),
            lanes: Lanes::default(),
            outputs: VecDeque::new(),
            last_attempt: Attempt::default(),
            last_ticket: Ticket::default(),
            last_call: CallId::default(),
            last_subscription: SubscriptionId::default(),
        }
    }

    /// What is known of the connection.
    pub(crate) const fn state(&self) -> State {
        self.link.state()
    }

    /// The next thing to be done.
    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The next command for the transport, which must have room for it.
    pub(crate) fn poll_command(&mut self) -> Option<Command> {
        if let Some(command) = self.calls.next_urgent() {
            return Some(command);
        }
        if self.state() != State::Connected {
            return None;
        }
        let (command, done) = self.calls.next_waiting()?;
        if let Some(call) = done {
            self.complete(call, Ok(None));
        }
        Some(command)
    }

    /// When [`Machine::timeout`] must be called next.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Does what is due.
    pub(crate) fn timeout(&mut self, now: Instant) {
        while let Some(timer) = self.timers.pop(now) {
            match timer {
                Timer::Reconnect => self.start_attempt(now),
                Timer::Attempt => self.attempt_timed_out(now),
                Timer::Silence => self.check_silence(now),
                Timer::Refresh => self.fetch_refresh_token(now),
                Timer::Command(id) => self.command_timed_out(now, id),
                Timer::Call(call) => {
                    self.calls.forget(call);
                    self.complete(call, Err(RequestError::Timeout));
                }
                Timer::Resubscribe(id) => self.try_subscribe(now, id),
                Timer::SubRefresh(id) => self.fetch_sub_refresh_token(now, id),
            }
        }
    }

    /// The application wants a connection.
    pub(crate) fn connect(&mut self, now: Instant) {
        self.begin_connecting(now);
    }

    /// The application wants no connection.
    pub(crate) fn disconnect(&mut self, now: Instant) {
        self.end_link(now, disconnected::reason(disconnected::DISCONNECT_CALLED), false);
    }

    /// The application has another token, for the next attempt to connect.
    pub(crate) fn set_token(&mut self, token: String) {
        self.token = token;
        self.token_is_stale = false;
    }

    /// The application has something else to send along, with the next attempt to connect.
    pub(crate) fn set_data(&mut self, data: bytes::Bytes) {
        self.settings.data = data;
    }

    /// A request of the application, which will be answered within `timeout`, one way or another, and exactly once.
    pub(crate) fn request(&mut self, now: Instant, request: Request, timeout: Duration) -> CallId {
        let call = self.last_call.next();
        if self.state() == State::Disconnected {
            self.outputs
                .push_back(Output::Complete(call, Err(RequestError::Disconnected)));
        } else {
            self.timers.set(Timer::Call(call), now, timeout);
            self.calls.wait(call, request);
        }
        call
    }

    /// A subscription of the application; `None` if it has one to that channel. It is not subscribed yet.
    pub(crate) fn add_subscription(&mut self, settings: SubscriptionSettings) -> Option<SubscriptionId> {
        if self.by_channel.contains_key(&settings.channel) {
            return None;
        }
        let id = self.last_subscription.next();
        self.by_channel.insert(settings.channel.clone(), id);
        self.subscriptions.insert(id, Subscription::new(settings));
        Some(id)
    }

    /// The application's subscription to a channel.
    pub(crate) fn subscription(&self, channel: &str) -> Option<SubscriptionId> {
        self.by_channel.get(channel).copied()
    }

    /// The application no longer has this subscription.
    pub(crate) fn remove_subscription(&mut self, now: Instant, id: SubscriptionId) {
        self.unsubscribe(now, id);
        if let Some(subscription) = self.subscriptions.remove(&id) {
            self.by_channel.remove(&subscription.settings.channel);
        }
    }

    /// The application wants to be subscribed.
    pub(crate) fn subscribe(&mut self, now: Instant, id: SubscriptionId) {
        self.begin_subscribing(now, id);
    }

    /// The application does not want to be subscribed.
    pub(crate) fn unsubscribe(&mut self, now: Instant, id: SubscriptionId) {
        let reason = unsubscribed::reason(unsubscribed::UNSUBSCRIBE_CALLED);
        self.end_subscription(now, id, reason, true);
    }

    /// Nobody will do anything for this machine any more: everything ends.
    pub(crate) fn end(&mut self, now: Instant) {
        self.disconnect(now);
        let ids: Vec<_> = self.subscriptions.keys().copied().collect();
        for id in ids {
            let reason = unsubscribed::reason(unsubscribed::CLIENT_CLOSED);
            self.end_subscription(now, id, reason, false);
        }
    }

    /// The transport that an [`Output::Dial`] asked for is open, and has taken the first command. Whether it is still wanted.
    pub(crate) fn opened(&mut self, now: Instant, attempt: Attempt, kind: TransportKind) -> bool {
        self.transport_opened(now, attempt, kind)
    }

    /// The transport that an [`Output::Dial`] asked for could not be opened.
    pub(crate) fn open_failed(&mut self, now: Instant, attempt: Attempt, error: OpenError) {
        self.transport_failed(now, attempt, Arc::new(error));
    }

    /// The open transport has brought something.
    pub(crate) fn received(&mut self, now: Instant, incoming: Incoming) {
        self.handle_incoming(now, incoming);
    }

    /// The open transport has ended.
    pub(crate) fn closed(&mut self, now: Instant, closed: &Closed) {
        self.transport_closed(now, closed);
    }

    /// The application's answer to [`Output::FetchToken`].
    pub(crate) fn token(
        &mut self,
        now: Instant,
        owner: TokenOwner,
        ticket: Ticket,
        answer: Result<String, NoToken>,
    ) {
        match owner {
            TokenOwner::Connection => self.connection_token(now, ticket, answer),
            TokenOwner::Subscription(id) => self.subscription_token(now, id, ticket, answer),
        }
    }

    pub(super) fn complete(&mut self, call: CallId, result: CallResult) {
        self.timers.cancel(Timer::Call(call));
        self.outputs.push_back(Output::Complete(call, result));
    }

    pub(super) fn emit(&mut self, event: ClientEvent) {
        self.outputs.push_back(Output::Client(event));
    }

    pub(super) fn fetch_token(&mut self, owner: TokenOwner) -> Ticket {
        let ticket = self.last_ticket.next();
        self.outputs.push_back(Output::FetchToken(owner, ticket));
        ticket
    }

    /// Pushes that wait for the answers to their subscriptions.
    #[cfg(test)]
    pub(crate) fn lanes_hold(&self) -> usize {
        self.lanes.held()
    }
}
