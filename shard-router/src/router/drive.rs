//! Doing what a channel's feed asks for.
//!
//! A channel is driven by whoever holds its claim: the task spawned here, or [`resume`](super::resume) and
//! [`check`](super::check), which take many channels through one round trip. So there is one SUBSCRIBE and one read
//! under way for a channel at any time, however many subscribers wait for it, and none of them is hurt when the one
//! that happened to come first goes away.

use std::sync::Arc;

use rand::Rng;

use campanile_common::Epoch;

use super::Core;
use super::channel::{Channel, ChannelState, Source};
use super::opened::{Links, OpenedShard};
use super::retry::Backoff;
use crate::audience::{Audience, Event};
use crate::feed::{Need, PendingRead, Read};
use crate::shard::{HistoryPage, HistoryRequest, Shard, ShardError};

/// The next thing to do for a channel.
enum Step {
    /// Nothing; the claim has been given back.
    Done,
    /// Nobody wants it and nothing is subscribed.
    Close,
    /// Nobody wants it any more.
    Unsubscribe(Source),
    Subscribe,
    Read(PendingRead),
}

impl<A: Audience> Core<A> {
    /// Sees to it that somebody does what the channel needs, if it needs anything.
    pub(super) fn kick(self: &Arc<Self>, channel: &Arc<Channel<A>>) {
        let mut state = channel.state.lock();
        self.kick_locked(channel, &mut state);
    }

    /// The same with the state's lock held.
    pub(super) fn kick_locked(self: &Arc<Self>, channel: &Arc<Channel<A>>, state: &mut ChannelState<A>) {
        self.notice_break(channel, state);
        if state.claimed || state.closed || !state.has_work() || self.is_parked(channel, state) {
            return;
        }
        state.claimed = true;
        self.spawn(drive(Arc::clone(self), Arc::clone(channel)));
    }

    /// Takes the claim on a channel, if it is free and the channel is still there.
    pub(super) fn claim(
        &self,
        channel: &Channel<A>,
        wanted: impl FnOnce(&mut ChannelState<A>) -> bool,
    ) -> bool {
        let mut state = channel.state.lock();
        self.notice_break(channel, &mut state);
        if state.claimed || state.closed || !wanted(&mut state) {
            return false;
        }
        state.claimed = true;
        true
    }

    /// Gives the claim back, or hands it to a task of the channel's own if something remains to be done.
    pub(super) fn yield_claim(self: &Arc<Self>, channel: &Arc<Channel<A>>) {
        let mut state = channel.state.lock();
        state.claimed = false;
        self.kick_locked(channel, &mut state);
    }

    fn notice_break(&self, channel: &Channel<A>, state: &mut ChannelState<A>) {
        let broken = state.notice_break(channel.partition, &self.routes.load());
        if broken && !state.feed.has_stream() && !A::is_empty(&state.members) {
            self.metrics.interruptions.increment(1);
        }
    }

    /// What is to be done next for a channel whose claim the caller holds.
    fn step(&self, channel: &Channel<A>) -> Step {
        let mut state = channel.state.lock();
        self.notice_break(channel, &mut state);
        if !state.is_wanted() {
            state.feed.release();
            return state.source.take().map_or(Step::Close, Step::Unsubscribe);
        }
        match state.feed.need() {
            Need::Nothing => {
                state.claimed = false;
                state.trouble = None;
                Step::Done
            }
            Need::Subscribe => Step::Subscribe,
            Need::Read(read) => Step::Read(state.feed.begin(read)),
        }
    }

    /// Subscribes one channel at its owner.
    async fn attach(&self, channel: &Channel<A>) -> Result<(), ShardError> {
        let owner = self.owner(channel)?;
        let source = self.aim(channel, &owner)?;
        let name = (channel.partition, channel.name.clone());
        owner.shard.subscribe(vec![name]).await?;
        self.attached(channel, &source)
    }

    fn owner(&self, channel: &Channel<A>) -> Result<Arc<OpenedShard>, ShardError> {
        let routes = self.routes.load();
        let owner = routes.owner(channel.partition).cloned();
        owner.ok_or_else(|| ShardError::Unavailable("no known shard owns the partition".to_owned()))
    }

