//! Doing what a channel's feed asks for.
//!
//! A channel is driven by whoever holds its claim: the task spawned here, or [`resume`](super::resume) and
//! [`check`](super::check), which take many channels through one round trip. So there is one SUBSCRIBE and one read
//! under way for a channel at any time, however many subscribers wait for it, and none of them is hurt when the one
//! that happened to come first goes away.

use std::sync::Arc;

use campanile_common::Epoch;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use rand::Rng;

use super::Core;
use super::channel::{Channel, ChannelState};
use super::opened::{Links, OpenedShard};
use super::retry::Backoff;
use super::ways::no_owner;
use crate::audience::{Audience, Event};
use crate::feed::{Need, PendingRead, Read};
use crate::handover::{Handover, Request, Serial};
use crate::shard::{HistoryPage, HistoryRequest, Shard, ShardError};
use crate::topology::ShardId;

/// The next thing to do for a channel.
enum Step {
    /// Nothing; the claim has been given back.
    Done,
    /// Nobody wants it and nothing is subscribed.
    Close,
    /// It is subscribed on these links and need not be.
    Leave(Vec<Serial>),
    Subscribe(Vec<Arc<OpenedShard>>),
    Read(PendingRead),
    /// Somebody waits for what cannot be done now.
    Wait(ShardError),
}

impl<A: Audience> Core<A> {
    /// Sees to it that somebody does what the channel needs, if it needs anything.
    pub(super) fn kick(self: &Arc<Self>, channel: &Arc<Channel<A>>) {
        let mut state = channel.state.lock();
        self.kick_locked(channel, &mut state);
    }

    /// The same with the state's lock held.
    pub(super) fn kick_locked(self: &Arc<Self>, channel: &Arc<Channel<A>>, state: &mut ChannelState<A>) {
        if self.try_claim(channel, state, |state, handover| {
            state.has_work(handover) && !self.is_parked(channel, state, handover)
        }) {
            self.spawn(drive(Arc::clone(self), Arc::clone(channel)));
        }
    }

    /// Takes the claim on a channel, if it is free and the channel is still there.
    pub(super) fn claim(
        &self,
        channel: &Channel<A>,
        wanted: impl FnOnce(&mut ChannelState<A>, &Handover) -> bool,
    ) -> bool {
        self.try_claim(channel, &mut channel.state.lock(), wanted)
    }

    fn try_claim(
        &self,
        channel: &Channel<A>,
        state: &mut ChannelState<A>,
        wanted: impl FnOnce(&mut ChannelState<A>, &Handover) -> bool,
    ) -> bool {
        let handover = self.handovers.lock(channel.partition);
        self.refresh(channel, state, &handover);
        let claims = !state.claimed && !state.closed && wanted(state, &handover);
        state.claimed |= claims;
        claims
    }

    /// Gives the claim back, or hands it to a task of the channel's own if something remains to be done.
    pub(super) fn yield_claim(self: &Arc<Self>, channel: &Arc<Channel<A>>) {
        let mut state = channel.state.lock();
        state.claimed = false;
        self.kick_locked(channel, &mut state);
    }

    /// Brings the feed up to what is known of the subscriptions.
    pub(super) fn refresh(&self, channel: &Channel<A>, state: &mut ChannelState<A>, handover: &Handover) {
        let was_live = state.feed.is_live();
        if state.refresh(handover) {
            self.interrupted(state);
        }
        if !was_live && state.feed.is_live() {
            state.trouble = None;
            channel.progress.notify_waiters();
        }
    }

    /// A subscription was interrupted: what was missed without a stream to read it from is lost.
    pub(super) fn interrupted(&self, state: &ChannelState<A>) {
        if !state.feed.has_stream() && !A::is_empty(&state.members) {
            self.metrics.interruptions.increment(1);
        }
    }

    /// What is to be done next for a channel whose claim the caller holds.
    fn step(&self, channel: &Channel<A>) -> Step {
        let mut state = channel.state.lock();
        let handover = self.handovers.lock(channel.partition);
        self.refresh(channel, &mut state, &handover);
        if !state.is_wanted() {
            state.feed.release();
            let links: Vec<_> = state.subscriptions.links().collect();
            if !links.is_empty() {
                return Step::Leave(links);
            }
            if state.subscriptions.is_gone() {
                return Step::Close;
            }
            // What was sent is not acknowledged yet; whoever waits for that goes on.
            state.claimed = false;
            return Step::Done;
        }
        let surplus: Vec<_> = state.subscriptions.surplus(&handover).collect();
        if !surplus.is_empty() {
            return Step::Leave(surplus);
        }
        let missing: Vec<_> = state.subscriptions.missing(&handover).collect();
        let reachable: Vec<_> = missing
            .iter()
            .filter_map(|shard| self.opened.get(shard))
            .filter(|opened| opened.is_up(channel.partition))
            .collect();
        if !reachable.is_empty() {
            return Step::Subscribe(reachable);
        }
        match state.feed.need() {
            Need::Read(read) => Step::Read(state.feed.begin(read)),
            Need::Subscribe if state.joining > 0 && !missing.is_empty() => {
                Step::Wait(ShardError::Unavailable("the Pub/Sub link is down".to_owned()))
            }
            Need::Nothing | Need::Subscribe => {
                state.claimed = false;
                Step::Done
            }
        }
    }

