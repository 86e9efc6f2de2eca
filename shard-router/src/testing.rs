//! Stores and shards that fail when they are told to, and nobody to listen to them.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use campanile_common::message::ClientInfo;
use campanile_common::{ChannelName, Position};
use tokio::sync::{mpsc, watch};

use crate::fence::{FenceCommand, FenceReply, OwnerRecord};
use crate::partition::Partition;
use crate::publication::ShardMessage;
use crate::shard::{
    Announcement, CopyItem, CopyPart, CopyScope, DirtyPage, HistoryPage, HistoryRequest, LinkId,
    PositionRequest, PresenceEntry, PresencePage, Probe, PublishOutcome, PublishRequest, ScanCursor, Shard,
    ShardError, ShardEvents, ShardFuture, ShardStatus, ShardUsage,
};
use crate::store::{GatewayId, GatewayReport, StoreError, StoreFuture, TopologyStore};
use crate::topology::{DeploymentId, Generation, Incarnation, ShardId, Token, Topology};

/// Hears nothing of what a shard says.
pub(crate) struct Deaf;

impl ShardEvents for Deaf {
    fn message(&self, _: &LinkId, _: &str, _: ShardMessage) {}
    fn marker(&self, _: &LinkId, _: Partition, _: Generation) {}
    fn link_up(&self, _: &LinkId) {}
    fn link_down(&self, _: &LinkId) {}
}

/// What becomes of one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is carried out.
    Pass,
    /// It is not carried out, and an error.
    Fail,
    /// It is not carried out and never answered.
    Hang,
    /// It is carried out and never answered.
    DoAndHang,
    /// It is carried out after a while.
    Late(Duration),
}

/// Asked once for each operation.
pub(crate) type Judge = Arc<dyn Fn() -> Verdict + Send + Sync>;

type Answer<'a, T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'a>>;

fn judged<'a, T: Send + 'a, E: Send + 'a>(
    judge: &'a Judge,
    operation: impl FnOnce() -> Answer<'a, T, E> + Send + 'a,
    failure: E,
) -> Answer<'a, T, E> {
    Box::pin(async move {
        match judge() {
            Verdict::Pass => operation().await,
            Verdict::Late(delay) => {
                tokio::time::sleep(delay).await;
                operation().await
            }
            Verdict::Fail => Err(failure),
            Verdict::Hang => std::future::pending().await,
            Verdict::DoAndHang => {
                let _ = operation().await;
                std::future::pending().await
            }
        }
    })
}

/// A store behind a judge. Notifications are not judged: they come or not in any case.
pub(crate) struct InterceptedStore {
    inner: Arc<dyn TopologyStore>,
    judge: Judge,
}

impl InterceptedStore {
    pub(crate) fn new(inner: Arc<dyn TopologyStore>, judge: Judge) -> Self {
        Self { inner, judge }
    }

    fn judged<'a, T: Send + 'a>(
        &'a self,
        operation: impl FnOnce() -> StoreFuture<'a, T> + Send + 'a,
    ) -> StoreFuture<'a, T> {
        judged(&self.judge, operation, StoreError::Unavailable("cut".to_owned()))
    }
}

