//! The end of subscriptions: by the client, by the server, by time, by lost continuity, with the connection.

use campanile_common::message::{Push, Unsubscribe, UnsubscribeRequest, UnsubscribeResult};
use campanile_common::{ChannelName, DisconnectCode, UnsubscribeCode};

use super::pending::Ending;
use super::subscriptions::{Stage, Subscription};
use super::{Effect, Phase, Session};

impl Session {
    pub(super) fn handle_unsubscribe(&mut self, command: u32, request: &UnsubscribeRequest) {
        if request.channel.is_empty() {
            return self.close(DisconnectCode::BadRequest);
        }
        if let Some(ending) = self.ending_of_attempt(&request.channel) {
            // Answered when there is something to end; until then no other command is accepted, so none overtakes it.
            ending.command = Some(command);
            return;
        }
        self.undo_removed(&request.channel);
        self.answer(command, UnsubscribeResult {});
    }

    /// Ends a subscription and tells the client why. Without one nothing happens.
    pub(super) fn end_subscription(&mut self, channel: &str, unsubscribe: Unsubscribe) {
        if let Some(ending) = self.ending_of_attempt(channel) {
            ending.push = Some(unsubscribe);
            return;
        }
        let ended = self.undo_removed(channel);
        if let Phase::Connecting(connecting) = &mut self.phase {
            // The client does not know of it yet, and never will.
            connecting.results.remove(channel);
            connecting.planned.retain(|plan| plan.channel.as_str() != channel);
        } else if ended {
            self.push(Push::unsubscribe(channel, unsubscribe));
        }
    }

    /// The hub says that publications of the channel are lost: whoever has a position must begin again.
    pub fn handle_lost(&mut self, channel: &ChannelName) {
        let Some(subscription) = self.subscriptions.get(channel) else {
            return;
        };
        if !subscription.traits.positioned || !matches!(subscription.stage, Stage::Active) {
            return;
        }
        if subscription.traits.server_side {
            // A client recovers what the server subscribed only by connecting anew.
            self.close(DisconnectCode::InsufficientState);
        } else {
            self.end_subscription(channel, UnsubscribeCode::InsufficientState.into());
        }
    }

    /// What is to happen at the end of the attempt to subscribe to `channel`, if one is under way.
    fn ending_of_attempt(&mut self, channel: &str) -> Option<&mut Ending> {
        let Stage::Joining(request) = self.subscriptions.get(channel)?.stage else {
            return None;
        };
        let attempt = self.pending.attempt_mut(request)?;
        Some(attempt.ending.get_or_insert_default())
    }

    /// Tells whoever wanted a subscription to end before it had begun that it has ended.
    pub(super) fn end_early(&mut self, channel: &ChannelName, ending: Ending) {
        if let Some(unsubscribe) = ending.push {
            self.push(Push::unsubscribe(channel.as_str(), unsubscribe));
        }
        if let Some(command) = ending.command {
            self.answer(command, UnsubscribeResult {});
        }
    }

    /// Takes a subscription out of the list, and undoes it. Whether there was one.
    pub(super) fn undo_removed(&mut self, channel: &str) -> bool {
        let Some(subscription) = self.subscriptions.remove(channel) else {
            return false;
        };
        self.undo_subscription(&subscription);
        true
    }

    pub(super) fn undo_subscription(&mut self, subscription: &Subscription) {
        if !matches!(subscription.stage, Stage::Active) {
            return;
        }
        let leave = subscription
            .traits
            .join_leave
            .then(|| Box::new(self.client_info(subscription.info.clone())));
        self.effect(Effect::Unsubscribe {
            channel: subscription.channel.clone(),
            presence: subscription.traits.presence,
            leave,
        });
    }
}
