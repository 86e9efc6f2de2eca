//! One gateway's way to a memory server.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use campanile_common::message::ClientInfo;
use campanile_common::{ChannelName, Position, Timestamp};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use super::link;
use super::server::{MemoryServer, Submitted};
use super::shared::{Shared, collect, link_is_down};
use super::state::{LinkKey, MemoryState};
use crate::fence::{FenceCommand, FenceReply, OwnerRecord};
use crate::partition::Partition;
use crate::shard::intent::Intent;
use crate::shard::metrics::{Operation, ShardMetrics};
use crate::shard::{
    Announcement, CopyItem, CopyPart, CopyScope, DirtyPage, HistoryPage, HistoryRequest, PositionRequest,
    PresenceEntry, PresencePage, Probe, PublishOutcome, PublishRequest, ScanCursor, Shard, ShardError,
    ShardEvents, ShardFuture, ShardOptions, ShardStatus, ShardUsage, lane_of,
};
use crate::topology::{DeploymentId, Generation, Incarnation, ShardId, Token};

/// One gateway's way to a [`MemoryServer`].
pub struct MemoryShard(Arc<Shared>);

impl MemoryShard {
    /// Opens the way to `server` and spawns its tasks; nothing is trusted yet.
    #[must_use]
    pub fn open(
        id: ShardId,
        server: Arc<MemoryServer>,
        events: &Arc<dyn ShardEvents>,
        options: ShardOptions,
    ) -> Self {
        let links = options.links.max(1);
        let shared = Arc::new(Shared {
            metrics: ShardMetrics::new(&id),
            id,
            server,
            options,
            intent: watch::Sender::default(),
            links: Mutex::new(vec![None; usize::from(links)]),
            unanswered: AtomicBool::new(false),
        });
        for lane in 0..links {
            tokio::spawn(link::keep_up(Arc::clone(&shared), lane, Arc::clone(events)));
        }
        tokio::spawn(collect(Arc::clone(&shared)));
        Self(shared)
    }

    /// Submits a data operation on the trusted run.
    fn data<T: Send + 'static>(
        &self,
        operation: Operation,
        act: impl FnOnce(&mut MemoryState, Timestamp) -> Result<T, ShardError> + Send + 'static,
    ) -> ShardFuture<T> {
        let submitted = match self.0.trusted_run() {
            Ok(run) => self.0.server.submit(Some(&run), act),
            Err(error) => Submitted::Answered(Err(error)),
        };
        self.answer(operation, submitted)
    }

    /// Submits a coordinator's operation on the run it names.
    fn admin<T: Send + 'static>(
        &self,
        operation: Operation,
        on: Option<&Incarnation>,
        act: impl FnOnce(&mut MemoryState, Timestamp) -> Result<T, ShardError> + Send + 'static,
    ) -> ShardFuture<T> {
        self.answer(operation, self.0.server.submit(on, act))
    }

    fn answer<T: Send + 'static>(&self, operation: Operation, submitted: Submitted<T>) -> ShardFuture<T> {
        let deadline = Instant::now() + self.0.options.command_timeout;
        self.0.metrics.observe(operation, async move {
            let pending = match submitted {
                Submitted::Answered(result) => return result,
                Submitted::Pending(pending) => pending,
            };
            match tokio::time::timeout_at(deadline, pending).await {
                Ok(Ok(result)) => result,
                Ok(Err(_)) => Err(ShardError::Unanswered("the memory server was stopped".to_owned())),
                Err(_) => Err(ShardError::Unanswered(
                    "the memory server did not answer in time".to_owned(),
                )),
            }
        })
    }

    /// The links of `channels`, which are one unless there are several links.
    fn links_of(&self, channels: &[(Partition, ChannelName)]) -> Result<Vec<LinkKey>, ShardError> {
        let links = self.0.links.lock();
        let link = |(partition, _): &(Partition, ChannelName)| {
            let lane = lane_of(*partition, u8::try_from(links.len()).unwrap_or(u8::MAX));
            links[usize::from(lane)]
                .as_ref()
                .map(|up| up.key)
                .ok_or_else(link_is_down)
        };
        channels.iter().map(link).collect()
    }
}

impl Drop for MemoryShard {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shard for MemoryShard {
    fn id(&self) -> &ShardId {
        &self.0.id
    }

