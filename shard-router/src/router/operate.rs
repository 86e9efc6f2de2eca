//! Operations on one channel at its owner: history, presence, announcements.

use std::collections::BTreeMap;
use std::time::Duration;

use campanile_common::message::ClientInfo;
use campanile_common::{ChannelName, Position};
use tokio::time::Instant;

use super::drive::new_epoch;
use super::ways::may_ask_another;
use super::{Core, Router, RouterError};
use crate::audience::Audience;
use crate::partition::Partition;
use crate::shard::{
    Announcement, HistoryPage, HistoryRange, HistoryRequest, PresencePage, Shard, ShardFuture,
};

/// Which part of a stream to read.
#[derive(Clone, Debug)]
pub struct HistoryQuery {
    /// Only publications after (in reverse: before) this position; `None` from the respective end. An empty epoch
    /// matches any.
    pub since: Option<Position>,
    /// How many at most; `None` all, 0 the position alone.
    pub limit: Option<u32>,
    /// Newest first.
    pub reverse: bool,
    /// How long the position outlives this touch.
    pub meta_ttl: Duration,
}

impl<A: Audience> Router<A> {
    /// Reads a channel's stream.
    ///
    /// # Errors
    ///
    /// [`RouterError::UnrecoverablePosition`] if `since` belongs to another incarnation of the stream.
    pub async fn history(
        &self,
        channel: &ChannelName,
        query: HistoryQuery,
    ) -> Result<HistoryPage, RouterError> {
        let partition = Partition::of(channel);
        let range = HistoryRange {
            since: query.since.as_ref().map(|position| position.offset),
            limit: query.limit,
            reverse: query.reverse,
        };
        let request = || HistoryRequest {
            channel: channel.clone(),
            range,
            meta_ttl: query.meta_ttl,
            new_epoch: new_epoch(),
        };
        let page = self
            .core
            .at_owner(partition, |shard| shard.history(partition, request()))
            .await?;
        let epoch = query
            .since
            .map(|position| position.epoch)
            .filter(|epoch| !epoch.is_empty());
        match epoch {
            Some(epoch) if epoch != page.position.epoch => Err(RouterError::UnrecoverablePosition),
            _ => Ok(page),
        }
    }

    /// Empties a channel's stream; its position stays.
    ///
    /// # Errors
    ///
    /// If the owner did not do it.
    pub async fn remove_history(&self, channel: &ChannelName) -> Result<(), RouterError> {
        let partition = Partition::of(channel);
        self.core
            .at_owner(partition, |shard| shard.remove_history(partition, channel))
            .await
    }

    /// Everyone present in a channel, by client id.
    ///
    /// # Errors
    ///
    /// If the owner could not be asked.
    pub async fn presence(&self, channel: &ChannelName) -> Result<BTreeMap<String, ClientInfo>, RouterError> {
        let partition = Partition::of(channel);
        self.core
            .at_owner(partition, |shard| shard.presence(partition, channel))
            .await
    }

    /// How many are present in a channel, and `limit` of them, a thousand at most.
    ///
    /// # Errors
    ///
    /// If the owner could not be asked.
    pub async fn presence_page(
        &self,
        channel: &ChannelName,
        limit: usize,
    ) -> Result<PresencePage, RouterError> {
        let partition = Partition::of(channel);
        self.core
            .at_owner(partition, |shard| shard.presence_page(partition, channel, limit))
            .await
    }

    /// Tells the channel's subscribers everywhere that somebody joined or left.
    ///
    /// # Errors
    ///
    /// If the owner did not do it.
    pub async fn announce(
        &self,
        channel: &ChannelName,
        announcement: Announcement,
    ) -> Result<(), RouterError> {
        let partition = Partition::of(channel);
        self.core
            .at_owner(partition, |shard| {
                shard.announce(partition, channel, announcement.clone())
            })
            .await
    }
}

impl<A: Audience> Core<A> {
    /// Carries `operation` out where the partition is served. While the partition changes hands, or its owner is being
    /// reconnected, it is tried again for `publish_wait`; only what is known to have had no effect is.
    pub(super) async fn at_owner<T>(
        &self,
        partition: Partition,
        operation: impl Fn(&dyn Shard) -> ShardFuture<T>,
    ) -> Result<T, RouterError> {
        let deadline = Instant::now() + self.config.publish_wait;
        let mut pauses = self.pauses(partition);
        let mut applied = self.applied.subscribe();
        loop {
            applied.mark_unchanged();
            let error = match self.ask(partition, &operation).await {
                Ok((result, _)) => return Ok(result),
                Err(error) if may_ask_another(&error) => error,
                Err(error) => return Err(error.into()),
            };
            let again = Instant::now() + pauses.pause();
            if again > deadline {
                return Err(error.into());
            }
            tokio::select! {
                () = tokio::time::sleep_until(again) => {}
                // Fails only when the router is gone.
                _ = applied.changed() => pauses = self.pauses(partition),
                () = self.shutdown.cancelled() => return Err(RouterError::ShutDown),
            }
        }
    }
}
