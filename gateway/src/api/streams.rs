//! `history`, `history_remove`, `presence` and `presence_stats`.

use std::collections::{BTreeMap, BTreeSet};

use campanile_common::message::ClientInfo;
use campanile_common::{ChannelName, ErrorCode};
use campanile_shard_router::audience::Audience;
use campanile_shard_router::router::HistoryQuery;
use campanile_shard_router::shard::StreamLimits;

use super::results::{Done, History, Presence, PresenceStats};
use super::{Api, ApiError, params};

impl<A: Audience> Api<A> {
    pub(super) async fn history(&self, params: params::History) -> Result<History, ApiError> {
        let (channel, stream) = self.stream(&params.channel)?;
        let query = HistoryQuery {
            since: params.since.map(Into::into),
            limit: limit(params.limit),
            reverse: params.reverse,
            meta_ttl: stream.meta_ttl,
        };
        let page = self.router.history(&channel, query).await?;
        Ok(History {
            publications: page.publications.iter().map(Into::into).collect(),
            offset: page.position.offset.get(),
            epoch: page.position.epoch.as_str().to_owned(),
        })
    }

    pub(super) async fn history_remove(&self, params: params::Channel) -> Result<Done, ApiError> {
        let (channel, _) = self.stream(&params.channel)?;
        self.router.remove_history(&channel).await?;
        Ok(Done {})
    }

    pub(super) async fn presence(&self, params: params::Channel) -> Result<Presence, ApiError> {
        let presence = self.present(&params.channel).await?;
        Ok(Presence { presence })
    }

    pub(super) async fn presence_stats(&self, params: params::Channel) -> Result<PresenceStats, ApiError> {
        let present = self.present(&params.channel).await?;
        let users: BTreeSet<&str> = present.values().map(|info| info.user.as_str()).collect();
        Ok(PresenceStats {
            num_clients: present.len(),
            num_users: users.len(),
        })
    }

    async fn present(&self, channel: &str) -> Result<BTreeMap<String, ClientInfo>, ApiError> {
        let channels = self.channels.get();
        let (channel, options) = super::channel(&channels, channel)?;
        if !options.presence {
            return Err(ErrorCode::NotAvailable.into());
        }
        Ok(self.router.presence(&channel).await?)
    }

    /// The channel of that name and the stream that it keeps.
    fn stream(&self, channel: &str) -> Result<(ChannelName, StreamLimits), ApiError> {
        let channels = self.channels.get();
        let (channel, options) = super::channel(&channels, channel)?;
        let stream = options.stream().ok_or(ErrorCode::NotAvailable)?;
        Ok((channel, stream))
    }
}

/// How many publications are asked for; a negative number asks for all.
fn limit(limit: i64) -> Option<u32> {
    (limit >= 0).then(|| u32::try_from(limit).unwrap_or(u32::MAX))
}