impl TopologyStore for InterceptedStore {
    fn read(&self) -> StoreFuture<'_, Option<Topology>> {
        self.judged(|| self.inner.read())
    }

    fn compare_and_set<'a>(
        &'a self,
        expected: Option<&'a Topology>,
        next: &'a Topology,
    ) -> StoreFuture<'a, bool> {
        self.judged(move || self.inner.compare_and_set(expected, next))
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changes()
    }

    fn register<'a>(
        &'a self,
        gateway: &'a GatewayId,
        report: &'a GatewayReport,
        must_exist: bool,
    ) -> StoreFuture<'a, bool> {
        self.judged(move || self.inner.register(gateway, report, must_exist))
    }

    fn deregister<'a>(&'a self, gateway: &'a GatewayId) -> StoreFuture<'a, ()> {
        self.judged(|| self.inner.deregister(gateway))
    }

    fn gateways(&self) -> StoreFuture<'_, Vec<(GatewayId, GatewayReport)>> {
        self.judged(|| self.inner.gateways())
    }

    fn hold_lease<'a>(&'a self, gateway: &'a GatewayId) -> StoreFuture<'a, bool> {
        self.judged(|| self.inner.hold_lease(gateway))
    }

    fn release_lease<'a>(&'a self, gateway: &'a GatewayId) -> StoreFuture<'a, ()> {
        self.judged(|| self.inner.release_lease(gateway))
    }

    fn next_token(&self) -> StoreFuture<'_, Token> {
        self.judged(|| self.inner.next_token())
    }

    fn broadcast(&self, message: Bytes) -> StoreFuture<'_, ()> {
        self.judged(|| self.inner.broadcast(message))
    }

    fn send<'a>(&'a self, to: &'a GatewayId, message: Bytes) -> StoreFuture<'a, ()> {
        self.judged(|| self.inner.send(to, message))
    }

    fn listen<'a>(&'a self, gateway: &'a GatewayId) -> StoreFuture<'a, mpsc::Receiver<Bytes>> {
        self.judged(|| self.inner.listen(gateway))
    }

    fn status(&self) -> Result<(), String> {
        self.inner.status()
    }

    fn notes(&self) -> Vec<String> {
        self.inner.notes()
    }
}

/// A shard whose coordinator's operations are behind a judge; the gateways' pass.
pub(crate) struct InterceptedShard {
    inner: Arc<dyn Shard>,
    judge: Judge,
}

impl InterceptedShard {
    pub(crate) fn new(inner: Arc<dyn Shard>, judge: Judge) -> Self {
        Self { inner, judge }
    }

    fn judged<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&dyn Shard) -> ShardFuture<T> + Send + 'static,
    ) -> ShardFuture<T> {
        let (inner, judge) = (Arc::clone(&self.inner), Arc::clone(&self.judge));
        Box::pin(async move {
            let failure = ShardError::Unavailable("cut".to_owned());
            judged(&judge, move || operation(&*inner), failure).await
        })
    }
}

impl Shard for InterceptedShard {
    fn id(&self) -> &ShardId {
        self.inner.id()
    }

    fn status(&self) -> ShardStatus {
        self.inner.status()
    }

    fn trust(&self, incarnation: Option<Incarnation>, admitted: Generation) {
        self.inner.trust(incarnation, admitted);
    }

    fn close(&self) {
        self.inner.close();
    }

    fn publish(&self, partition: Partition, request: PublishRequest) -> ShardFuture<PublishOutcome> {
        self.inner.publish(partition, request)
    }

    fn announce(
        &self,
        partition: Partition,
        channel: &ChannelName,
        message: Announcement,
    ) -> ShardFuture<()> {
        self.inner.announce(partition, channel, message)
    }

    fn history(&self, partition: Partition, request: HistoryRequest) -> ShardFuture<HistoryPage> {
        self.inner.history(partition, request)
    }

    fn remove_history(&self, partition: Partition, channel: &ChannelName) -> ShardFuture<()> {
        self.inner.remove_history(partition, channel)
    }

    fn positions(&self, requests: Vec<PositionRequest>) -> ShardFuture<Vec<Result<Position, ShardError>>> {
        self.inner.positions(requests)
    }

    fn refresh_presence(&self, entries: Vec<PresenceEntry>) -> ShardFuture<Vec<Result<(), ShardError>>> {
        self.inner.refresh_presence(entries)
    }

    fn remove_presence(&self, partition: Partition, channel: &ChannelName, client: &str) -> ShardFuture<()> {
        self.inner.remove_presence(partition, channel, client)
    }

    fn presence(
        &self,
        partition: Partition,
        channel: &ChannelName,
    ) -> ShardFuture<BTreeMap<String, ClientInfo>> {
        self.inner.presence(partition, channel)
    }

    fn presence_page(
        &self,
        partition: Partition,
        channel: &ChannelName,
        limit: usize,
    ) -> ShardFuture<PresencePage> {
        self.inner.presence_page(partition, channel, limit)
    }

