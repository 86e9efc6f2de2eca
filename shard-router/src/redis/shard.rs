//! One gateway's way to a Redis server.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use ::redis::{Cmd, Value};
use campanile_common::message::ClientInfo;
use campanile_common::{ChannelName, Position};
use futures_util::future::join_all;
use tokio::sync::watch;

use super::admin::{self, Sessions};
use super::connection::Connector;
use super::context::TaskContext;
use super::health::Health;
use super::lane::Lane;
use super::link::{Change, Link};
use super::watching::Watching;
use super::{reply, scripts};
use crate::fence::{FenceCommand, FenceReply, OwnerRecord, OwnerState};
use crate::partition::Partition;
use crate::shard::intent::Intent;
use crate::shard::metrics::{Operation, ShardMetrics};
use crate::shard::{
    Announcement, CopyItem, CopyPart, CopyScope, DirtyPage, HistoryPage, HistoryRequest, PositionRequest,
    PresenceEntry, PresencePage, Probe, PublishOutcome, PublishRequest, ScanCursor, Shard, ShardError,
    ShardEvents, ShardFuture, ShardOptions, ShardStatus, ShardUsage, lane_of,
};
use crate::topology::{DeploymentId, Generation, Incarnation, ShardId, Token};

/// One gateway's way to a Redis server.
pub struct RedisShard {
    id: ShardId,
    connector: Arc<Connector>,
    sessions: Arc<Sessions>,
    health: Arc<Health>,
    metrics: Arc<ShardMetrics>,
    intent: watch::Sender<Intent>,
    takeovers: watch::Sender<u64>,
    lanes: Vec<Lane>,
    links: Arc<[Link]>,
}

impl RedisShard {
    /// Spawns the shard's tasks; nothing is trusted yet.
    pub(super) fn open(
        id: ShardId,
        connector: Arc<Connector>,
        events: &Arc<dyn ShardEvents>,
        options: ShardOptions,
    ) -> Self {
        let (lanes, links) = (options.lanes.max(1), options.links.max(1));
        let health = Arc::new(Health::new(usize::from(lanes) + usize::from(links)));
        let intent = watch::Sender::new(Intent::default());
        let metrics = Arc::new(ShardMetrics::new(&id));
        let context = TaskContext {
            shard: id.clone(),
            connector: Arc::clone(&connector),
            health: Arc::clone(&health),
            metrics: Arc::clone(&metrics),
            intent: intent.subscribe(),
            options,
            complaints: Arc::default(),
        };
        let link = |lane: u8| {
            Link::open(
                &context,
                lane,
                usize::from(lanes) + usize::from(lane),
                Arc::clone(events),
            )
        };
        let takeovers = watch::Sender::new(0);
        let watching = Watching {
            shard: id.clone(),
            connector: Arc::clone(&connector),
            intent: intent.clone(),
            takeovers: takeovers.clone(),
        };
        tokio::spawn(watching.run());
        Self {
            lanes: (0..lanes)
                .map(|lane| Lane::open(&context, usize::from(lane)))
                .collect(),
            links: (0..links).map(link).collect(),
            id,
            sessions: Arc::new(Sessions::new(Arc::clone(&connector))),
            connector,
            health,
            metrics,
            intent,
            takeovers,
        }
    }

    fn lane(&self, partition: Partition) -> usize {
        partition.index() % self.lanes.len()
    }

