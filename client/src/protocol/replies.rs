//! What the server sends.

use std::time::Instant;

use campanile_common::message::{Answer, Error, Push, Reply};

use super::calls::Purpose;
use super::lanes::{Fate, Route};
use super::link::Link;
use super::machine::Machine;
use super::output::CallId;
use crate::reason::connecting;
use crate::transport::Incoming;
use crate::{ClientEvent, RequestError};

impl Machine {
    pub(super) fn handle_incoming(&mut self, now: Instant, incoming: Incoming) {
        if !self.link.takes_commands() {
            return;
        }
        if let Link::Open(session) = &mut self.link {
            session.heard = now;
        }
        match incoming {
            Incoming::Lane { id, push } => self.lane_push(now, id, push),
            Incoming::Reply(reply) if reply.id != 0 => self.answer(now, reply),
            Incoming::Reply(Reply { push: Some(push), .. }) => self.push(now, *push),
            Incoming::Reply(_) => self.ping(),
        }
    }

    fn ping(&mut self) {
        if matches!(&self.link, Link::Open(session) if session.pong) {
            self.calls.pong();
        }
    }

    fn answer(&mut self, now: Instant, reply: Reply) {
        let id = reply.id;
        let Some(purpose) = self.calls.answered(id) else {
            // It came too late.
            return;
        };
        self.timers.cancel(super::timers::Timer::Command(id));
        let outcome = outcome(reply);
        match purpose {
            Purpose::Call(call) => self.call_answered(call, outcome),
            Purpose::Connect => match outcome {
                Ok(Some(Answer::Connect(result))) => self.connected(now, result),
                Ok(_) => self.bad_protocol(now),
                Err(error) => self.connect_refused(now, error),
            },
            Purpose::Subscribe(subscription) => match outcome {
                Ok(Some(Answer::Subscribe(result))) => {
                    self.subscribe_answered(now, subscription, id, Ok(result));
                }
                Ok(_) => self.bad_protocol(now),
                Err(error) => self.subscribe_answered(now, subscription, id, Err(error)),
            },
            Purpose::Unsubscribe => match outcome {
                Ok(_) => {}
                Err(_) => self.lose_link(now, connecting::UNSUBSCRIBE_ERROR),
            },
            Purpose::Refresh => match outcome {
                Ok(Some(Answer::Refresh(result))) => self.refreshed(now, id, Ok(result)),
                Ok(_) => self.bad_protocol(now),
                Err(error) => self.refreshed(now, id, Err(RequestError::Refused(error))),
            },
            Purpose::SubRefresh(subscription) => match outcome {
                Ok(Some(Answer::SubRefresh(result))) => self.sub_refreshed(now, subscription, id, Ok(result)),
                Ok(_) => self.bad_protocol(now),
                Err(error) => self.sub_refreshed(now, subscription, id, Err(RequestError::Refused(error))),
            },
        }
    }

    fn call_answered(&mut self, call: CallId, outcome: Result<Option<Answer>, Error>) {
        let result = match outcome {
            Ok(Some(answer)) => Ok(Some(answer)),
            Ok(None) => Err(RequestError::Unexpected),
            Err(error) => Err(RequestError::Refused(error)),
        };
        self.complete(call, result);
    }

    /// A command of the client itself was not answered in time.
    pub(super) fn command_timed_out(&mut self, now: Instant, id: u32) {
        match self.calls.answered(id) {
            Some(Purpose::Subscribe(subscription)) => self.subscribe_timed_out(now, subscription),
            Some(Purpose::Unsubscribe) => self.lose_link(now, connecting::UNSUBSCRIBE_ERROR),
            Some(Purpose::Refresh) => self.refreshed(now, id, Err(RequestError::Timeout)),
            Some(Purpose::SubRefresh(subscription)) => {
                self.sub_refreshed(now, subscription, id, Err(RequestError::Timeout));
            }
            // These have timers of their own.
            Some(Purpose::Connect | Purpose::Call(_)) | None => {}
        }
    }

    fn push(&mut self, now: Instant, push: Push) {
        if let Some(disconnect) = push.disconnect {
            self.told_to_leave(now, disconnect.code, disconnect.reason);
        } else if let Some(message) = push.message {
            self.emit(ClientEvent::Message(message.data));
        } else if let Some(refresh) = push.refresh {
            self.expires(now, refresh.expires, refresh.ttl);
        } else {
            self.channel_push(now, push);
        }
    }

    /// Something in a channel, which is named, or stood for by a number.
    fn channel_push(&mut self, now: Instant, mut push: Push) {
        let route = if push.channel.is_empty() {
            self.lanes.route(push.id).cloned()
        } else if let Some(id) = self.by_channel.get(&push.channel) {
            Some(Route::Client(*id))
        } else {
            Some(Route::Server(push.channel.clone()))
        };
        match route {
            Some(Route::Client(id)) => match push.unsubscribe.take() {
                Some(unsubscribe) => self.unsubscribe_pushed(now, id, *unsubscribe),
                None => self.push_to(id, push),
            },
            Some(Route::Server(channel)) => self.server_side_push(&channel, push),
            None => {}
        }
    }

    fn server_side_push(&mut self, channel: &str, mut push: Push) {
        if let Some(subscribe) = push.subscribe.take() {
            self.server_subscribes(channel, *subscribe);
        } else if self.has_server_side(channel) {
            match push.unsubscribe.take() {
                Some(unsubscribe) => self.server_unsubscribes(channel, *unsubscribe),
                None => self.push_to_server_side(channel, push),
            }
        }
    }

    fn lane_push(&mut self, now: Instant, id: u64, push: Push) {
        match self.lanes.push(id, push) {
            Fate::Deliver(Route::Client(subscription), push) => self.push_to(subscription, push),
            Fate::Deliver(Route::Server(channel), push) => self.push_to_server_side(&channel, push),
            Fate::Nothing => {}
            Fate::Overflow => self.lose_link(now, connecting::EARLY_PUSHES),
        }
    }
}

/// What a reply says of its command: an answer, nothing that is known, or an error.
fn outcome(reply: Reply) -> Result<Option<Answer>, Error> {
    if let Some(error) = reply.error {
        return Err(*error);
    }
    Ok(None
        .or(reply.publish.map(Answer::Publish))
        .or(reply.connect.map(|result| Answer::Connect(*result)))
        .or(reply.subscribe.map(|result| Answer::Subscribe(*result)))
        .or(reply.unsubscribe.map(Answer::Unsubscribe))
        .or(reply.presence.map(Answer::Presence))
        .or(reply.presence_stats.map(Answer::PresenceStats))
        .or(reply.history.map(|result| Answer::History(*result)))
        .or(reply.ping.map(Answer::Ping))
        .or(reply.rpc.map(Answer::RPC))
        .or(reply.refresh.map(|result| Answer::Refresh(*result)))
        .or(reply.sub_refresh.map(|result| Answer::SubRefresh(*result))))
}
