//! The connection: attempts, its opening, its end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use campanile_common::Disconnect;
use campanile_common::message::{ConnectRequest, ConnectResult, Error, SubscribeRequest};
use campanile_common::{DisconnectCode, ErrorCode};

use super::calls::Purpose;
use super::machine::Machine;
use super::output::{Attempt, NoToken, Output, Ticket, TokenOwner};
use super::refresh::{Refreshing, ttl};
use super::timers::Timer;
use crate::reason::{connecting, disconnected};
use crate::transport::TransportKind;
use crate::{ClientError, ClientEvent, Closed, Connected, OpenError, Reason, RequestError, State};

/// The code with which WebSocket ends over a message that was too large.
const TOO_LARGE: u32 = 1009;

/// How far the client is with its connection.
#[derive(Debug)]
pub(crate) enum Link {
    /// Nobody wants one.
    Disconnected,
    /// The next attempt has its time.
    Waiting,
    /// The application is asked for a token.
    Token(Ticket),
    /// A transport is being opened.
    Dialing(Attempt),
    /// The connect command is unanswered.
    Greeting(TransportKind),
    Open(Session),
}

/// A connection that the server has accepted.
#[derive(Debug)]
pub(crate) struct Session {
    /// Whether the server wants its pings to be answered.
    pub(super) pong: bool,
    /// How long the server may be silent.
    pub(super) max_silence: Duration,
    /// When something came last.
    pub(super) heard: Instant,
    pub(super) refreshing: Refreshing,
}

impl Link {
    pub(super) const fn state(&self) -> State {
        match self {
            Self::Disconnected => State::Disconnected,
            Self::Open(_) => State::Connected,
            _ => State::Connecting,
        }
    }

    /// Whether commands can be sent.
    pub(super) const fn takes_commands(&self) -> bool {
        matches!(self, Self::Greeting(_) | Self::Open(_))
    }
}

impl Machine {
    pub(super) fn begin_connecting(&mut self, now: Instant) {
        if self.state() != State::Disconnected {
            return;
        }
        self.backoff.reset();
        self.emit(ClientEvent::Connecting(connecting::reason(
            connecting::CONNECT_CALLED,
        )));
        self.start_attempt(now);
    }

    pub(super) fn start_attempt(&mut self, now: Instant) {
        let needs_token = self.token_is_stale || self.token.is_empty() && self.settings.has_token_source;
        if !needs_token {
            self.dial(now);
        } else if self.settings.has_token_source {
            self.link = Link::Token(self.fetch_token(TokenOwner::Connection));
        } else {
            // Without a state of its own: the end of the link looks for nothing to close.
            self.link = Link::Waiting;
            self.emit(ClientEvent::Error(ClientError::NoTokenSource));
            self.unauthorized(now);
        }
    }

    pub(super) fn connection_token(&mut self, now: Instant, ticket: Ticket, answer: Result<String, NoToken>) {
        match &self.link {
            Link::Token(asked) if *asked == ticket => match answer {
                Ok(token) => {
                    self.set_token(token);
                    self.dial(now);
                }
                Err(NoToken::Unauthorized) => self.unauthorized(now),
                Err(NoToken::Failed(error)) => {
                    self.emit(ClientEvent::Error(ClientError::Token(error)));
                    self.retry(now);
                }
            },
            Link::Open(session) if session.refreshing == Refreshing::Token(ticket) => {
                self.refresh_token(now, answer);
            }
            _ => {}
        }
    }

    pub(super) fn unauthorized(&mut self, now: Instant) {
        self.end_link(now, disconnected::reason(disconnected::UNAUTHORIZED), false);
    }

    fn dial(&mut self, now: Instant) {
        let attempt = self.last_attempt.next();
        let request = self.connect_request();
        self.calls.begin();
        let connect = Box::new(self.calls.prepare(Purpose::Connect, request));
        self.lanes.expect();
        self.link = Link::Dialing(attempt);
        self.timers.set(Timer::Attempt, now, self.settings.timeout);
        self.outputs.push_back(Output::Dial {
            attempt,
            deadline: now + self.settings.timeout,
            connect,
        });
    }