    /// Notes where the channel is about to be subscribed, so that what arrives from there from now on is heard.
    pub(super) fn aim(&self, channel: &Channel<A>, owner: &OpenedShard) -> Result<Source, ShardError> {
        let lane = owner.lane_of(channel.partition);
        let serial = owner.links.serial(lane);
        if serial == Links::DOWN {
            return Err(ShardError::Unavailable("the Pub/Sub link is down".to_owned()));
        }
        let source = Source {
            links: Arc::clone(&owner.links),
            lane,
            serial,
        };
        let mut state = channel.state.lock();
        let earlier = state.source.replace(source.clone());
        drop(state);
        if let Some(earlier) = earlier.filter(|earlier| !Arc::ptr_eq(&earlier.links, &source.links)) {
            self.leave(channel, &earlier);
        }
        Ok(source)
    }

    /// Unsubscribes at a shard that owned the channel before, without waiting.
    fn leave(&self, channel: &Channel<A>, source: &Source) {
        let routes = self.routes.load();
        let shard = routes
            .shards()
            .find(|opened| Arc::ptr_eq(&opened.links, &source.links));
        if let (Some(opened), true) = (shard, source.is_current()) {
            // Submitted by the call; nobody waits for the acknowledgement.
            drop(
                opened
                    .shard
                    .unsubscribe(vec![(channel.partition, channel.name.clone())]),
            );
        }
    }

    /// The subscription asked for at `source` was acknowledged.
    pub(super) fn attached(&self, channel: &Channel<A>, source: &Source) -> Result<(), ShardError> {
        let mut state = channel.state.lock();
        let same = state
            .source
            .as_ref()
            .is_some_and(|present| present.serial == source.serial);
        if !same || !source.is_current() {
            return Err(ShardError::Unavailable("the Pub/Sub link broke".to_owned()));
        }
        state.feed.attached();
        if state.feed.is_live() {
            channel.progress.notify_waiters();
        }
        Ok(())
    }

    /// Reads what the feed asked for and hands it in.
    async fn read(&self, channel: &Channel<A>, pending: PendingRead) -> Result<(), ShardError> {
        let page = self.fetch(channel, pending).await;
        let result = page.as_ref().map(|_| ()).map_err(ShardError::clone);
        self.settle(channel, |state, out| match page {
            Ok(page) => state.feed.complete(pending, page, out),
            Err(_) => state.feed.failed(pending),
        });
        result
    }

    /// Hands a read's result to the feed and what follows from it to the subscribers.
    pub(super) fn settle(
        &self,
        channel: &Channel<A>,
        act: impl FnOnce(&mut ChannelState<A>, &mut Vec<Event>),
    ) {
        channel.act(&self.audience, |state, out| {
            act(state, out);
            let lost = out.iter().filter_map(|event| match event {
                Event::Lost(reason) => Some(*reason),
                _ => None,
            });
            for reason in lost {
                self.metrics.lost(reason);
                let position = state.delivered().map(ToString::to_string);
                tracing::debug!(
                    channel = channel.name.as_str(),
                    reason = reason.label(),
                    position,
                    "continuity lost"
                );
            }
            if state.joining > 0 && state.feed.is_live() {
                channel.progress.notify_waiters();
            }
        });
    }

    async fn fetch(&self, channel: &Channel<A>, pending: PendingRead) -> Result<HistoryPage, ShardError> {
        let owner = self.owner(channel)?;
        let permit = owner.reads.acquire().await;
        let _permit = permit.map_err(|_| ShardError::Unavailable("the shard was closed".to_owned()))?;
        self.metrics.read(pending.read());
        let request = HistoryRequest {
            channel: channel.name.clone(),
            range: pending.range(&self.feed_limits),
            meta_ttl: channel.state.lock().meta_ttl(),
            new_epoch: new_epoch(),
        };
        let partition = channel.partition;
        let read = |shard: &dyn Shard| shard.history(partition, request.clone());
        let (page, shard) = self.ask(partition, read).await?;
        if self.handovers.lock(partition).may_read(shard.shard.id()) {
            return Ok(page);
        }
        Err(ShardError::Unavailable(
            "the former owner has not said its last".to_owned(),
        ))
    }