    /// Submits one command now; `read` makes sense of the answer.
    fn call<T: 'static>(
        &self,
        operation: Operation,
        partition: Partition,
        command: Cmd,
        read: impl FnOnce(Value) -> Result<T, ShardError> + Send + 'static,
    ) -> ShardFuture<T> {
        let answer = self.lanes[self.lane(partition)].submit(command);
        self.metrics
            .observe(operation, async move { read(answer.await?) })
    }

    /// Submits one command for each item now, those of one lane together; the answers are in the items' order.
    fn call_each<T: Send + 'static>(
        &self,
        operation: Operation,
        commands: impl IntoIterator<Item = (Partition, Cmd)>,
        read: impl Fn(Value) -> Result<T, ShardError> + Send + 'static,
    ) -> ShardFuture<Vec<Result<T, ShardError>>> {
        let mut by_lane: Vec<Vec<Cmd>> = self.lanes.iter().map(|_| Vec::new()).collect();
        let mut order = Vec::new();
        for (partition, command) in commands {
            let lane = self.lane(partition);
            order.push(lane);
            by_lane[lane].push(command);
        }
        let submitted = self.lanes.iter().zip(by_lane).map(|(lane, commands)| {
            // Nothing to ask a lane is nothing that can fail.
            (!commands.is_empty()).then(|| lane.submit_all(commands))
        });
        let submitted: Vec<_> = submitted.collect();
        self.metrics.observe(operation, async move {
            let answered = join_all(submitted.into_iter().map(|asked| async move {
                match asked {
                    Some(answers) => answers.await.map(Vec::into_iter),
                    None => Ok(Vec::new().into_iter()),
                }
            }));
            let mut answered = answered.await;
            let next = |lane: usize| match &mut answered[lane] {
                Ok(answers) => read(answers.next().unwrap_or(Value::Nil)),
                Err(error) => Err(error.clone()),
            };
            Ok(order.into_iter().map(next).collect())
        })
    }

    /// Starts a coordinator's work now.
    fn admin<T: Send + 'static>(
        &self,
        operation: Operation,
        work: impl Future<Output = Result<T, ShardError>> + Send + 'static,
    ) -> ShardFuture<T> {
        let task = tokio::spawn(work);
        self.metrics.observe(operation, async move {
            task.await
                .unwrap_or_else(|_| Err(ShardError::Unanswered("the work was given up".to_owned())))
        })
    }

    /// The channels of each link.
    fn by_link(
        &self,
        channels: Vec<(Partition, ChannelName)>,
    ) -> Vec<(usize, Vec<(Partition, ChannelName)>)> {
        let mut by_link: BTreeMap<usize, Vec<(Partition, ChannelName)>> = BTreeMap::new();
        for (partition, channel) in channels {
            let link = usize::from(lane_of(partition, self.lanes()));
            by_link.entry(link).or_default().push((partition, channel));
        }
        by_link.into_iter().collect()
    }
}

/// A link's number, and channels whose messages it carries.
type Group = (usize, Vec<(Partition, ChannelName)>);

/// Queues one change on each group's link, now.
fn submit_each(
    links: &[Link],
    groups: &[Group],
    change: Change,
) -> Vec<impl Future<Output = Result<(), ShardError>> + Send + use<>> {
    groups
        .iter()
        .map(|(link, channels)| links[*link].submit(change, channels))
        .collect()
}

impl Drop for RedisShard {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shard for RedisShard {
    fn id(&self) -> &ShardId {
        &self.id
    }

    fn status(&self) -> ShardStatus {
        self.health.status()
    }

    fn trust(&self, incarnation: Option<Incarnation>, admitted: Generation) {
        Intent::trust(&self.intent, incarnation, admitted);
    }

    fn close(&self) {
        Intent::close(&self.intent);
        self.sessions.close();
    }

    fn takeovers(&self) -> watch::Receiver<u64> {
        self.takeovers.subscribe()
    }

    fn takeover_delay(&self) -> Duration {
        self.connector.dialer().down_after()
    }

    fn publish(&self, partition: Partition, request: PublishRequest) -> ShardFuture<PublishOutcome> {
        let command = scripts::publish(&self.connector.keys, partition, &request);
        self.call(Operation::Publish, partition, command, reply::published)
    }

    fn announce(
        &self,
        partition: Partition,
        channel: &ChannelName,
        message: Announcement,
    ) -> ShardFuture<()> {
        let command = scripts::announce(&self.connector.keys, partition, channel, &message);
        self.call(Operation::Announce, partition, command, reply::done)
    }

    fn history(&self, partition: Partition, request: HistoryRequest) -> ShardFuture<HistoryPage> {
        let command = scripts::history(&self.connector.keys, partition, &request);
        let skipped = self.metrics.undecodable.clone();
        self.call(Operation::History, partition, command, move |answer| {
            reply::history(answer, &skipped)
        })
    }

