//! What a session does by itself when time passes.

use std::time::Duration;

use campanile_common::{DisconnectCode, Timestamp, UnsubscribeCode};

use super::subscriptions::{Stage, Subscription};
use super::{Output, Session};

/// The points in time that a session waits for.
#[derive(Debug, Default)]
pub(super) struct Timers {
    /// The client has connected until then, or is stale.
    pub(super) stale: Option<Timestamp>,
    /// The connection has been refreshed until then, or has expired.
    pub(super) expired: Option<Timestamp>,
    /// The next ping.
    pub(super) ping: Option<Timestamp>,
    /// The last ping is answered until then.
    pub(super) pong: Option<Timestamp>,
    /// The first time at which a subscription may have expired, or be tried again. Never too late.
    pub(super) subscriptions: Option<Timestamp>,
}

impl Timers {
    pub(super) fn next(&self) -> Option<Timestamp> {
        [self.stale, self.expired, self.ping, self.pong, self.subscriptions]
            .into_iter()
            .flatten()
            .min()
    }
}

fn due(timer: Option<Timestamp>, now: Timestamp) -> bool {
    timer.is_some_and(|at| at <= now)
}

impl Session {
    pub(super) fn run_timers(&mut self, now: Timestamp) {
        if due(self.timers.stale, now) {
            return self.close(DisconnectCode::Stale);
        }
        if due(self.timers.expired, now) {
            return self.close(DisconnectCode::Expired);
        }
        if due(self.timers.pong, now) {
            return self.close(DisconnectCode::NoPong);
        }
        if due(self.timers.ping, now) {
            self.ping(now);
        }
        if due(self.timers.subscriptions, now) {
            self.check_subscriptions(now);
        }
    }

    /// Starts pinging, at a random point in the second half of the interval: so clients that came at once are not
    /// pinged at once.
    pub(super) fn start_pings(&mut self, now: Timestamp) {
        let interval = self.context.client.ping_interval;
        if !interval.is_zero() {
            self.timers.ping = Some(now + interval / 2 + self.jitter(interval / 2));
        }
    }

    fn ping(&mut self, now: Timestamp) {
        self.outputs.push_back(Output::Ping);
        self.timers.ping = Some(now + self.context.client.ping_interval);
        if self.expects_pongs() {
            self.timers
                .pong
                .get_or_insert(now + self.context.client.pong_timeout);
        }
    }

    pub(super) fn expects_pongs(&self) -> bool {
        let client = &self.context.client;
        !client.ping_interval.is_zero() && !client.pong_timeout.is_zero()
    }

    /// The answer to a ping. One that nobody waits for is no answer.
    pub(super) fn handle_pong(&mut self) {
        if self.timers.pong.take().is_none() {
            self.close(DisconnectCode::BadRequest);
        }
    }

    /// Remembers that `subscription` wants to be looked at when its time comes.
    pub(super) fn watch(&mut self, at: Option<Timestamp>) {
        self.timers.subscriptions = [self.timers.subscriptions, at].into_iter().flatten().min();
    }

    /// When an expiry takes effect.
    pub(super) fn subscription_deadline(&self, expires_at: Option<Timestamp>) -> Option<Timestamp> {
        expires_at.map(|at| at + self.context.client.expired_sub_close_delay)
    }

    fn deadline(&self, subscription: &Subscription) -> Option<Timestamp> {
        match &subscription.stage {
            Stage::Waiting(retry) => Some(retry.due),
            Stage::Active => self.subscription_deadline(subscription.expires_at),
            Stage::Joining(_) => None,
        }
    }

    fn check_subscriptions(&mut self, now: Timestamp) {
        let is_due = |subscription: &&Subscription| due(self.deadline(subscription), now);
        let found: Vec<_> = self
            .subscriptions
            .iter()
            .filter(is_due)
            .map(|found| found.channel.clone())
            .collect();
        for channel in found {
            let Some(subscription) = self.subscriptions.get(&channel) else {
                continue;
            };
            match subscription.stage {
                Stage::Waiting(_) => self.retry_subscription(&channel),
                _ if subscription.traits.server_side => {
                    return self.close(DisconnectCode::SubscriptionExpired);
                }
                _ => self.end_subscription(&channel, UnsubscribeCode::Expired.into()),
            }
        }
        let next = self
            .subscriptions
            .iter()
            .filter_map(|subscription| self.deadline(subscription))
            .min();
        self.timers.subscriptions = next;
    }

    /// A random part of `range`.
    pub(super) fn jitter(&mut self, range: Duration) -> Duration {
        // One step of SplitMix64: enough to spread load.
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut random = self.seed;
        random = (random ^ (random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        random = (random ^ (random >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        random ^= random >> 31;
        let millis = u64::try_from(range.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(random.checked_rem(millis).unwrap_or(0))
    }
}
