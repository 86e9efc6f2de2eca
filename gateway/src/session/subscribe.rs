//! Subscribing: the client's command, and what every subscription goes through, whoever wanted it.

use std::time::Duration;

use campanile_common::message::{Push, Subscribe, SubscribeRequest, SubscribeResult};
use campanile_common::{DisconnectCode, ErrorCode, Timestamp};
use campanile_shard_router::shard::Announcement;

use super::connect::recover_position;
use super::outcome::Joined;
use super::pending::{Attempt, Ending, Origin, Request};
use super::plan::Plan;
use super::subscriptions::{Retry, Stage, Subscription};
use super::{Delivery, Effect, Phase, RequestId, Session};

/// `flag` of a subscribe request: fail with error 112 rather than begin with something missing.
const REJECT_UNRECOVERED: i64 = 2;

/// After how long a failed server-side subscription is tried again; doubles with each failure.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// Doublings at most: 32 s between attempts.
const MAX_DOUBLINGS: u8 = 5;

impl Session {
    pub(super) fn handle_subscribe(&mut self, now: Timestamp, command: u32, request: &SubscribeRequest) {
        if request.channel.is_empty() {
            return self.close(DisconnectCode::BadRequest);
        }
        match self.plan_subscribe(now, request) {
            Ok(plan) => {
                let reject_unrecovered = request.flag & REJECT_UNRECOVERED != 0;
                self.begin_subscription(
                    plan,
                    Origin::Command {
                        command,
                        reject_unrecovered,
                    },
                );
            }
            Err(error) => self.refuse(command, error),
        }
    }

    fn plan_subscribe(&self, now: Timestamp, request: &SubscribeRequest) -> Result<Plan, ErrorCode> {
        if request.kind != 0 {
            return Err(ErrorCode::NotAvailable);
        }
        if request.tf.is_some() {
            // To leave the condition out would send the client what it does not want.
            return Err(ErrorCode::BadRequest);
        }
        let (channel, options) = self.resolve(&request.channel)?;
        if self.subscriptions.get(&channel).is_some() {
            return Err(ErrorCode::AlreadySubscribed);
        }
        if self.subscriptions.len() >= self.context.client.channel_limit {
            return Err(ErrorCode::LimitExceeded);
        }
        let grant = self.authorize_subscribe(&channel, options, &request.token, now)?;
        let reads_history = self.may(options.allow_history, &channel, true);
        let reads_presence = self.may(options.allow_presence, &channel, true);
        let mut plan = Plan::new(channel, options, grant.settings);
        plan.traits.from_subscription_token = grant.by_token;
        if request.positioned && (options.allow_positioning || reads_history) {
            plan.grant_positioning();
        }
        if request.recoverable && (options.allow_recovery || reads_history) {
            plan.grant_recovery();
        }
        plan.wants_join_leave |= request.join_leave && options.join_leave && reads_presence;
        plan.recover_from = request.recover.then(|| recover_position(request));
        Ok(plan)
    }

    /// Makes a subscription. The channel is not subscribed, and within the limit.
    pub(super) fn begin_subscription(&mut self, plan: Plan, origin: Origin) {
        if let (Origin::Connect, Phase::Connecting(connecting)) = (&origin, &mut self.phase) {
            connecting.joining += 1;
        }
        let channel = plan.channel.clone();
        let info = self.client_info(plan.info.clone());
        let mut spec = Box::new(plan.spec(info, self.context.client.recovery_max_publication_limit));
        if matches!(origin, Origin::Server { .. }) {
            // Its subscribe push has no room for a number.
            spec.delivery = Delivery::Control;
        }
        let mut subscription = Subscription {
            channel: channel.clone(),
            info: plan.info.clone(),
            expires_at: plan.expires_at,
            traits: plan.traits,
            stage: Stage::Joining(RequestId(0)),
        };
        let attempt = Box::new(Attempt {
            plan,
            origin,
            ending: None,
        });
        let request = self.pending.add(Request::Subscribe(attempt));
        subscription.stage = Stage::Joining(request);
        self.subscriptions.insert(subscription);
        self.effect(Effect::Subscribe {
            request,
            channel,
            spec,
        });
    }

    pub(super) fn finish_subscribe(
        &mut self,
        now: Timestamp,
        attempt: Attempt,
        joined: Result<Joined, ErrorCode>,
    ) {
        match joined {
            Ok(joined) if self.is_closed() => {
                drop(joined);
                self.effect(leave_effect(&attempt.plan));
            }
            Ok(joined) => self.subscribed(now, attempt, joined),
            Err(_) if self.is_closed() => {}
            Err(error) => self.not_subscribed(now, attempt, error),
        }
    }

