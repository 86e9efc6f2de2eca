//! What the server says to a subscribe.

use std::time::Instant;

use campanile_common::message::{self, SubscribeResult};
use campanile_common::{Epoch, ErrorCode, Position};

use super::Stage;
use crate::protocol::lanes::Route;
use crate::protocol::machine::Machine;
use crate::protocol::output::SubscriptionId;
use crate::protocol::refresh::{Refreshing, ttl};
use crate::protocol::timers::Timer;
use crate::reason::{connecting, unsubscribed};
use crate::{Publication, Reason, RequestError, Subscribed, SubscriptionError, SubscriptionEvent};

impl Machine {
    /// The server has answered a subscribe.
    pub(in crate::protocol) fn subscribe_answered(
        &mut self,
        now: Instant,
        id: SubscriptionId,
        command: u32,
        answer: Result<SubscribeResult, message::Error>,
    ) {
        self.timers.cancel(Timer::Command(command));
        let wanted = self
            .subscriptions
            .get(&id)
            .is_some_and(|subscription| subscription.stage == Stage::Sent(command));
        match answer {
            Ok(result) if wanted => self.subscribed(now, id, result),
            // The application has unsubscribed meanwhile, maybe to subscribe again.
            Ok(result) => drop(self.lanes.answered(result.id, None)),
            Err(error) => {
                self.lanes.answered(0, None);
                if wanted {
                    self.subscribe_refused(now, id, error);
                }
            }
        }
    }

    fn subscribed(&mut self, now: Instant, id: SubscriptionId, mut result: SubscribeResult) {
        let lane = u64::try_from(result.id).ok().filter(|lane| *lane > 0);
        let early = self.lanes.answered(result.id, Some(Route::Client(id)));
        let Some(subscription) = self.subscriptions.get_mut(&id) else {
            return;
        };
        subscription.stage = Stage::Subscribed {
            lane,
            refreshing: Refreshing::No,
        };
        subscription.backoff.reset();
        subscription.tracker.subscribed(&mut result);
        if result.expires {
            self.timers.set(Timer::SubRefresh(id), now, ttl(result.ttl));
        }
        let (event, publications) = opened(result);
        self.tell(id, SubscriptionEvent::Subscribed(event));
        for publication in publications {
            self.tell(id, SubscriptionEvent::Publication(publication));
        }
        for push in early {
            self.push_to(id, push);
        }
    }

    fn subscribe_refused(&mut self, now: Instant, id: SubscriptionId, error: message::Error) {
        let Some(subscription) = self.subscriptions.get_mut(&id) else {
            return;
        };
        let expired = error.code == ErrorCode::TokenExpired.code();
        if expired && !subscription.settings.has_token_source {
            self.tell(id, SubscriptionEvent::Error(SubscriptionError::NoTokenSource));
            let reason = unsubscribed::reason(unsubscribed::UNAUTHORIZED);
            self.end_subscription(now, id, reason, false);
        } else if expired || error.temporary {
            if expired {
                subscription.token.clear();
            }
            let error = SubscriptionError::Subscribe(RequestError::Refused(error));
            self.tell(id, SubscriptionEvent::Error(error));
            self.retry_subscribe(now, id);
        } else {
            self.end_subscription(now, id, Reason::new(error.code, error.message), false);
        }
    }

    pub(super) fn retry_subscribe(&mut self, now: Instant, id: SubscriptionId) {
        let Some(subscription) = self.subscriptions.get_mut(&id) else {
            return;
        };
        subscription.stage = Stage::Waiting;
        let delays = subscription.settings.resubscribe;
        let wait = subscription.backoff.next(delays, &mut self.random);
        self.timers.set(Timer::Resubscribe(id), now, wait);
    }

    /// A subscribe was not answered: what the server makes of it cannot be known in this connection.
    pub(in crate::protocol) fn subscribe_timed_out(&mut self, now: Instant, id: SubscriptionId) {
        let error = SubscriptionError::Subscribe(RequestError::Timeout);
        self.tell(id, SubscriptionEvent::Error(error));
        self.lose_link(now, connecting::SUBSCRIBE_TIMEOUT);
    }
}

/// What the application is told of a subscription that was opened, and the publications that it is given next.
pub(in crate::protocol) fn opened(result: SubscribeResult) -> (Subscribed, Vec<Publication>) {
    let publications: Vec<_> = result.publications.into_iter().map(Publication::from).collect();
    let known = result.recoverable || result.positioned;
    let event = Subscribed {
        recoverable: result.recoverable,
        positioned: result.positioned,
        was_recovering: result.was_recovering,
        recovered: result.recovered,
        recovered_publications: publications.len(),
        recovery_reason: result.recovery_reason,
        position: known.then(|| Position::new(Epoch::from(result.epoch), result.offset.into())),
        data: result.data,
    };
    (event, publications)
}