    fn status(&self) -> ShardStatus {
        let condition = self.0.server.condition().borrow().clone();
        let intent = self.0.intent.borrow();
        if intent.closed {
            ShardStatus::Unreachable("closed".to_owned())
        } else if !condition.up {
            ShardStatus::Unreachable("the memory server is stopped".to_owned())
        } else if self.0.unanswered.load(Ordering::Relaxed) {
            ShardStatus::Unreachable("the memory server does not answer".to_owned())
        } else if intent.trusted.as_ref() != Some(&condition.run) {
            ShardStatus::Untrusted(condition.run)
        } else if !self.0.links_are_up() {
            ShardStatus::Unreachable("a Pub/Sub link is down".to_owned())
        } else {
            ShardStatus::Connected
        }
    }

    fn trust(&self, incarnation: Option<Incarnation>, admitted: Generation) {
        Intent::trust(&self.0.intent, incarnation, admitted);
    }

    fn close(&self) {
        Intent::close(&self.0.intent);
    }

    fn publish(&self, partition: Partition, request: PublishRequest) -> ShardFuture<PublishOutcome> {
        self.data(Operation::Publish, move |state, now| {
            state.publish(now, partition, request)
        })
    }

    fn announce(
        &self,
        partition: Partition,
        channel: &ChannelName,
        message: Announcement,
    ) -> ShardFuture<()> {
        let channel = channel.clone();
        self.data(Operation::Announce, move |state, _| {
            state.announce(partition, &channel, message)
        })
    }

    fn history(&self, partition: Partition, request: HistoryRequest) -> ShardFuture<HistoryPage> {
        self.data(Operation::History, move |state, now| {
            state.history(now, partition, request)
        })
    }

    fn remove_history(&self, partition: Partition, channel: &ChannelName) -> ShardFuture<()> {
        let channel = channel.clone();
        self.data(Operation::RemoveHistory, move |state, _| {
            state.remove_history(partition, &channel)
        })
    }

    fn positions(&self, requests: Vec<PositionRequest>) -> ShardFuture<Vec<Result<Position, ShardError>>> {
        self.data(Operation::Positions, move |state, now| {
            Ok(requests
                .into_iter()
                .map(|request| state.position(now, request))
                .collect())
        })
    }

    fn refresh_presence(&self, entries: Vec<PresenceEntry>) -> ShardFuture<Vec<Result<(), ShardError>>> {
        self.data(Operation::RefreshPresence, move |state, now| {
            Ok(entries
                .iter()
                .map(|entry| state.refresh_presence(now, entry))
                .collect())
        })
    }

    fn remove_presence(&self, partition: Partition, channel: &ChannelName, client: &str) -> ShardFuture<()> {
        let (channel, client) = (channel.clone(), client.to_owned());
        self.data(Operation::RemovePresence, move |state, _| {
            state.remove_presence(partition, &channel, &client)
        })
    }

    fn presence(
        &self,
        partition: Partition,
        channel: &ChannelName,
    ) -> ShardFuture<BTreeMap<String, ClientInfo>> {
        let channel = channel.clone();
        self.data(Operation::Presence, move |state, now| {
            state.presence(now, partition, &channel)
        })
    }

    fn presence_page(
        &self,
        partition: Partition,
        channel: &ChannelName,
        limit: usize,
    ) -> ShardFuture<PresencePage> {
        let channel = channel.clone();
        self.data(Operation::Presence, move |state, now| {
            state.presence_page(now, partition, &channel, limit)
        })
    }

    fn subscribe(&self, channels: Vec<(Partition, ChannelName)>) -> ShardFuture<()> {
        let links = match self.links_of(&channels) {
            Ok(links) => links,
            Err(error) => return self.answer(Operation::Subscribe, Submitted::Answered(Err(error))),
        };
        self.data(Operation::Subscribe, move |state, _| {
            let all = channels.iter().zip(&links);
            if all
                .clone()
                .all(|((partition, channel), link)| state.subscribe(*link, *partition, channel))
            {
                return Ok(());
            }
            for ((partition, channel), link) in all {
                state.unsubscribe(*link, *partition, channel);
            }
            Err(link_is_down())
        })
    }

    fn unsubscribe(&self, channels: Vec<(Partition, ChannelName)>) -> ShardFuture<()> {
        let links = match self.links_of(&channels) {
            Ok(links) => links,
            Err(error) => return self.answer(Operation::Unsubscribe, Submitted::Answered(Err(error))),
        };
        let inboxes = self.0.inboxes_of(&links);
        let done = self.data(Operation::Unsubscribe, move |state, _| {
            for ((partition, channel), link) in channels.iter().zip(&links) {
                state.unsubscribe(*link, *partition, channel);
            }
            Ok(())
        });
        Box::pin(async move {
            done.await?;
            for inbox in inboxes {
                if !inbox.passed().await {
                    return Err(link_is_down());
                }
            }
            Ok(())
        })
    }