    fn connect_request(&self) -> ConnectRequest {
        let recover = |(channel, subscription): (&String, &super::server_side::ServerSide)| {
            let position = subscription.tracker.recovers_from()?;
            let request = SubscribeRequest {
                recover: true,
                epoch: position.epoch.as_str().into(),
                offset: position.offset.get(),
                ..Default::default()
            };
            Some((channel.clone(), request))
        };
        ConnectRequest {
            token: self.token.clone(),
            data: self.settings.data.clone(),
            subs: self.server_side.iter().filter_map(recover).collect(),
            name: self.settings.name.clone(),
            version: self.settings.version.clone(),
            headers: self.settings.headers.clone(),
            ..Default::default()
        }
    }

    pub(super) fn transport_opened(&mut self, now: Instant, attempt: Attempt, kind: TransportKind) -> bool {
        if !matches!(self.link, Link::Dialing(dialing) if dialing == attempt) {
            return false;
        }
        self.link = Link::Greeting(kind);
        self.timers.set(Timer::Attempt, now, self.settings.timeout);
        // With the connect command still unanswered: a whole round trip less, and in one frame.
        self.subscribe_all(now);
        true
    }

    pub(super) fn transport_failed(&mut self, now: Instant, attempt: Attempt, error: Arc<OpenError>) {
        if matches!(self.link, Link::Dialing(dialing) if dialing == attempt) {
            self.emit(ClientEvent::Error(ClientError::Open(error)));
            self.lose_link(now, connecting::TRANSPORT_CLOSED);
        }
    }

    pub(super) fn attempt_timed_out(&mut self, now: Instant) {
        let error = match self.link {
            Link::Dialing(_) => ClientError::Open(Arc::new(OpenError::Timeout)),
            _ => ClientError::Connect(RequestError::Timeout),
        };
        self.emit(ClientEvent::Error(error));
        self.lose_link(now, connecting::TRANSPORT_CLOSED);
    }

    pub(super) fn transport_closed(&mut self, now: Instant, closed: &Closed) {
        if !self.link.takes_commands() {
            return;
        }
        match closed.code {
            TOO_LARGE => {
                let reason = disconnected::reason(disconnected::MESSAGE_SIZE_LIMIT);
                self.end_link(now, reason, false);
            }
            Closed::MALFORMED => self.bad_protocol(now),
            // Below are the transport's own codes.
            0..3000 => self.lose_link(now, connecting::TRANSPORT_CLOSED),
            code => self.told_to_leave(now, code, closed.reason.clone()),
        }
    }

    /// The server ends the connection, with a close frame or a push.
    pub(super) fn told_to_leave(&mut self, now: Instant, code: u32, reason: String) {
        let reconnects = Disconnect::new(code, "").reconnects();
        self.end_link(now, Reason::new(code, reason), reconnects);
    }

    pub(super) fn bad_protocol(&mut self, now: Instant) {
        self.end_link(now, disconnected::reason(disconnected::BAD_PROTOCOL), false);
    }

    /// The server does not take the connect command.
    pub(super) fn connect_refused(&mut self, now: Instant, error: Error) {
        let expired = error.code == ErrorCode::TokenExpired.code();
        self.token_is_stale |= expired;
        let reason = Reason::new(error.code, error.message.clone());
        let retries = expired || error.temporary;
        if retries {
            self.emit(ClientEvent::Error(ClientError::Connect(RequestError::Refused(
                error,
            ))));
        }
        self.end_link(now, reason, retries);
    }

