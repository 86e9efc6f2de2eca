//! The connect command: who it is, then the subscriptions that the server makes, then the answer.

use std::collections::BTreeMap;

use campanile_common::message::{
    ConnectRequest, ConnectResult, SubscribeRequest, SubscribeResult, SubscriptionEntry,
};
use campanile_common::{
    ChannelName, Disconnect, DisconnectCode, Epoch, ErrorCode, Offset, Position, Timestamp,
};

use super::command::SubscriptionSettings;
use super::pending::{Origin, Request};
use super::plan::Plan;
use super::{Effect, Phase, Session};
use crate::auth::{ConnectionToken, ServerSubscription, TokenError};

/// A connect command that is being carried out.
#[derive(Default)]
pub(super) struct Connecting {
    command: u32,
    pub(super) expires_at: Option<Timestamp>,
    /// Whether the connection is known, and the subscriptions that are planned have begun.
    registered: bool,
    /// Subscriptions that wait for that.
    pub(super) planned: Vec<Plan>,
    /// How many are being made.
    pub(super) joining: usize,
    /// Those that were made.
    pub(super) results: BTreeMap<String, SubscribeResult>,
}

/// Why a client is not connected.
#[derive(Clone, Copy)]
enum Refusal {
    /// It is told, and may try again with another token.
    Error(ErrorCode),
    /// It is thrown out.
    Close(DisconnectCode),
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Self::Error(code)
    }
}

impl Session {
    pub(super) fn handle_connect(&mut self, now: Timestamp, command: u32, request: ConnectRequest) {
        match self.prepare_connect(now, command, request) {
            Ok(connecting) => {
                self.timers.stale = None;
                self.phase = Phase::Connecting(Box::new(connecting));
                let request = self.pending.add(Request::Register);
                let user = self.identity.user.to_string();
                self.effect(Effect::Register { request, user });
            }
            Err(refusal) => self.refuse_connect(command, refusal),
        }
    }

    fn prepare_connect(
        &mut self,
        now: Timestamp,
        command: u32,
        request: ConnectRequest,
    ) -> Result<Connecting, Refusal> {
        let token = self.authenticate(now, &request.token)?;
        self.identity.user = token.user.into_boxed_str();
        self.identity.info = token.info;
        let planned = self.plan_subscriptions(token.subscriptions, request.subs)?;
        if planned.len() > self.context.client.channel_limit {
            return Err(Refusal::Close(DisconnectCode::ChannelLimit));
        }
        let expires_at = token.expires_at.filter(|_| !self.context.client.insecure);
        if expires_at.is_some_and(|at| at <= now) {
            return Err(ErrorCode::Expired.into());
        }
        Ok(Connecting {
            command,
            expires_at,
            planned,
            ..Connecting::default()
        })
    }

    fn authenticate(&self, now: Timestamp, token: &str) -> Result<ConnectionToken, Refusal> {
        let client = &self.context.client;
        if token.is_empty() {
            return if client.insecure || client.allow_anonymous_connect_without_token {
                Ok(ConnectionToken::default())
            } else {
                Err(Refusal::Close(DisconnectCode::BadRequest))
            };
        }
        let token = self
            .context
            .authenticator
            .connection(token, now)
            .map_err(|error| match error {
                TokenError::Expired => Refusal::Error(ErrorCode::TokenExpired),
                TokenError::Invalid(fault) => {
                    tracing::debug!(client = %self.identity.client, %fault, "connection token refused");
                    Refusal::Close(DisconnectCode::InvalidToken)
                }
            })?;
        if token.user.is_empty() && client.disallow_anonymous_connection_tokens {
            return Err(Refusal::Close(DisconnectCode::PermissionDenied));
        }
        Ok(token)
    }

    /// The subscriptions that the server makes: those of the token, the user's own channel, and those that the
    /// client wants back and could as well make itself.
    fn plan_subscriptions(
        &self,
        granted: Vec<ServerSubscription>,
        mut wanted: BTreeMap<String, SubscribeRequest>,
    ) -> Result<Vec<Plan>, ErrorCode> {
        let mut plans = BTreeMap::new();
        for subscription in granted {
            let mut plan = self.plan_granted(subscription)?;
            plan.traits.from_connection_token = true;
            plans.insert(plan.channel.clone(), plan);
        }
        if let Some(channel) = self.personal_channel() {
            let plan = self.plan_granted(ServerSubscription {
                channel,
                ..ServerSubscription::default()
            })?;
            plans.entry(plan.channel.clone()).or_insert(plan);
        }
        for name in wanted.keys() {
            if let Some(plan) = self.plan_wanted(name) {
                plans.entry(plan.channel.clone()).or_insert(plan);
            }
        }
        for (channel, plan) in &mut plans {
            let position = wanted.remove(channel.as_str()).filter(|request| request.recover);
            plan.recover_from = position.map(|request| recover_position(&request));
        }
        Ok(plans.into_values().collect())
    }

