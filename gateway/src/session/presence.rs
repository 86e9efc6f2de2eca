//! Who is subscribed, and how many.

use std::collections::BTreeMap;

use campanile_common::message::{ClientInfo, PresenceResult};
use campanile_common::{ChannelName, DisconnectCode, ErrorCode};

use super::pending::Request;
use super::wire;
use super::{Effect, Session};

impl Session {
    pub(super) fn handle_presence(&mut self, command: u32, channel: &str, stats: bool) {
        if channel.is_empty() {
            return self.close(DisconnectCode::BadRequest);
        }
        match self.authorize_presence(channel) {
            Ok(channel) => {
                let request = self.pending.add(Request::Presence { command, stats });
                self.effect(Effect::Presence { request, channel });
            }
            Err(error) => self.refuse(command, error),
        }
    }

    fn authorize_presence(&self, name: &str) -> Result<ChannelName, ErrorCode> {
        let (channel, options) = self.resolve(name)?;
        if !options.presence {
            return Err(ErrorCode::NotAvailable);
        }
        if self.may(options.allow_presence, &channel, false) {
            Ok(channel)
        } else {
            Err(ErrorCode::PermissionDenied)
        }
    }

    pub(super) fn finish_presence(
        &mut self,
        command: u32,
        stats: bool,
        present: Result<BTreeMap<String, ClientInfo>, ErrorCode>,
    ) {
        match present {
            Ok(present) if stats => self.answer(command, wire::presence_stats(&present)),
            Ok(presence) => self.answer(command, PresenceResult { presence }),
            Err(error) => self.refuse(command, error),
        }
    }
}
