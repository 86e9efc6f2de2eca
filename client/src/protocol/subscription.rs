//! The application's subscriptions.

mod answers;
mod tokens;

pub(super) use answers::opened;

use std::time::Instant;

use campanile_common::UnsubscribeCode;
use campanile_common::message::{self, Push, SubscribeRequest, UnsubscribeRequest};

use super::backoff::Backoff;
use super::calls::Purpose;
use super::machine::Machine;
use super::output::{Output, SubscriptionId, Ticket, TokenOwner};
use super::position::Tracker;
use super::refresh::Refreshing;
use super::settings::SubscriptionSettings;
use super::timers::Timer;
use crate::reason::subscribing;
use crate::{Publication, Reason, SubscriptionEvent};

/// Codes of the server's unsubscribe pushes from which on the client subscribes again by itself.
const RESUBSCRIBES_FROM: u32 = 2500;

/// One of them.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub(super) settings: SubscriptionSettings,
    /// The token in use.
    token: String,
    tracker: Tracker,
    backoff: Backoff,
    stage: Stage,
}

/// How far a subscription is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Unsubscribed,
    /// It is sent as soon as there is a connection.
    Idle,
    /// The application is asked for a token.
    Token(Ticket),
    /// The command of that number is unanswered.
    Sent(u32),
    /// The next attempt has its time, connection or not.
    Waiting,
    Subscribed {
        lane: Option<u64>,
        refreshing: Refreshing,
    },
}

impl Subscription {
    pub(super) fn new(settings: SubscriptionSettings) -> Self {
        Self {
            token: settings.token.clone(),
            tracker: Tracker::new(settings.since.clone()),
            settings,
            backoff: Backoff::default(),
            stage: Stage::Unsubscribed,
        }
    }

    const fn is_subscribed(&self) -> bool {
        matches!(self.stage, Stage::Subscribed { .. })
    }

    const fn is_refreshing(&self, expected: Refreshing) -> bool {
        match (self.stage, expected) {
            (
                Stage::Subscribed {
                    refreshing: Refreshing::Token(a),
                    ..
                },
                Refreshing::Token(b),
            ) => a.0 == b.0,
            (
                Stage::Subscribed {
                    refreshing: Refreshing::Sent(a),
                    ..
                },
                Refreshing::Sent(b),
            ) => a == b,
            _ => false,
        }
    }

    fn set_refreshing(&mut self, to: Refreshing) {
        if let Stage::Subscribed { refreshing, .. } = &mut self.stage {
            *refreshing = to;
        }
    }

    /// What is known of the channel holds no more, nor does the token, if there can be another.
    pub(super) fn invalidate(&mut self) {
        if self.settings.has_token_source {
            self.token.clear();
        }
        self.tracker.invalidate();
    }

    fn request(&self) -> SubscribeRequest {
        let position = self.tracker.recovers_from();
        SubscribeRequest {
            channel: self.settings.channel.clone(),
            token: self.token.clone(),
            recover: position.is_some(),
            epoch: position.map_or_else(String::new, |position| position.epoch.as_str().into()),
            offset: position.map_or(0, |position| position.offset.get()),
            data: self.settings.data.clone(),
            positioned: self.settings.positioned,
            recoverable: self.settings.recoverable,
            join_leave: self.settings.join_leave,
            ..Default::default()
        }
    }
}

impl Machine {
    pub(super) fn begin_subscribing(&mut self, now: Instant, id: SubscriptionId) {
        let Some(subscription) = self.subscriptions.get_mut(&id) else {
            return;
        };
        if subscription.stage != Stage::Unsubscribed {
            return;
        }
        subscription.stage = Stage::Idle;
        subscription.backoff.reset();
        let reason = subscribing::reason(subscribing::SUBSCRIBE_CALLED);
        self.tell(id, SubscriptionEvent::Subscribing(reason));
        self.try_subscribe(now, id);
    }

    /// Sends all that wait for nothing but the connection.
    pub(super) fn subscribe_all(&mut self, now: Instant) {
        let idle = |(id, subscription): (&SubscriptionId, &Subscription)| {
            (subscription.stage == Stage::Idle).then_some(*id)
        };
        let idle: Vec<_> = self.subscriptions.iter().filter_map(idle).collect();
        for id in idle {
            self.try_subscribe(now, id);
        }
    }

