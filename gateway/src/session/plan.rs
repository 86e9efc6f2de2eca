//! How a subscription is going to be: the namespace's rules, the exceptions of a token or of the server API, and
//! what the client asked for.

use bytes::Bytes;
use campanile_common::message::{ClientInfo, SubscribeResult};
use campanile_common::{ChannelName, Position, Timestamp};
use campanile_shard_router::shard::StreamLimits;

use super::command::SubscriptionSettings;
use super::outcome::{Joined, Recovery};
use super::subscriptions::Traits;
use super::wire;
use super::{Delivery, Recover, SubscribeSpec};
use crate::auth::Switch;
use crate::config::options::{NamespaceOptions, RecoveryMode};

/// What `recovery_reason` says when the channel does not recover for this client at all.
const NOT_RECOVERABLE: &str = "not_recoverable";

/// A subscription as it is intended.
#[derive(Clone)]
pub(super) struct Plan {
    pub(super) channel: ChannelName,
    pub(super) info: Bytes,
    pub(super) data: Bytes,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) traits: Traits,
    pub(super) recoverable: bool,
    pub(super) wants_join_leave: bool,
    /// The position that the client asked to recover from, whether or not it may.
    pub(super) recover_from: Option<Position>,
    mode: RecoveryMode,
    stream: Option<StreamLimits>,
    datagrams: bool,
}

impl Plan {
    /// A subscription by the rules of its namespace and the given exceptions.
    pub(super) fn new(
        channel: ChannelName,
        options: &NamespaceOptions,
        settings: SubscriptionSettings,
    ) -> Self {
        let with = |switch: Option<Switch>, default: bool| switch.map_or(default, |switch| switch.value);
        let SubscriptionSettings {
            info,
            data,
            expires_at,
            overrides,
        } = settings;
        let stream = options.stream();
        // Without a stream there is no position, whatever the configuration promises.
        let recoverable = stream.is_some() && with(overrides.force_recovery, options.force_recovery);
        let positioned = stream.is_some() && with(overrides.force_positioning, options.force_positioning);
        let traits = Traits {
            positioned: positioned || recoverable,
            presence: with(overrides.presence, options.presence),
            join_leave: with(overrides.join_leave, options.join_leave),
            ..Traits::default()
        };
        Self {
            channel,
            info,
            data,
            expires_at,
            traits,
            recoverable,
            wants_join_leave: with(overrides.force_push_join_leave, options.force_push_join_leave),
            recover_from: None,
            mode: options.recovery_mode,
            stream,
            datagrams: options.quic_datagrams,
        }
    }

    /// The client asked to be told when continuity is lost, and may.
    pub(super) fn grant_positioning(&mut self) {
        self.traits.positioned |= self.stream.is_some();
    }

    /// The client asked to recover, and may.
    pub(super) fn grant_recovery(&mut self) {
        self.recoverable |= self.stream.is_some();
        self.grant_positioning();
    }

    /// The same as the driver is told, for a client that can be told the subscription's number.
    pub(super) fn spec(&self, info: ClientInfo, recovery_limit: u32) -> SubscribeSpec {
        let recover = |position| Recover {
            position,
            mode: self.mode,
        };
        SubscribeSpec {
            stream: self.stream,
            positioned: self.traits.positioned,
            recover: self
                .recover_from
                .clone()
                .filter(|_| self.recoverable)
                .map(recover),
            recovery_limit,
            presence: self.traits.presence.then_some(info),
            wants_join_leave: self.wants_join_leave,
            delivery: if self.datagrams {
                Delivery::Datagrams
            } else {
                Delivery::Stream
            },
        }
    }

    /// What the client is told of the subscription that came of it.
    pub(super) fn result(&self, joined: Joined, now: Timestamp) -> SubscribeResult {
        let mut result = SubscribeResult {
            expires: self.expires_at.is_some(),
            ttl: self.expires_at.map_or(0, |at| wire::ttl(at, now)),
            recoverable: self.recoverable,
            positioned: self.traits.positioned,
            data: self.data.clone(),
            was_recovering: self.recover_from.is_some(),
            id: joined.lane.map_or(0, i64::from),
            ..SubscribeResult::default()
        };
        if let Some(position) = joined.position.filter(|_| self.traits.positioned) {
            result.epoch = position.epoch.as_str().into();
            result.offset = position.offset.get();
        }
        match (joined.recovery, &self.recover_from) {
            (Recovery::Recovered, Some(since)) => {
                result.recovered = true;
                // SDKs count on from the position that they had, publication by publication.
                result.offset = since.offset.get();
                result.publications = joined
                    .publications
                    .iter()
                    .map(|found| (&**found).into())
                    .collect();
            }
            (Recovery::Lost(reason), Some(_)) => result.recovery_reason = reason.label().into(),
            (_, Some(_)) => result.recovery_reason = NOT_RECOVERABLE.into(),
            (_, None) => {}
        }
        result
    }
}
