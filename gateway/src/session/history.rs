//! Reading a stream.

use campanile_common::message::HistoryRequest;
use campanile_common::{DisconnectCode, ErrorCode};
use campanile_shard_router::shard::HistoryPage;

use super::pending::Request;
use super::wire;
use super::{Effect, HistorySpec, Session};

impl Session {
    pub(super) fn handle_history(&mut self, command: u32, request: HistoryRequest) {
        if request.channel.is_empty() {
            return self.close(DisconnectCode::BadRequest);
        }
        if let Err(error) = self.begin_history(command, request) {
            self.refuse(command, error);
        }
    }

    fn begin_history(&mut self, command: u32, request: HistoryRequest) -> Result<(), ErrorCode> {
        let (channel, options) = self.resolve(&request.channel)?;
        let stream = options.stream().ok_or(ErrorCode::NotAvailable)?;
        if !self.may(options.allow_history, &channel, false) {
            return Err(ErrorCode::PermissionDenied);
        }
        let spec = Box::new(HistorySpec {
            since: request.since.map(Into::into),
            limit: self.history_limit(request.limit),
            reverse: request.reverse,
            stream,
        });
        let request = self.pending.add(Request::History { command });
        self.effect(Effect::History {
            request,
            channel,
            spec,
        });
        Ok(())
    }

    /// How many publications a client is given: as many as it asks for, but no more than the server's limit. A
    /// negative number asks for all.
    fn history_limit(&self, asked: i32) -> u32 {
        let limit = self.context.client.history_max_publication_limit;
        u32::try_from(asked).map_or(limit, |asked| asked.min(limit))
    }

    pub(super) fn finish_history(&mut self, command: u32, page: Result<HistoryPage, ErrorCode>) {
        match page {
            Ok(page) => self.answer(command, wire::history(&page)),
            Err(error) => self.refuse(command, error),
        }
    }
}