    /// Goes on to the next step that is possible. Does nothing but for a subscription that waits for it.
    pub(super) fn try_subscribe(&mut self, now: Instant, id: SubscriptionId) {
        let Some(subscription) = self.subscriptions.get_mut(&id) else {
            return;
        };
        if !matches!(subscription.stage, Stage::Idle | Stage::Waiting) {
            return;
        }
        subscription.stage = Stage::Idle;
        if !self.link.takes_commands() {
            return;
        }
        if subscription.token.is_empty() && subscription.settings.has_token_source {
            let ticket = self.fetch_token(TokenOwner::Subscription(id));
            self.set_stage(id, Stage::Token(ticket));
            return;
        }
        let request = subscription.request();
        let command = self.calls.send(Purpose::Subscribe(id), request);
        self.lanes.expect();
        self.timers
            .set(Timer::Command(command), now, self.settings.timeout);
        self.set_stage(id, Stage::Sent(command));
    }

    /// The subscription ends, and the server is told if it does not know and `tell_server`.
    pub(super) fn end_subscription(
        &mut self,
        now: Instant,
        id: SubscriptionId,
        reason: Reason,
        tell_server: bool,
    ) {
        let Some(subscription) = self.subscriptions.get(&id) else {
            return;
        };
        let stage = subscription.stage;
        if stage == Stage::Unsubscribed {
            return;
        }
        let known_there = matches!(stage, Stage::Subscribed { .. } | Stage::Sent(_));
        if known_there && tell_server && self.link.takes_commands() {
            let channel = subscription.settings.channel.clone();
            let command = self
                .calls
                .send(Purpose::Unsubscribe, UnsubscribeRequest { channel });
            self.timers
                .set(Timer::Command(command), now, self.settings.timeout);
        }
        self.leave_stage(id);
        self.set_stage(id, Stage::Unsubscribed);
        self.tell(id, SubscriptionEvent::Unsubscribed(reason));
    }

    /// The server has ended a subscription.
    pub(super) fn unsubscribe_pushed(
        &mut self,
        now: Instant,
        id: SubscriptionId,
        push: message::Unsubscribe,
    ) {
        let Some(subscription) = self.subscriptions.get_mut(&id) else {
            return;
        };
        if !subscription.is_subscribed() {
            // It is about one before. The end of the one in progress would come after its answer.
            return;
        }
        let reason = Reason::new(push.code, push.reason);
        if push.code < RESUBSCRIBES_FROM {
            self.end_subscription(now, id, reason, false);
            return;
        }
        if push.code == UnsubscribeCode::StateInvalidated.code() {
            subscription.invalidate();
        }
        self.leave_stage(id);
        self.set_stage(id, Stage::Idle);
        self.tell(id, SubscriptionEvent::Subscribing(reason));
        self.try_subscribe(now, id);
    }

    /// The connection is gone.
    pub(super) fn lose_subscriptions(&mut self) {
        let ids: Vec<_> = self.subscriptions.keys().copied().collect();
        for id in ids {
            match self.subscriptions[&id].stage {
                Stage::Sent(_) => self.set_stage(id, Stage::Idle),
                Stage::Subscribed { .. } => {
                    self.leave_stage(id);
                    self.set_stage(id, Stage::Idle);
                    let reason = subscribing::reason(subscribing::TRANSPORT_CLOSED);
                    self.tell(id, SubscriptionEvent::Subscribing(reason));
                }
                Stage::Unsubscribed | Stage::Idle | Stage::Token(_) | Stage::Waiting => {}
            }
        }
    }

    /// Something happened in a subscription. Before its answer and after its end, nothing is of interest.
    pub(super) fn push_to(&mut self, id: SubscriptionId, push: Push) {
        let Some(subscription) = self.subscriptions.get_mut(&id) else {
            return;
        };
        if !subscription.is_subscribed() {
            return;
        }
        if let Some(publication) = push.publication
            && subscription.tracker.accept(&publication)
        {
            self.tell(
                id,
                SubscriptionEvent::Publication(Publication::from(*publication)),
            );
        } else if let Some(info) = push.join.and_then(|join| join.info) {
            self.tell(id, SubscriptionEvent::Join(info));
        } else if let Some(info) = push.leave.and_then(|leave| leave.info) {
            self.tell(id, SubscriptionEvent::Leave(info));
        }
    }

    /// Ends what the present stage has going.
    fn leave_stage(&mut self, id: SubscriptionId) {
        self.timers.cancel(Timer::Resubscribe(id));
        self.timers.cancel(Timer::SubRefresh(id));
        if let Some(Subscription {
            stage: Stage::Subscribed { lane: Some(lane), .. },
            ..
        }) = self.subscriptions.get(&id)
        {
            self.lanes.end(*lane);
        }
    }

    fn set_stage(&mut self, id: SubscriptionId, stage: Stage) {
        if let Some(subscription) = self.subscriptions.get_mut(&id) {
            subscription.stage = stage;
        }
    }

    fn tell(&mut self, id: SubscriptionId, event: SubscriptionEvent) {
        self.outputs.push_back(Output::Subscription(id, event));
    }
}
