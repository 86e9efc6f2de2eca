//! What sessions want done, begun in the order in which they want it.
//!
//! An effect is begun while its turn lasts: what it asks of the router is asked at once, so that requests for one
//! partition reach its shard in the session's order. Only what has to be waited for becomes a task.

use std::sync::Arc;
use std::task::{Context, Waker};

use campanile_common::message::ClientInfo;
use campanile_common::{ChannelName, Disconnect, DisconnectCode, ErrorCode, Timestamp};
use campanile_shard_router::publication::Publication;
use campanile_shard_router::router::{
    self, HistoryQuery, Publish, RecoverMode, RecoveryOutcome, RouterError, SubscribeOptions, Subscribed,
};
use campanile_shard_router::shard::Announcement;

use super::outbound::{LaneId, Route};
use super::{Begin, Connection};
use crate::config::options::RecoveryMode;
use crate::hub::{Interest, Members, Membership};
use crate::session::{
    Delivery, Effect, HistorySpec, Joined, Outcome, PublishSpec, Recovery, RequestId, SubscribeSpec,
};

impl Connection {
    /// Begins an effect. Not with the connection locked.
    pub(super) fn begin(self: &Arc<Self>, begin: Begin) {
        let connection = Arc::clone(self);
        match begin.effect {
            Effect::Register { request, user } => {
                let registered = self.register(&user);
                self.handle_outcome(request, Outcome::Registered(registered));
            }
            Effect::Subscribe {
                request,
                channel,
                spec,
            } => start(connection.subscribe(request, channel, *spec)),
            Effect::Unsubscribe {
                channel,
                presence,
                leave,
            } => {
                self.unsubscribe(&channel, begin.membership.as_ref());
                self.unannounce(&channel, presence, leave);
            }
            Effect::Announce {
                channel,
                announcement,
            } => start(connection.announce(channel, *announcement)),
            Effect::Enter { channel, info } => start(async move {
                let entered = connection.host.router.enter(&channel, Arc::new(*info)).await;
                log_failure("presence entry", &channel, entered);
            }),
            Effect::Publish {
                request,
                channel,
                spec,
            } => self.publish(request, channel, *spec),
            Effect::Presence { request, channel } => start(async move {
                let present = connection.host.router.presence(&channel).await;
                let present = present.map_err(|error| error_code(&error));
                connection.handle_outcome(request, Outcome::Presence(present));
            }),
            Effect::History {
                request,
                channel,
                spec,
            } => start(connection.history(request, channel, *spec)),
        }
    }

    fn register(&self, user: &str) -> Result<(), Disconnect> {
        let limit = self.host.sessions.look().client.user_connection_limit;
        self.host
            .registry
            .authenticate(self.id, user, limit)
            .map_err(|_| DisconnectCode::ConnectionLimit.into())
    }

    async fn subscribe(self: Arc<Self>, request: RequestId, channel: ChannelName, spec: SubscribeSpec) {
        let SubscribeSpec {
            stream,
            positioned,
            recover,
            recovery_limit,
            presence,
            wants_join_leave,
            delivery,
        } = spec;
        let interest = Interest {
            positioned,
            join_leave: wants_join_leave,
        };
        let present = presence.is_some();
        let options = SubscribeOptions {
            stream,
            recover: recover.map(|recover| router::Recover {
                position: recover.position,
                mode: recover_mode(recover.mode),
            }),
            limit: recovery_limit,
        };
        let subscribed = async {
            if let Some(info) = presence {
                let entered = self.host.router.enter(&channel, Arc::new(info)).await;
                log_failure("presence entry", &channel, entered);
            }
            let join = |members: &mut Members<Self>, subscribed: &Subscribed| {
                let interest = (interest, delivery);
                self.join(members, &channel, interest, (request, joined(subscribed)));
            };
            self.host.router.subscribe(channel.clone(), options, join).await
        };
        match subscribed.await {
            Ok(()) => self.begin_effects(),
            Err(error) => {
                tracing::debug!(channel = channel.as_str(), %error, "subscribing failed");
                self.unannounce(&channel, present, None);
                self.handle_outcome(request, Outcome::Subscribed(Err(error_code(&error))));
            }
        }
    }

