//! New tokens before the old ones expire: the connection's here, and what subscriptions share with it.

use std::time::{Duration, Instant};

use campanile_common::message::{RefreshRequest, RefreshResult};

use super::calls::Purpose;
use super::link::Link;
use super::machine::Machine;
use super::output::{NoToken, Ticket, TokenOwner};
use super::settings::Delays;
use super::timers::Timer;
use crate::{ClientError, ClientEvent, Reason, RequestError};

/// How far the renewal of a token is. What belongs to another one is of no use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Refreshing {
    #[default]
    No,
    Token(Ticket),
    /// The command of that number is unanswered.
    Sent(u32),
}

/// Between attempts to renew the connection's token: the old one still holds for a while.
const RETRY: Delays = Delays {
    min: Duration::from_secs(5),
    max: Duration::from_secs(10),
};

/// The time until a token is renewed. The server counts with some tolerance.
pub(super) fn ttl(seconds: u32) -> Duration {
    Duration::from_secs(seconds.max(1).into())
}

impl Machine {
    pub(super) fn fetch_refresh_token(&mut self, now: Instant) {
        if !matches!(self.link, Link::Open(_)) {
            return;
        }
        if !self.settings.has_token_source {
            self.emit(ClientEvent::Error(ClientError::NoTokenSource));
            self.unauthorized(now);
            return;
        }
        let ticket = self.fetch_token(TokenOwner::Connection);
        self.set_refreshing(Refreshing::Token(ticket));
    }

    /// The application has answered.
    pub(super) fn refresh_token(&mut self, now: Instant, answer: Result<String, NoToken>) {
        self.set_refreshing(Refreshing::No);
        match answer {
            Ok(token) if !token.is_empty() => {
                self.set_token(token.clone());
                let id = self.calls.send(Purpose::Refresh, RefreshRequest { token });
                self.timers.set(Timer::Command(id), now, self.settings.timeout);
                self.set_refreshing(Refreshing::Sent(id));
            }
            Ok(_) | Err(NoToken::Unauthorized) => self.unauthorized(now),
            Err(NoToken::Failed(error)) => {
                self.emit(ClientEvent::Error(ClientError::Token(error)));
                self.retry_refresh(now);
            }
        }
    }

    /// The server has answered, or not.
    pub(super) fn refreshed(&mut self, now: Instant, id: u32, answer: Result<RefreshResult, RequestError>) {
        if !matches!(&self.link, Link::Open(session) if session.refreshing == Refreshing::Sent(id)) {
            return;
        }
        self.set_refreshing(Refreshing::No);
        match answer {
            Ok(result) => self.expires(now, result.expires, result.ttl),
            Err(RequestError::Refused(error)) if !error.temporary => {
                self.end_link(now, Reason::new(error.code, error.message), false);
            }
            Err(error) => {
                self.emit(ClientEvent::Error(ClientError::Refresh(error)));
                self.retry_refresh(now);
            }
        }
    }

    /// The server says when the token must be renewed next.
    pub(super) fn expires(&mut self, now: Instant, expires: bool, seconds: u32) {
        if expires {
            self.timers.set(Timer::Refresh, now, ttl(seconds));
        } else {
            self.timers.cancel(Timer::Refresh);
        }
    }

    fn retry_refresh(&mut self, now: Instant) {
        let wait = RETRY.min + self.random.up_to(RETRY.max.saturating_sub(RETRY.min));
        self.timers.set(Timer::Refresh, now, wait);
    }

    fn set_refreshing(&mut self, refreshing: Refreshing) {
        if let Link::Open(session) = &mut self.link {
            session.refreshing = refreshing;
        }
    }
}