    fn subscribed(&mut self, now: Timestamp, attempt: Attempt, joined: Joined) {
        let Attempt { plan, origin, ending } = attempt;
        let result = plan.result(joined, now);
        let mut wanted = ending.is_none();
        let mut ending = ending.unwrap_or_default();
        if !matches!(origin, Origin::Command { .. }) {
            // The client has not heard of it, so it need not hear of its end.
            ending.push = None;
        }
        match origin {
            Origin::Command {
                command,
                reject_unrecovered: true,
            } if result.was_recovering && !result.recovered => {
                wanted = false;
                self.refuse(command, ErrorCode::UnrecoverablePosition);
            }
            Origin::Command { command, .. } => self.answer(command, result),
            Origin::Connect => self.note_connected(&plan, wanted.then_some(result)),
            Origin::Server { .. } if wanted => self.push_subscribed(&plan, result),
            Origin::Server { .. } => {}
        }
        if wanted {
            self.activate(&plan);
        } else {
            self.subscriptions.remove(&plan.channel);
            self.effect(leave_effect(&plan));
            self.end_early(&plan.channel, ending);
        }
        self.finish_connect_if_ready(now);
    }

    fn activate(&mut self, plan: &Plan) {
        if let Some(subscription) = self.subscriptions.get_mut(&plan.channel) {
            subscription.stage = Stage::Active;
        }
        self.watch(self.subscription_deadline(plan.expires_at));
        if plan.traits.join_leave {
            let info = self.client_info(plan.info.clone());
            let announcement = Box::new(Announcement::Join(info));
            self.effect(Effect::Announce {
                channel: plan.channel.clone(),
                announcement,
            });
        }
    }

    /// One less to wait for before the connect command is answered.
    fn note_connected(&mut self, plan: &Plan, result: Option<SubscribeResult>) {
        if let Phase::Connecting(connecting) = &mut self.phase {
            connecting.joining -= 1;
            connecting
                .results
                .extend(result.map(|result| (plan.channel.to_string(), result)));
        }
    }

    /// Tells the client that the server subscribed it, then what was recovered: there is no room for it in the push.
    fn push_subscribed(&mut self, plan: &Plan, result: SubscribeResult) {
        let subscribe = Subscribe {
            recoverable: result.recoverable,
            epoch: result.epoch,
            offset: result.offset,
            positioned: result.positioned,
            data: result.data,
        };
        self.push(Push::subscribe(plan.channel.as_str(), subscribe));
        for publication in result.publications {
            self.push(Push::publication(plan.channel.as_str(), publication));
        }
    }

    fn not_subscribed(&mut self, now: Timestamp, attempt: Attempt, error: ErrorCode) {
        let Attempt { plan, origin, ending } = attempt;
        let failures = match origin {
            Origin::Command { command, .. } => {
                self.refuse(command, error);
                None
            }
            Origin::Connect => {
                self.note_connected(&plan, None);
                Some(1)
            }
            Origin::Server { failures } => Some(failures.saturating_add(1)),
        };
        match (failures, ending) {
            (Some(failures), None) => self.retry_later(now, plan, failures),
            (_, ending) => {
                self.subscriptions.remove(&plan.channel);
                // Only a subscription that was made is ended with a push.
                let command = ending.and_then(|ending| ending.command);
                self.end_early(&plan.channel, Ending { command, push: None });
            }
        }
        self.finish_connect_if_ready(now);
    }

    /// One shard's trouble is no reason to end a connection: what the server could not subscribe now it will
    /// subscribe later.
    fn retry_later(&mut self, now: Timestamp, plan: Plan, failures: u8) {
        let delay = FIRST_RETRY * 2u32.pow(u32::from((failures - 1).min(MAX_DOUBLINGS)));
        let due = now + delay / 2 + self.jitter(delay);
        if let Some(subscription) = self.subscriptions.get_mut(&plan.channel) {
            subscription.stage = Stage::Waiting(Box::new(Retry { due, failures, plan }));
            self.watch(Some(due));
        }
    }

    pub(super) fn retry_subscription(&mut self, channel: &str) {
        let Some(subscription) = self.subscriptions.remove(channel) else {
            return;
        };
        if let Stage::Waiting(retry) = subscription.stage {
            self.begin_server_subscription(retry.plan, retry.failures);
        }
    }

    /// Makes a subscription that the server wants; until the connect command is answered, as a part of the answer.
    pub(super) fn begin_server_subscription(&mut self, plan: Plan, failures: u8) {
        let origin = match self.phase {
            Phase::Connecting(_) => Origin::Connect,
            _ => Origin::Server { failures },
        };
        self.begin_subscription(plan, origin);
    }
}

/// Ends a subscription that was made but never used: nobody was told that the client joined.
fn leave_effect(plan: &Plan) -> Effect {
    Effect::Unsubscribe {
        channel: plan.channel.clone(),
        presence: plan.traits.presence,
        leave: None,
    }
}
