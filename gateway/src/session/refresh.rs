//! Renewing what expires: the connection, and subscriptions.

use std::collections::BTreeSet;

use bytes::Bytes;
use campanile_common::message::{RefreshRequest, RefreshResult, SubRefreshRequest, SubRefreshResult};
use campanile_common::{ChannelName, DisconnectCode, ErrorCode, Timestamp};

use super::subscriptions::Stage;
use super::wire;
use super::{Effect, Session};
use crate::auth::{ConnectionToken, ServerSubscription, TokenError};

impl Session {
    pub(super) fn handle_refresh(&mut self, now: Timestamp, command: u32, request: &RefreshRequest) {
        match self.check_refresh(now, &request.token) {
            Ok(token) => {
                self.renew(token.expires_at, token.info);
                let result = RefreshResult {
                    client: self.identity.client.to_string(),
                    version: self.context.version.clone(),
                    expires: token.expires_at.is_some(),
                    ttl: token.expires_at.map_or(0, |at| wire::ttl(at, now)),
                };
                self.answer(command, result);
            }
            Err(code) => self.close(code),
        }
    }

    fn check_refresh(&self, now: Timestamp, token: &str) -> Result<ConnectionToken, DisconnectCode> {
        if token.is_empty() {
            return Err(DisconnectCode::BadRequest);
        }
        // An error in the reply would make SDKs give up, a disconnect makes them fetch a token.
        let mut token = self
            .context
            .authenticator
            .connection(token, now)
            .map_err(|error| match error {
                TokenError::Expired => DisconnectCode::Expired,
                TokenError::Invalid(_) => DisconnectCode::InvalidToken,
            })?;
        if *token.user != *self.identity.user {
            return Err(DisconnectCode::InvalidToken);
        }
        if self.grants_other_channels(&token.subscriptions) {
            // Connecting anew makes exactly the subscriptions of the new token.
            return Err(DisconnectCode::InsufficientState);
        }
        token.expires_at = token.expires_at.filter(|_| !self.context.client.insecure);
        match token.expires_at {
            Some(at) if at <= now => Err(DisconnectCode::Expired),
            _ => Ok(token),
        }
    }

    /// Whether the subscriptions of a new token are not those that the old one had.
    fn grants_other_channels(&self, granted: &[ServerSubscription]) -> bool {
        let granted: BTreeSet<&str> = granted
            .iter()
            .map(|subscription| subscription.channel.as_str())
            .collect();
        let lost = self
            .subscriptions
            .iter()
            .any(|found| found.traits.from_connection_token && !granted.contains(found.channel.as_str()));
        lost || granted
            .iter()
            .any(|channel| self.subscriptions.get(channel).is_none())
    }

    /// Sets when the connection expires, and what others know of it if something is said.
    pub(super) fn renew(&mut self, expires_at: Option<Timestamp>, info: Bytes) {
        self.set_expiry(expires_at);
        if info.is_empty() || info == self.identity.info {
            return;
        }
        self.identity.info = info;
        let present = |found: &&super::subscriptions::Subscription| {
            found.traits.presence && matches!(found.stage, Stage::Active)
        };
        let entries: Vec<_> = self
            .subscriptions
            .iter()
            .filter(present)
            .map(|found| (found.channel.clone(), found.info.clone()))
            .collect();
        for (channel, info) in entries {
            self.enter(channel, info);
        }
    }

    fn enter(&mut self, channel: ChannelName, chan_info: Bytes) {
        let info = Box::new(self.client_info(chan_info));
        self.effect(Effect::Enter { channel, info });
    }

    pub(super) fn handle_sub_refresh(&mut self, now: Timestamp, command: u32, request: &SubRefreshRequest) {
        if request.channel.is_empty() {
            return self.close(DisconnectCode::BadRequest);
        }
        match self.renew_subscription(now, request) {
            Ok(result) => self.answer(command, result),
            Err(error) => self.refuse(command, error),
        }
    }

    fn renew_subscription(
        &mut self,
        now: Timestamp,
        request: &SubRefreshRequest,
    ) -> Result<SubRefreshResult, ErrorCode> {
        let (channel, _) = self.resolve(&request.channel)?;
        let subscription = self
            .subscriptions
            .get(&channel)
            .ok_or(ErrorCode::PermissionDenied)?;
        if !matches!(subscription.stage, Stage::Active) {
            return Err(ErrorCode::PermissionDenied);
        }
        if !subscription.traits.from_subscription_token || request.token.is_empty() {
            return Err(ErrorCode::BadRequest);
        }
        let token = self.verify_subscription_token(&channel, &request.token, now)?;
        let info = token.subscription.info;
        let Some(subscription) = self.subscriptions.get_mut(&channel) else {
            return Err(ErrorCode::PermissionDenied);
        };
        subscription.expires_at = token.expires_at;
        let changed = subscription.traits.presence && subscription.info != info;
        subscription.info = info.clone();
        self.watch(self.subscription_deadline(token.expires_at));
        if changed {
            self.enter(channel, info);
        }
        Ok(SubRefreshResult {
            expires: token.expires_at.is_some(),
            ttl: token.expires_at.map_or(0, |at| wire::ttl(at, now)),
            ..SubRefreshResult::default()
        })
    }
}