    /// Makes the connection a member. Called with the channel locked, so that the reply is queued before anything that
    /// is delivered; what else comes of it is begun when the lock is released.
    fn join(
        self: &Arc<Self>,
        members: &mut Members<Self>,
        channel: &ChannelName,
        (interest, delivery): (Interest, Delivery),
        (request, joined): (RequestId, Joined),
    ) {
        let mut state = self.state.lock();
        // With the connection locked: their numbers ascend in the order in which the client is told them.
        let route = self.route(delivery);
        let membership = Membership::new(Arc::clone(self), channel.clone(), interest, route);
        members.insert(Arc::clone(&membership));
        self.host.counters.subscriptions.increment(1);
        state.memberships.reserve_exact(1);
        state.memberships.push(membership);
        let lane = route.lane().map(LaneId::get);
        let outcome = Outcome::Subscribed(Ok(Joined { lane, ..joined }));
        state
            .session
            .handle_outcome(self.host.clock.now(), request, outcome);
        self.settle(&mut state);
    }

    fn route(&self, delivery: Delivery) -> Route {
        match delivery {
            Delivery::Control => Route::Control,
            Delivery::Stream => self.outbound.new_route(false),
            Delivery::Datagrams => self.outbound.new_route(true),
        }
    }

    fn unsubscribe(&self, channel: &ChannelName, membership: Option<&Arc<Membership<Self>>>) {
        let Some(membership) = membership else { return };
        self.host.counters.subscriptions.decrement(1);
        self.host.router.unsubscribe(channel, |members| {
            members.remove(membership);
        });
    }

    /// Takes the connection out of the channel's presence, and says that it left.
    fn unannounce(self: &Arc<Self>, channel: &ChannelName, presence: bool, leave: Option<Box<ClientInfo>>) {
        if presence {
            let (connection, channel) = (Arc::clone(self), channel.clone());
            start(async move {
                let client = connection.id.to_string();
                let left = connection.host.router.leave(&channel, &client).await;
                log_failure("end of a presence entry", &channel, left);
            });
        }
        if let Some(info) = leave {
            start(Arc::clone(self).announce(channel.clone(), Announcement::Leave(*info)));
        }
    }

    async fn announce(self: Arc<Self>, channel: ChannelName, announcement: Announcement) {
        let announced = self.host.router.announce(&channel, announcement).await;
        log_failure("join or leave", &channel, announced);
    }

    fn publish(self: &Arc<Self>, request: RequestId, channel: ChannelName, spec: PublishSpec) {
        let publish = Publish {
            channel,
            publication: publication(spec.data, spec.info, self.host.clock.now()),
            stream: spec.stream,
            idempotency: None,
            version: None,
        };
        let published = self.host.router.publish(publish);
        let connection = Arc::clone(self);
        start(async move {
            let published = published.await.map(drop).map_err(|error| error_code(&error));
            connection.handle_outcome(request, Outcome::Published(published));
        });
    }

    async fn history(self: Arc<Self>, request: RequestId, channel: ChannelName, spec: HistorySpec) {
        let query = HistoryQuery {
            since: spec.since,
            limit: Some(spec.limit),
            reverse: spec.reverse,
            meta_ttl: spec.stream.meta_ttl,
        };
        let page = self.host.router.history(&channel, query).await;
        let page = page.map_err(|error| error_code(&error));
        self.handle_outcome(request, Outcome::History(page));
    }
}

/// Begins `task` at once, and leaves what is not done then to a task of its own.
fn start(task: impl Future<Output = ()> + Send + 'static) {
    let mut task = Box::pin(task);
    let begun = task.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    if begun.is_pending() {
        tokio::spawn(task);
    }
}

fn publication(data: bytes::Bytes, info: ClientInfo, time: Timestamp) -> Publication {
    Publication {
        offset: campanile_common::Offset::ZERO,
        data,
        info: Some(info),
        tags: std::collections::BTreeMap::new(),
        time,
    }
}

const fn recover_mode(mode: RecoveryMode) -> RecoverMode {
    match mode {
        RecoveryMode::Stream => RecoverMode::Stream,
        RecoveryMode::Cache => RecoverMode::Cache,
    }
}

fn joined(subscribed: &Subscribed) -> Joined {
    Joined {
        position: subscribed.position.clone(),
        publications: subscribed.publications.clone(),
        recovery: match subscribed.outcome {
            None => Recovery::NotAsked,
            Some(RecoveryOutcome::Recovered) => Recovery::Recovered,
            Some(RecoveryOutcome::Lost(reason)) => Recovery::Lost(reason),
        },
        lane: None,
    }
}

/// What the client is told. Trouble on this side is temporary to it.
fn error_code(error: &RouterError) -> ErrorCode {
    match error {
        RouterError::UnrecoverablePosition => ErrorCode::UnrecoverablePosition,
        _ => ErrorCode::Internal,
    }
}

/// Nobody waits for the answer, and the next refresh or announcement makes up for it.
fn log_failure(what: &'static str, channel: &ChannelName, result: Result<(), RouterError>) {
    if let Err(error) = result {
        tracing::debug!(what, channel = channel.as_str(), %error, "not done");
    }
}
