//! Tokens of subscriptions: the first, and those that replace it before it expires.

use std::time::{Duration, Instant};

use campanile_common::message::{SubRefreshRequest, SubRefreshResult};

use super::Stage;
use crate::protocol::calls::Purpose;
use crate::protocol::machine::Machine;
use crate::protocol::output::{NoToken, SubscriptionId, Ticket, TokenOwner};
use crate::protocol::refresh::{Refreshing, ttl};
use crate::protocol::settings::Delays;
use crate::protocol::timers::Timer;
use crate::reason::unsubscribed;
use crate::{Reason, RequestError, SubscriptionError, SubscriptionEvent};

/// Between attempts to renew a subscription's token: the old one still holds for a while.
const REFRESH_RETRY: Delays = Delays {
    min: Duration::from_secs(10),
    max: Duration::from_secs(20),
};

impl Machine {
    pub(in crate::protocol) fn subscription_token(
        &mut self,
        now: Instant,
        id: SubscriptionId,
        ticket: Ticket,
        answer: Result<String, NoToken>,
    ) {
        let Some(subscription) = self.subscriptions.get_mut(&id) else {
            return;
        };
        let subscribing = subscription.stage == Stage::Token(ticket);
        if !subscribing && !subscription.is_refreshing(Refreshing::Token(ticket)) {
            return;
        }
        match answer {
            Ok(token) if !token.is_empty() => {
                subscription.token = token;
                if subscribing {
                    subscription.stage = Stage::Idle;
                    self.try_subscribe(now, id);
                } else {
                    self.send_sub_refresh(now, id);
                }
            }
            Ok(_) | Err(NoToken::Unauthorized) => self.subscription_unauthorized(now, id),
            Err(NoToken::Failed(error)) => {
                self.tell(id, SubscriptionEvent::Error(SubscriptionError::Token(error)));
                if subscribing {
                    self.retry_subscribe(now, id);
                } else {
                    self.retry_sub_refresh(now, id);
                }
            }
        }
    }

    fn subscription_unauthorized(&mut self, now: Instant, id: SubscriptionId) {
        let reason = unsubscribed::reason(unsubscribed::UNAUTHORIZED);
        self.end_subscription(now, id, reason, true);
    }

    pub(in crate::protocol) fn fetch_sub_refresh_token(&mut self, now: Instant, id: SubscriptionId) {
        let Some(subscription) = self.subscriptions.get(&id) else {
            return;
        };
        if subscription.settings.has_token_source {
            let ticket = self.fetch_token(TokenOwner::Subscription(id));
            self.set_sub_refreshing(id, Refreshing::Token(ticket));
        } else {
            self.tell(id, SubscriptionEvent::Error(SubscriptionError::NoTokenSource));
            self.subscription_unauthorized(now, id);
        }
    }

    fn send_sub_refresh(&mut self, now: Instant, id: SubscriptionId) {
        let Some(subscription) = self.subscriptions.get(&id) else {
            return;
        };
        let request = SubRefreshRequest {
            channel: subscription.settings.channel.clone(),
            token: subscription.token.clone(),
            ..Default::default()
        };
        let command = self.calls.send(Purpose::SubRefresh(id), request);
        self.timers
            .set(Timer::Command(command), now, self.settings.timeout);
        self.set_sub_refreshing(id, Refreshing::Sent(command));
    }

    /// The server has answered a renewal, or not.
    pub(in crate::protocol) fn sub_refreshed(
        &mut self,
        now: Instant,
        id: SubscriptionId,
        command: u32,
        answer: Result<SubRefreshResult, RequestError>,
    ) {
        let expected = Refreshing::Sent(command);
        if !self
            .subscriptions
            .get(&id)
            .is_some_and(|subscription| subscription.is_refreshing(expected))
        {
            return;
        }
        self.set_sub_refreshing(id, Refreshing::No);
        match answer {
            Ok(result) if result.expires => self.timers.set(Timer::SubRefresh(id), now, ttl(result.ttl)),
            Ok(_) => {}
            Err(RequestError::Refused(error)) if !error.temporary => {
                self.end_subscription(now, id, Reason::new(error.code, error.message), true);
            }
            Err(error) => {
                self.tell(id, SubscriptionEvent::Error(SubscriptionError::Refresh(error)));
                self.retry_sub_refresh(now, id);
            }
        }
    }

    fn retry_sub_refresh(&mut self, now: Instant, id: SubscriptionId) {
        let wait = REFRESH_RETRY.min
            + self
                .random
                .up_to(REFRESH_RETRY.max.saturating_sub(REFRESH_RETRY.min));
        self.set_sub_refreshing(id, Refreshing::No);
        self.timers.set(Timer::SubRefresh(id), now, wait);
    }

    fn set_sub_refreshing(&mut self, id: SubscriptionId, refreshing: Refreshing) {
        if let Some(subscription) = self.subscriptions.get_mut(&id) {
            subscription.set_refreshing(refreshing);
        }
    }
}
