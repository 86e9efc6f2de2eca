//! Carrying out commands of the server API.

use campanile_common::message::{Push, Refresh};
use campanile_common::{DisconnectCode, Timestamp};

use super::command::{ServerCommand, ServerRefresh, ServerSubscribe};
use super::wire;
use super::{Phase, Session};

impl Session {
    /// A command of the server API, or of the gateway itself.
    pub fn handle_server(&mut self, now: Timestamp, command: ServerCommand) {
        match (command, &self.phase) {
            (ServerCommand::Disconnect(disconnect), _) => self.close(disconnect),
            (ServerCommand::GoElsewhere, _) => {
                self.leaving = true;
                self.leave_once_answered();
            }
            // The rest is for connections that the API knows.
            (_, Phase::Opening | Phase::Refused | Phase::Closed) => {}
            (ServerCommand::Subscribe(subscribe), _) => self.subscribe_by_server(now, *subscribe),
            (ServerCommand::Unsubscribe { channel, unsubscribe }, _) => {
                self.end_subscription(&channel, unsubscribe);
            }
            (ServerCommand::Refresh(refresh), _) => self.refresh_by_server(now, refresh),
        }
    }

    /// Closes a connection that is to go, unless commands wait for an answer; each gets one in bounded time.
    pub(super) fn leave_once_answered(&mut self) {
        if self.leaving && self.pending.commands() == 0 {
            self.close(DisconnectCode::Shutdown);
        }
    }

    fn subscribe_by_server(&mut self, now: Timestamp, subscribe: ServerSubscribe) {
        let ServerSubscribe {
            channel,
            settings,
            recover_since,
        } = subscribe;
        let expired = settings.expires_at.is_some_and(|at| at <= now);
        if expired || self.channels().any(|known| known == channel.as_str()) {
            return;
        }
        if self.channels().count() >= self.context.client.channel_limit {
            return self.close(DisconnectCode::ChannelLimit);
        }
        let Ok(mut plan) = self.plan_server_side(channel, settings) else {
            return;
        };
        plan.recover_from = recover_since;
        if let Some(plan) = self.plan_early(plan) {
            self.begin_server_subscription(plan, 0);
        }
    }

    fn refresh_by_server(&mut self, now: Timestamp, refresh: ServerRefresh) {
        if refresh.expired || refresh.expires_at.is_some_and(|at| at <= now) {
            return self.close(DisconnectCode::Expired);
        }
        self.renew(refresh.expires_at, refresh.info.unwrap_or_default());
        if let Phase::Connecting(connecting) = &mut self.phase {
            connecting.expires_at = refresh.expires_at;
        } else {
            self.push(Push::refresh(Refresh {
                expires: refresh.expires_at.is_some(),
                ttl: refresh.expires_at.map_or(0, |at| wire::ttl(at, now)),
            }));
        }
    }
}