    pub(super) fn connected(&mut self, now: Instant, result: ConnectResult) {
        let Link::Greeting(transport) = self.link else {
            return;
        };
        self.backoff.reset();
        self.token_is_stale = false;
        self.timers.cancel(Timer::Attempt);
        let max_silence = Duration::from_secs(result.ping.into()) + self.settings.max_ping_delay;
        self.link = Link::Open(Session {
            pong: result.ping > 0 && result.pong,
            max_silence,
            heard: now,
            refreshing: Refreshing::No,
        });
        if result.ping > 0 && !self.settings.max_ping_delay.is_zero() {
            self.timers.set(Timer::Silence, now, max_silence);
        }
        if result.expires {
            self.timers.set(Timer::Refresh, now, ttl(result.ttl));
        }
        self.emit(ClientEvent::Connected(Connected {
            client: result.client,
            version: result.version,
            transport,
            data: result.data,
        }));
        self.take_server_side(result.subs);
        self.lanes.answered(0, None);
        self.subscribe_all(now);
    }

    /// Looks whether anything came of late. The time of what came is noted only, so that messages cost no timers.
    pub(super) fn check_silence(&mut self, now: Instant) {
        let Link::Open(session) = &self.link else {
            return;
        };
        let silence = now.saturating_duration_since(session.heard);
        let left = session.max_silence.saturating_sub(silence);
        if left.is_zero() {
            self.lose_link(now, connecting::NO_PING);
        } else {
            self.timers.set(Timer::Silence, now, left);
        }
    }

    /// The connection, or the attempt, is of no use any more; another one follows. `code` is of [`connecting`].
    pub(super) fn lose_link(&mut self, now: Instant, code: u32) {
        self.end_link(now, connecting::reason(code), true);
    }

    /// The connection, or the attempt, ends; another one follows if `reconnect`.
    pub(super) fn end_link(&mut self, now: Instant, reason: Reason, reconnect: bool) {
        if reason.code == DisconnectCode::StateInvalidated.code() {
            self.invalidate_all();
        }
        let before = self.state();
        if before == State::Disconnected {
            return;
        }
        if matches!(self.link, Link::Dialing(_)) || self.link.takes_commands() {
            self.outputs
                .push_back(Output::Close(Closed::new(Closed::LEAVING, "")));
        }
        self.stop_link_timers();
        self.link = Link::Disconnected;
        self.lose_calls(&reason, reconnect);
        self.lose_subscriptions();
        self.lose_server_side();
        // After those that it stood for: the next connection begins to count anew.
        self.lanes = super::lanes::Lanes::default();
        if reconnect {
            if before == State::Connected {
                self.emit(ClientEvent::Connecting(reason));
            }
            self.retry(now);
        } else {
            self.emit(ClientEvent::Disconnected(reason));
        }
    }

    fn stop_link_timers(&mut self) {
        for timer in [Timer::Reconnect, Timer::Attempt, Timer::Silence, Timer::Refresh] {
            self.timers.cancel(timer);
        }
        let unanswered: Vec<_> = self.calls.unanswered().collect();
        for id in unanswered {
            self.timers.cancel(Timer::Command(id));
        }
    }

    fn lose_calls(&mut self, reason: &Reason, reconnect: bool) {
        let closed = Closed::new(reason.code, reason.text.clone());
        for call in self.calls.lose() {
            self.complete(call, Err(RequestError::Closed(closed.clone())));
        }
        if !reconnect {
            for call in self.calls.give_up_waiting() {
                self.complete(call, Err(RequestError::Disconnected));
            }
        }
    }

    fn retry(&mut self, now: Instant) {
        self.link = Link::Waiting;
        let wait = self.backoff.next(self.settings.reconnect, &mut self.random);
        self.timers.set(Timer::Reconnect, now, wait);
    }

    /// Nothing that the client knows holds any more, not even its tokens.
    fn invalidate_all(&mut self) {
        if self.settings.has_token_source {
            self.token.clear();
            self.token_is_stale = true;
        }
        for subscription in self.subscriptions.values_mut() {
            subscription.invalidate();
        }
        for subscription in self.server_side.values_mut() {
            subscription.tracker.invalidate();
        }
    }
}
