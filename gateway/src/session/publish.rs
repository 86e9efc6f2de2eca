//! Publishing by clients.

use campanile_common::message::{PublishRequest, PublishResult, payload};
use campanile_common::{DisconnectCode, ErrorCode};

use super::pending::Request;
use super::{Effect, PublishSpec, Session};
use crate::config::options::PublicationFormat;

impl Session {
    pub(super) fn handle_publish(&mut self, command: u32, request: PublishRequest) {
        if request.channel.is_empty() {
            return self.close(DisconnectCode::BadRequest);
        }
        if let Err(error) = self.begin_publish(command, request) {
            self.refuse(command, error);
        }
    }

    fn begin_publish(&mut self, command: u32, request: PublishRequest) -> Result<(), ErrorCode> {
        if request.kind != 0 {
            return Err(ErrorCode::NotAvailable);
        }
        let (channel, options) = self.resolve(&request.channel)?;
        if !self.may(options.allow_publish, &channel, false) {
            return Err(ErrorCode::PermissionDenied);
        }
        if !fits(options.publication_format, &request.data) {
            return Err(ErrorCode::BadRequest);
        }
        let stream = options.stream();
        let subscription = self.subscriptions.get(&channel);
        let info = self.client_info(subscription.map(|found| found.info.clone()).unwrap_or_default());
        let spec = Box::new(PublishSpec {
            data: request.data,
            info,
            stream,
        });
        let request = self.pending.add(Request::Publish { command });
        self.effect(Effect::Publish {
            request,
            channel,
            spec,
        });
        Ok(())
    }

    pub(super) fn finish_publish(&mut self, command: u32, published: Result<(), ErrorCode>) {
        match published {
            Ok(()) => self.answer(command, PublishResult {}),
            Err(error) => self.refuse(command, error),
        }
    }
}

/// Whether a payload is what the namespace asks for.
pub(crate) fn fits(format: PublicationFormat, data: &[u8]) -> bool {
    match format {
        PublicationFormat::NotEmpty => !data.is_empty(),
        PublicationFormat::Json => payload::is_json(data),
        PublicationFormat::JsonObject => data.trim_ascii_start().starts_with(b"{") && payload::is_json(data),
        PublicationFormat::Binary => true,
    }
}