    /// Subscribes one channel at `shards`.
    async fn attach(
        self: &Arc<Self>,
        channel: &Channel<A>,
        shards: &[Arc<OpenedShard>],
    ) -> Result<(), ShardError> {
        let ask = |shard: &Arc<OpenedShard>| {
            let request = self.ask_for(channel, shard)?;
            let name = (channel.partition, channel.name.clone());
            let answer = shard.shard.subscribe(vec![name]);
            self.asked(channel, shard, request);
            Ok((request, answer))
        };
        let asked: Vec<_> = shards.iter().map(ask).collect();
        let mut result = Ok(());
        for asked in asked {
            let answer = match asked {
                Ok((request, answer)) => answer.await.map(|()| self.attached(channel, request)),
                Err(error) => Err(error),
            };
            result = result.and(answer);
        }
        result
    }

    /// Notes that the channel is about to be subscribed at `shard`, so that what arrives from there from now on is
    /// heard.
    pub(super) fn ask_for(
        self: &Arc<Self>,
        channel: &Channel<A>,
        shard: &OpenedShard,
    ) -> Result<Request, ShardError> {
        let down = || ShardError::Unavailable("the Pub/Sub link is down".to_owned());
        let link = shard.link_of(channel.partition);
        if link == Links::DOWN {
            return Err(down());
        }
        let request = {
            let mut state = channel.state.lock();
            let mut handover = self.handovers.lock(channel.partition);
            state
                .subscriptions
                .subscribing(&mut handover, shard.shard.id(), link)
        };
        if shard.link_of(channel.partition) != link {
            // It may have gone down before it was noted: then nobody else takes the note back.
            let effect = self.handovers.lock(channel.partition).link_down(link);
            self.follow_up(channel.partition, effect);
            return Err(down());
        }
        request.ok_or_else(down)
    }

    /// The SUBSCRIBE noted as `request` was handed to the shard. If the link was replaced meanwhile it may have gone to
    /// the new one: the channel counts as asked for there too.
    pub(super) fn asked(self: &Arc<Self>, channel: &Channel<A>, shard: &OpenedShard, request: Request) {
        if shard.link_of(channel.partition) != request.link() {
            // What fails because the link is down again leaves nothing behind.
            let _ = self.ask_for(channel, shard);
        }
    }

    /// The SUBSCRIBE noted as `request` was acknowledged.
    pub(super) fn attached(&self, channel: &Channel<A>, request: Request) {
        let mut state = channel.state.lock();
        state.subscriptions.subscribed(request);
        let handover = self.handovers.lock(channel.partition);
        self.refresh(channel, &mut state, &handover);
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
            let lost = out.iter_mut().filter_map(|event| match event {
                Event::Lost(reason) => Some(reason),
                _ => None,
            });
            for reason in lost {
                *reason = self.renewals.explain(channel.partition, *reason);
                self.metrics.lost(*reason);
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
        let first = self.ways(channel.partition).first.ok_or_else(no_owner)?;
        let permit = first.reads.acquire().await;
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

    /// Whether nobody waits and the return of a link is all that the channel needs. Then no task is kept for it:
    /// [`resume`](super::resume) looks at every channel, under its state lock, after the link has come up.
    fn is_parked(&self, channel: &Channel<A>, state: &ChannelState<A>, handover: &Handover) -> bool {
        if state.joining > 0
            || !state.is_wanted()
            || matches!(state.feed.need(), Need::Read(_))
            || state.subscriptions.surplus(handover).next().is_some()
        {
            return false;
        }
        let is_down = |shard: &ShardId| {
            let opened = self.opened.get(shard);
            opened.is_none_or(|opened| !opened.is_up(channel.partition))
        };
        state.subscriptions.missing(handover).all(is_down)
    }

    /// After `error`: whether the channel is left to itself until its link is back. If so, the claim is given back.
    fn park(&self, channel: &Channel<A>, error: ShardError) -> bool {
        tracing::debug!(channel = channel.name.as_str(), %error, "the channel's shard did not do it");
        let mut state = channel.state.lock();
        state.trouble = Some(error);
        let parked = self.is_parked(channel, &state, &self.handovers.lock(channel.partition));
        state.claimed = !parked;
        parked
    }

    async fn pause(&self, channel: &Channel<A>, backoff: &mut Backoff) {
        let mut applied = self.applied.subscribe();
        let required: Vec<_> = self
            .handovers
            .lock(channel.partition)
            .required()
            .filter_map(|shard| self.opened.get(shard))
            .collect();
        let mut links_up: FuturesUnordered<_> =
            required.iter().map(|opened| opened.links.up.notified()).collect();
        tokio::select! {
            () = tokio::time::sleep(backoff.pause()) => {}
            Some(()) = links_up.next() => {}
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
            Step::Leave(links) => {
                core.leave(&channel, &links);
                Ok(())
            }
            Step::Subscribe(shards) => core.attach(&channel, &shards).await,
            Step::Read(pending) => core.read(&channel, pending).await,
            Step::Wait(error) => Err(error),
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