    fn lanes(&self) -> u8 {
        self.0.options.links.max(1)
    }

    fn probe(&self) -> ShardFuture<Probe> {
        self.admin(Operation::Probe, None, |state, _| {
            Ok(Probe {
                incarnation: state.run().clone(),
                admitted: state.admitted(),
                promoted: false,
                deployment: state.deployment(),
                drain_asked: state.drain_asked(),
            })
        })
    }

    fn fence(
        &self,
        incarnation: &Incarnation,
        commands: Vec<(Partition, FenceCommand)>,
    ) -> ShardFuture<Vec<FenceReply>> {
        self.admin(Operation::Fence, Some(incarnation), move |state, _| {
            Ok(commands
                .iter()
                .map(|(partition, command)| state.fence(*partition, command))
                .collect())
        })
    }

    fn owners(&self, incarnation: &Incarnation) -> ShardFuture<Vec<(Partition, OwnerRecord)>> {
        self.admin(
            Operation::Owners,
            Some(incarnation),
            |state, _| Ok(state.owners()),
        )
    }

    fn wipe(
        &self,
        incarnation: &Incarnation,
        partitions: Vec<Partition>,
        generation: Generation,
        token: Token,
    ) -> ShardFuture<()> {
        self.admin(Operation::Wipe, Some(incarnation), move |state, _| {
            for partition in partitions {
                state.wipe(partition, generation, token);
            }
            Ok(())
        })
    }

    fn note_admitted(
        &self,
        incarnation: &Incarnation,
        generation: Generation,
        deployment: DeploymentId,
    ) -> ShardFuture<()> {
        self.admin(Operation::NoteAdmitted, Some(incarnation), move |state, _| {
            state.note_admitted(generation, deployment);
            Ok(())
        })
    }

    fn note_drained(&self, incarnation: &Incarnation, drained: bool) -> ShardFuture<()> {
        self.admin(Operation::NoteDrained, Some(incarnation), move |state, _| {
            state.note_drained(drained);
            Ok(())
        })
    }

    fn sealed(&self, partitions: Vec<Partition>) -> ShardFuture<Vec<(Partition, Generation)>> {
        self.data(Operation::Sealed, move |state, _| Ok(state.sealed(&partitions)))
    }

    fn records(
        &self,
        incarnation: &Incarnation,
        partitions: Vec<Partition>,
    ) -> ShardFuture<Vec<Option<OwnerRecord>>> {
        self.admin(Operation::Records, Some(incarnation), move |state, _| {
            Ok(state.records(&partitions))
        })
    }

    fn scan(
        &self,
        incarnation: &Incarnation,
        partitions: Arc<BTreeSet<Partition>>,
        scope: CopyScope,
        cursor: ScanCursor,
    ) -> ShardFuture<(Vec<CopyItem>, Option<ScanCursor>)> {
        self.admin(Operation::Scan, Some(incarnation), move |state, _| {
            Ok(state.scan(&partitions, scope, &cursor))
        })
    }

    fn dirty(
        &self,
        incarnation: &Incarnation,
        generation: Generation,
        since: Vec<(Partition, u64)>,
        scope: CopyScope,
    ) -> ShardFuture<Vec<Option<DirtyPage>>> {
        self.admin(Operation::Dirty, Some(incarnation), move |state, _| {
            Ok(state.dirty(generation, &since, scope))
        })
    }

    fn copy(
        &self,
        incarnation: &Incarnation,
        generation: Generation,
        items: Vec<CopyItem>,
    ) -> ShardFuture<Vec<Option<CopyPart>>> {
        self.admin(Operation::Copy, Some(incarnation), move |state, now| {
            state.copy(now, generation, &items)
        })
    }

    fn restore(
        &self,
        incarnation: &Incarnation,
        generation: Generation,
        token: Token,
        parts: Vec<CopyPart>,
    ) -> ShardFuture<Vec<bool>> {
        self.admin(Operation::Restore, Some(incarnation), move |state, now| {
            state.restore(now, generation, token, &parts)
        })
    }

    fn clean(&self, incarnation: &Incarnation, partitions: Vec<(Partition, Generation)>) -> ShardFuture<()> {
        self.admin(Operation::Clean, Some(incarnation), move |state, _| {
            state.clean(&partitions);
            Ok(())
        })
    }

    fn usage(&self, incarnation: &Incarnation) -> ShardFuture<ShardUsage> {
        self.admin(Operation::Usage, Some(incarnation), |state, _| Ok(state.usage()))
    }
}