    /// Carries out one read without retrying; for those who hold the claims of many channels.
    pub(super) async fn read_once(&self, channel: &Channel<A>) {
        let pending = {
            let mut state = channel.state.lock();
            match state.feed.need() {
                Need::Read(read) => state.feed.begin(read),
                Need::Nothing | Need::Subscribe => return,
            }
        };
        // What failed is tried again by the channel's own task.
        let _ = self.read(channel, pending).await;
    }

    /// Whether nobody waits and the link's return is what the channel needs. Then no task is kept for it:
    /// [`resume`](super::resume) looks at every channel, under its state lock, after the link has come up.
    fn is_parked(&self, channel: &Channel<A>, state: &ChannelState<A>) -> bool {
        if state.joining > 0 || !state.is_wanted() || state.feed.need() != Need::Subscribe {
            return false;
        }
        let routes = self.routes.load();
        let owner = routes.owner(channel.partition);
        owner.is_some_and(|owner| owner.links.serial(owner.lane_of(channel.partition)) == Links::DOWN)
    }

    /// After `error`: whether the channel is left to itself until its link is back. If so, the claim is given back.
    fn park(&self, channel: &Channel<A>, error: ShardError) -> bool {
        tracing::debug!(channel = channel.name.as_str(), %error, "the channel's shard did not do it");
        let mut state = channel.state.lock();
        state.trouble = Some(error);
        let parked = self.is_parked(channel, &state);
        state.claimed = !parked;
        parked
    }

    async fn pause(&self, channel: &Channel<A>, backoff: &mut Backoff) {
        let mut applied = self.applied.subscribe();
        let owner = self.owner(channel).ok();
        let link_up = async {
            match &owner {
                Some(owner) => owner.links.up.notified().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = tokio::time::sleep(backoff.pause()) => {}
            () = link_up => {}
            // Fails only when the router is gone, and this task with it.
            _ = applied.changed() => {}
        }
    }
}

/// Drives `channel`, whose claim it holds, until it needs nothing more.
async fn drive<A: Audience>(core: Arc<Core<A>>, channel: Arc<Channel<A>>) {
    let mut backoff = Backoff::channel();
    loop {
        let result = match core.step(&channel) {
            Step::Done => return,
            Step::Close if core.channels.remove_unwanted(&channel) => return,
            Step::Close => Ok(()),
            Step::Unsubscribe(source) => {
                unsubscribe(&core, &channel, &source).await;
                Ok(())
            }
            Step::Subscribe => core.attach(&channel).await,
            Step::Read(pending) => core.read(&channel, pending).await,
        };
        let Err(error) = result else {
            backoff = Backoff::channel();
            continue;
        };
        if core.park(&channel, error) {
            return;
        }
        core.pause(&channel, &mut backoff).await;
    }
}

/// Unsubscribes where the channel was subscribed. If that fails, the link is broken or will be: nothing is owed.
async fn unsubscribe<A: Audience>(core: &Core<A>, channel: &Channel<A>, source: &Source) {
    if !source.is_current() {
        return;
    }
    let shard = {
        let routes = core.routes.load();
        routes
            .shards()
            .find(|opened| Arc::ptr_eq(&opened.links, &source.links))
            .cloned()
    };
    if let Some(opened) = shard {
        let name = (channel.partition, channel.name.clone());
        if let Err(error) = opened.shard.unsubscribe(vec![name]).await {
            tracing::debug!(channel = channel.name.as_str(), %error, "not unsubscribed");
        }
    }
}

/// A name for a stream's incarnation, should the request that carries it begin one: 64 random bits.
pub(super) fn new_epoch() -> Epoch {
    let mut name = [0_u8; 11];
    let mut bits: u64 = rand::rng().random();
    for letter in &mut name {
        const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        *letter = LETTERS[usize::try_from(bits & 63).unwrap_or(0)];
        bits >>= 6;
    }
    Epoch::from(std::str::from_utf8(&name).unwrap_or_default())
}

impl Read {
    /// The label in metrics.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Position => "position",
            Self::After(_) => "heal",
            Self::Recent => "recovery",
        }
    }
}