    fn subscribe(&self, channels: Vec<(Partition, ChannelName)>) -> ShardFuture<()> {
        self.inner.subscribe(channels)
    }

    fn unsubscribe(&self, channels: Vec<(Partition, ChannelName)>) -> ShardFuture<()> {
        self.inner.unsubscribe(channels)
    }

    fn lanes(&self) -> u8 {
        self.inner.lanes()
    }

    fn probe(&self) -> ShardFuture<Probe> {
        self.judged(|shard| shard.probe())
    }

    fn fence(
        &self,
        incarnation: &Incarnation,
        commands: Vec<(Partition, FenceCommand)>,
    ) -> ShardFuture<Vec<FenceReply>> {
        let run = incarnation.clone();
        self.judged(move |shard| shard.fence(&run, commands))
    }

    fn owners(&self, incarnation: &Incarnation) -> ShardFuture<Vec<(Partition, OwnerRecord)>> {
        let run = incarnation.clone();
        self.judged(move |shard| shard.owners(&run))
    }

    fn wipe(
        &self,
        incarnation: &Incarnation,
        partitions: Vec<Partition>,
        generation: Generation,
        token: Token,
    ) -> ShardFuture<()> {
        let run = incarnation.clone();
        self.judged(move |shard| shard.wipe(&run, partitions, generation, token))
    }

    fn note_admitted(
        &self,
        incarnation: &Incarnation,
        generation: Generation,
        deployment: DeploymentId,
    ) -> ShardFuture<()> {
        let run = incarnation.clone();
        self.judged(move |shard| shard.note_admitted(&run, generation, deployment))
    }

    fn note_drained(&self, incarnation: &Incarnation, drained: bool) -> ShardFuture<()> {
        let run = incarnation.clone();
        self.judged(move |shard| shard.note_drained(&run, drained))
    }

    fn sealed(&self, partitions: Vec<Partition>) -> ShardFuture<Vec<(Partition, Generation)>> {
        self.inner.sealed(partitions)
    }

    fn records(
        &self,
        incarnation: &Incarnation,
        partitions: Vec<Partition>,
    ) -> ShardFuture<Vec<Option<OwnerRecord>>> {
        let run = incarnation.clone();
        self.judged(move |shard| shard.records(&run, partitions))
    }

    fn scan(
        &self,
        incarnation: &Incarnation,
        partitions: Arc<BTreeSet<Partition>>,
        scope: CopyScope,
        cursor: ScanCursor,
    ) -> ShardFuture<(Vec<CopyItem>, Option<ScanCursor>)> {
        let run = incarnation.clone();
        self.judged(move |shard| shard.scan(&run, partitions, scope, cursor))
    }

    fn dirty(
        &self,
        incarnation: &Incarnation,
        generation: Generation,
        since: Vec<(Partition, u64)>,
        scope: CopyScope,
    ) -> ShardFuture<Vec<Option<DirtyPage>>> {
        let run = incarnation.clone();
        self.judged(move |shard| shard.dirty(&run, generation, since, scope))
    }

    fn copy(
        &self,
        incarnation: &Incarnation,
        generation: Generation,
        items: Vec<CopyItem>,
    ) -> ShardFuture<Vec<Option<CopyPart>>> {
        let run = incarnation.clone();
        self.judged(move |shard| shard.copy(&run, generation, items))
    }

    fn restore(
        &self,
        incarnation: &Incarnation,
        generation: Generation,
        token: Token,
        parts: Vec<CopyPart>,
    ) -> ShardFuture<Vec<bool>> {
        let run = incarnation.clone();
        self.judged(move |shard| shard.restore(&run, generation, token, parts))
    }

    fn clean(&self, incarnation: &Incarnation, partitions: Vec<(Partition, Generation)>) -> ShardFuture<()> {
        let run = incarnation.clone();
        self.judged(move |shard| shard.clean(&run, partitions))
    }

    fn usage(&self, incarnation: &Incarnation) -> ShardFuture<ShardUsage> {
        let run = incarnation.clone();
        self.judged(move |shard| shard.usage(&run))
    }
}