    fn plan_granted(&self, subscription: ServerSubscription) -> Result<Plan, ErrorCode> {
        let channels = &self.context.channels;
        let channel = channels
            .syntax
            .parse(&subscription.channel)
            .map_err(|_| ErrorCode::BadRequest)?;
        let settings = SubscriptionSettings {
            info: subscription.info,
            data: subscription.data,
            expires_at: None,
            overrides: subscription.overrides,
        };
        self.plan_server_side(channel, settings)
    }

    /// A subscription that the server makes, by the rules of the channel's namespace.
    pub(super) fn plan_server_side(
        &self,
        channel: ChannelName,
        settings: SubscriptionSettings,
    ) -> Result<Plan, ErrorCode> {
        let options = self
            .context
            .channels
            .resolve(&channel)
            .map_err(|_| ErrorCode::UnknownChannel)?;
        let mut plan = Plan::new(channel, options, settings);
        plan.traits.server_side = true;
        Ok(plan)
    }

    fn plan_wanted(&self, name: &str) -> Option<Plan> {
        let (channel, options) = self.resolve(name).ok()?;
        let insecure = self.context.client.insecure && !self.context.channels.syntax.is_private(&channel);
        let allowed = insecure || self.may_subscribe_without_token(&channel, options);
        let mut plan =
            allowed.then(|| Plan::new(channel.clone(), options, SubscriptionSettings::default()))?;
        plan.traits.server_side = true;
        Some(plan)
    }

    fn personal_channel(&self) -> Option<String> {
        let personal = self.context.client.personal_channel.as_ref()?;
        let (syntax, user) = (&self.context.channels.syntax, &self.identity.user);
        let namespace = personal
            .namespace
            .iter()
            .flat_map(|name| [name.as_str(), &syntax.namespace_boundary]);
        let name = namespace.chain([syntax.user_boundary.as_str(), user]).collect();
        (!user.is_empty()).then_some(name)
    }

    fn refuse_connect(&mut self, command: u32, refusal: Refusal) {
        match refusal {
            Refusal::Error(code) => {
                self.phase = Phase::Refused;
                self.refuse(command, code);
            }
            Refusal::Close(code) => self.close(code),
        }
    }

    pub(super) fn finish_register(&mut self, now: Timestamp, registered: Result<(), Disconnect>) {
        if let Err(disconnect) = registered {
            return self.close(disconnect);
        }
        let Phase::Connecting(connecting) = &mut self.phase else {
            return;
        };
        connecting.registered = true;
        for plan in std::mem::take(&mut connecting.planned) {
            self.begin_subscription(plan, Origin::Connect);
        }
        self.finish_connect_if_ready(now);
    }

    /// Takes up a subscription that the server wants before any has begun. Gives it back if they have.
    pub(super) fn plan_early(&mut self, plan: Plan) -> Option<Plan> {
        match &mut self.phase {
            Phase::Connecting(connecting) if !connecting.registered => {
                connecting.planned.push(plan);
                None
            }
            _ => Some(plan),
        }
    }

    /// The subscriptions that there are or will be, by channel.
    pub(super) fn channels(&self) -> impl Iterator<Item = &str> {
        let planned = match &self.phase {
            Phase::Connecting(connecting) => connecting.planned.as_slice(),
            _ => &[],
        };
        let made = self
            .subscriptions
            .iter()
            .map(|subscription| subscription.channel.as_str());
        made.chain(planned.iter().map(|plan| plan.channel.as_str()))
    }

    /// Answers the connect command once no subscription is being made for it any more.
    pub(super) fn finish_connect_if_ready(&mut self, now: Timestamp) {
        let Phase::Connecting(connecting) = &mut self.phase else {
            return;
        };
        if !connecting.registered || connecting.joining > 0 {
            return;
        }
        let connecting = std::mem::take(&mut **connecting);
        self.phase = Phase::Connected;
        self.set_expiry(connecting.expires_at);
        self.start_pings(now);
        let result = self.connect_result(now, connecting.expires_at, connecting.results);
        self.answer(connecting.command, result);
    }

    fn connect_result(
        &self,
        now: Timestamp,
        expires_at: Option<Timestamp>,
        subs: BTreeMap<String, SubscribeResult>,
    ) -> ConnectResult {
        let client = &self.context.client;
        let time = if client.connect_include_server_time {
            now.as_millis()
        } else {
            0
        };
        ConnectResult {
            client: self.identity.client.to_string(),
            version: self.context.version.clone(),
            expires: expires_at.is_some(),
            ttl: expires_at.map_or(0, |at| super::wire::ttl(at, now)),
            subs: subs
                .into_iter()
                .map(|(channel, result)| SubscriptionEntry::new(channel, result))
                .collect(),
            ping: u32::try_from(client.ping_interval.as_secs()).unwrap_or(u32::MAX),
            pong: self.expects_pongs(),
            time: i64::try_from(time).unwrap_or(i64::MAX),
            ..ConnectResult::default()
        }
    }

    /// The connection expires then.
    pub(super) fn set_expiry(&mut self, expires_at: Option<Timestamp>) {
        self.timers.expired = expires_at.map(|at| at + self.context.client.expired_close_delay);
    }
}

/// Where a client wants to go on.
pub(super) fn recover_position(request: &SubscribeRequest) -> Position {
    Position::new(Epoch::new(request.epoch.as_str()), Offset(request.offset))
}
