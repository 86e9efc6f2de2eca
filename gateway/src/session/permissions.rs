//! Who may do what in a channel.

use campanile_common::{ChannelName, ErrorCode, Timestamp};

use super::Session;
use super::command::SubscriptionSettings;
use crate::auth::{SubscriptionToken, TokenError};
use crate::config::options::{Allow, NamespaceOptions};

/// That a client may subscribe, and how.
#[derive(Default)]
pub(super) struct Grant {
    pub(super) settings: SubscriptionSettings,
    /// It comes from a subscription token, which the client can renew.
    pub(super) by_token: bool,
}

/// Whether `allow` includes this client.
///
/// `anonymous` puts clients without a user on a par with the others, so an anonymous client still must be subscribed
/// where only subscribers may; where nothing else is allowed, it allows anonymous clients alone.
pub(super) fn allows(allow: Allow, user: &str, subscribed: bool) -> bool {
    let only_anonymous = !allow.client && !allow.subscriber;
    match (user.is_empty(), allow.anonymous) {
        (true, false) => false,
        (true, true) if only_anonymous => true,
        _ => allow.client || (allow.subscriber && subscribed),
    }
}

impl Session {
    /// The rules of a channel that a client names.
    pub(super) fn resolve(&self, name: &str) -> Result<(ChannelName, &NamespaceOptions), ErrorCode> {
        let channels = &self.context.channels;
        let channel = channels.syntax.parse(name).map_err(|_| ErrorCode::BadRequest)?;
        let options = channels
            .resolve(&channel)
            .map_err(|_| ErrorCode::UnknownChannel)?;
        if channels.allows_name(&channel, options) {
            Ok((channel, options))
        } else {
            Err(ErrorCode::BadRequest)
        }
    }

    /// Whether this client may do in `channel` what `allow` is about.
    pub(super) fn may(&self, allow: Allow, channel: &str, subscribed: bool) -> bool {
        self.context.client.insecure
            || allows(
                allow,
                &self.identity.user,
                subscribed || self.subscriptions.is_active(channel),
            )
    }

    /// Whether this client may subscribe. The first rule that has something to say decides.
    pub(super) fn authorize_subscribe(
        &self,
        channel: &ChannelName,
        options: &NamespaceOptions,
        token: &str,
        now: Timestamp,
    ) -> Result<Grant, ErrorCode> {
        if !token.is_empty() {
            return self.grant_by_token(channel, token, now);
        }
        if self.context.client.insecure || self.may_subscribe_without_token(channel, options) {
            Ok(Grant::default())
        } else {
            Err(ErrorCode::PermissionDenied)
        }
    }

    /// Whether this client may subscribe by the channel's rules alone.
    pub(super) fn may_subscribe_without_token(
        &self,
        channel: &ChannelName,
        options: &NamespaceOptions,
    ) -> bool {
        let syntax = &self.context.channels.syntax;
        let user = &*self.identity.user;
        if syntax.is_private(channel) {
            return false;
        }
        if options.allow_user_limited_channels
            && let Some(mut users) = syntax.allowed_users(channel)
        {
            return !user.is_empty() && users.any(|allowed| allowed == user);
        }
        allows(options.allow_subscribe, user, false)
    }

    fn grant_by_token(&self, channel: &ChannelName, token: &str, now: Timestamp) -> Result<Grant, ErrorCode> {
        let token = self.verify_subscription_token(channel, token, now)?;
        Ok(Grant {
            settings: SubscriptionSettings {
                info: token.subscription.info,
                data: token.subscription.data,
                expires_at: token.expires_at,
                overrides: token.subscription.overrides,
            },
            by_token: true,
        })
    }

    /// What a subscription token says, if it is for this user, connection and channel.
    pub(super) fn verify_subscription_token(
        &self,
        channel: &ChannelName,
        token: &str,
        now: Timestamp,
    ) -> Result<SubscriptionToken, ErrorCode> {
        let token = self
            .context
            .authenticator
            .subscription(token, now)
            .map_err(|error| match error {
                TokenError::Expired => ErrorCode::TokenExpired,
                TokenError::Invalid(fault) => {
                    tracing::debug!(client = %self.identity.client, %fault, "subscription token refused");
                    ErrorCode::PermissionDenied
                }
            })?;
        let is_for_this = token.subscription.channel == channel.as_str()
            && *token.user == *self.identity.user
            && token
                .client
                .as_deref()
                .is_none_or(|client| client == &*self.identity.client);
        if !is_for_this {
            return Err(ErrorCode::PermissionDenied);
        }
        match token.expires_at {
            // `expire_at` may be earlier than the token's own end.
            Some(at) if at <= now => Err(ErrorCode::Expired),
            _ => Ok(token),
        }
    }
}