    fn remove_history(&self, partition: Partition, channel: &ChannelName) -> ShardFuture<()> {
        let command = scripts::remove_history(&self.connector.keys, partition, channel);
        self.call(Operation::RemoveHistory, partition, command, reply::done)
    }

    fn positions(&self, requests: Vec<PositionRequest>) -> ShardFuture<Vec<Result<Position, ShardError>>> {
        let keys = &self.connector.keys;
        let commands = requests
            .iter()
            .map(|request| (request.partition, scripts::position(keys, request)));
        self.call_each(Operation::Positions, commands, reply::read_position)
    }

    fn refresh_presence(&self, entries: Vec<PresenceEntry>) -> ShardFuture<Vec<Result<(), ShardError>>> {
        let keys = &self.connector.keys;
        let commands = entries
            .iter()
            .map(|entry| (entry.partition, scripts::enter(keys, entry)));
        self.call_each(Operation::RefreshPresence, commands, reply::done)
    }

    fn remove_presence(&self, partition: Partition, channel: &ChannelName, client: &str) -> ShardFuture<()> {
        let command = scripts::leave(&self.connector.keys, partition, channel, client);
        self.call(Operation::RemovePresence, partition, command, reply::done)
    }

    fn presence(
        &self,
        partition: Partition,
        channel: &ChannelName,
    ) -> ShardFuture<BTreeMap<String, ClientInfo>> {
        let command = scripts::presence(&self.connector.keys, partition, channel);
        let skipped = self.metrics.undecodable.clone();
        self.call(Operation::Presence, partition, command, move |answer| {
            reply::presence(answer, &skipped)
        })
    }

    fn presence_page(
        &self,
        partition: Partition,
        channel: &ChannelName,
        limit: usize,
    ) -> ShardFuture<PresencePage> {
        let command = scripts::presence_page(&self.connector.keys, partition, channel, limit);
        let skipped = self.metrics.undecodable.clone();
        self.call(Operation::Presence, partition, command, move |answer| {
            reply::presence_page(answer, &skipped)
        })
    }

    fn subscribe(&self, channels: Vec<(Partition, ChannelName)>) -> ShardFuture<()> {
        let groups = self.by_link(channels);
        let submitted = submit_each(&self.links, &groups, Change::Subscribe);
        let links = Arc::clone(&self.links);
        self.metrics.observe(Operation::Subscribe, async move {
            let results = join_all(submitted).await;
            let failed = results.iter().find_map(|result| result.clone().err());
            let Some(error) = failed else { return Ok(()) };
            // All or none: what the other links did is undone.
            let done: Vec<_> = groups
                .into_iter()
                .zip(results)
                .filter(|(_, result)| result.is_ok())
                .collect();
            let done: Vec<_> = done.into_iter().map(|(group, _)| group).collect();
            join_all(submit_each(&links, &done, Change::Unsubscribe)).await;
            Err(error)
        })
    }

    fn unsubscribe(&self, channels: Vec<(Partition, ChannelName)>) -> ShardFuture<()> {
        let groups = self.by_link(channels);
        let submitted = submit_each(&self.links, &groups, Change::Unsubscribe);
        self.metrics.observe(Operation::Unsubscribe, async move {
            join_all(submitted).await.into_iter().collect()
        })
    }

    fn lanes(&self) -> u8 {
        u8::try_from(self.links.len()).expect("there are as many links as a u8 said")
    }

    fn probe(&self) -> ShardFuture<Probe> {
        self.admin(Operation::Probe, admin::probe(Arc::clone(&self.sessions)))
    }

    fn fence(
        &self,
        incarnation: &Incarnation,
        commands: Vec<(Partition, FenceCommand)>,
    ) -> ShardFuture<Vec<FenceReply>> {
        let work = admin::fence(Arc::clone(&self.sessions), incarnation.clone(), commands);
        self.admin(Operation::Fence, work)
    }

    fn owners(&self, incarnation: &Incarnation) -> ShardFuture<Vec<(Partition, OwnerRecord)>> {
        self.admin(
            Operation::Owners,
            admin::owners(Arc::clone(&self.sessions), incarnation.clone()),
        )
    }

    fn wipe(
        &self,
        incarnation: &Incarnation,
        partitions: Vec<Partition>,
        generation: Generation,
        token: Token,
    ) -> ShardFuture<()> {
        let partitions = partitions.into_iter().collect();
        let work = admin::wipe(
            Arc::clone(&self.sessions),
            incarnation.clone(),
            partitions,
            (generation, token),
        );
        self.admin(Operation::Wipe, work)
    }

    fn note_admitted(
        &self,
        incarnation: &Incarnation,
        generation: Generation,
        deployment: DeploymentId,
    ) -> ShardFuture<()> {
        let note = (generation, deployment);
        let work = admin::note_admitted(Arc::clone(&self.sessions), incarnation.clone(), note);
        self.admin(Operation::NoteAdmitted, work)
    }

    fn note_drained(&self, incarnation: &Incarnation, drained: bool) -> ShardFuture<()> {
        let work = admin::note_drained(Arc::clone(&self.sessions), incarnation.clone(), drained);
        self.admin(Operation::NoteDrained, work)
    }

    fn sealed(&self, partitions: Vec<Partition>) -> ShardFuture<Vec<(Partition, Generation)>> {
        let asked = partitions.clone();
        let questions = asked
            .into_iter()
            .map(|partition| (partition, scripts::owner(&self.connector.keys, partition)));
        let records = self.call_each(Operation::Sealed, questions, reply::owner_record);
        Box::pin(async move {
            let mut sealed = Vec::new();
            for (partition, record) in partitions.into_iter().zip(records.await?) {
                let record = record?.filter(|record| record.state == OwnerState::Sealed);
                sealed.extend(record.map(|record| (partition, record.generation)));
            }
            Ok(sealed)
        })
    }

    fn records(
        &self,
        incarnation: &Incarnation,
        partitions: Vec<Partition>,
    ) -> ShardFuture<Vec<Option<OwnerRecord>>> {
        let work = admin::records(Arc::clone(&self.sessions), incarnation.clone(), partitions);
        self.admin(Operation::Records, work)
    }

    fn scan(
        &self,
        incarnation: &Incarnation,
        partitions: Arc<BTreeSet<Partition>>,
        scope: CopyScope,
        cursor: ScanCursor,
    ) -> ShardFuture<(Vec<CopyItem>, Option<ScanCursor>)> {
        let sessions = Arc::clone(&self.sessions);
        let work = admin::scan(sessions, incarnation.clone(), partitions, scope, cursor);
        self.admin(Operation::Scan, work)
    }

    fn dirty(
        &self,
        incarnation: &Incarnation,
        generation: Generation,
        since: Vec<(Partition, u64)>,
        scope: CopyScope,
    ) -> ShardFuture<Vec<Option<DirtyPage>>> {
        let sessions = Arc::clone(&self.sessions);
        let work = admin::dirty(sessions, incarnation.clone(), generation, since, scope);
        self.admin(Operation::Dirty, work)
    }

    fn copy(
        &self,
        incarnation: &Incarnation,
        generation: Generation,
        items: Vec<CopyItem>,
    ) -> ShardFuture<Vec<Option<CopyPart>>> {
        let work = admin::copy(Arc::clone(&self.sessions), incarnation.clone(), generation, items);
        self.admin(Operation::Copy, work)
    }

    fn restore(
        &self,
        incarnation: &Incarnation,
        generation: Generation,
        token: Token,
        parts: Vec<CopyPart>,
    ) -> ShardFuture<Vec<bool>> {
        let sessions = Arc::clone(&self.sessions);
        let work = admin::restore(sessions, incarnation.clone(), (generation, token), parts);
        self.admin(Operation::Restore, work)
    }

    fn clean(&self, incarnation: &Incarnation, partitions: Vec<(Partition, Generation)>) -> ShardFuture<()> {
        let partitions = partitions.into_iter().collect();
        let work = admin::clean(Arc::clone(&self.sessions), incarnation.clone(), partitions);
        self.admin(Operation::Clean, work)
    }

    fn usage(&self, incarnation: &Incarnation) -> ShardFuture<ShardUsage> {
        let work = admin::usage(Arc::clone(&self.sessions), incarnation.clone());
        self.admin(Operation::Usage, work)
    }
}
