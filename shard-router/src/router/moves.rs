//! What becomes of a partition's channels while it changes hands: settled when a drain ends, left where they need not be
//! any more, and counted before a topology is acknowledged.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Core;
use super::channel::{Channel, ChannelState};
use super::handovers::Locked;
use super::opened::OpenedShard;
use super::resume::BATCH;
use super::retry::Backoff;
use crate::audience::{Audience, Event};
use crate::feed::Reception;
use crate::handover::{Effect, Receipt, Request, Serial, Verdict};
use crate::partition::Partition;
use crate::publication::ShardMessage;
use crate::shard::ShardFuture;
use crate::topology::ShardId;

/// What became of a message that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// The channel's feed has it.
    Received(Reception),
    /// Held back until the former owner has said its last.
    HeldBack,
    /// Too much was held back: so many messages were dropped.
    Dropped(usize),
    /// Nothing is expected from there.
    Stray,
}

/// Channels on one link that are being unsubscribed.
type Leaving<A> = Vec<(Arc<Channel<A>>, Request)>;

/// What is to be unsubscribed, by link.
type Departures<A> = BTreeMap<Serial, (Arc<OpenedShard>, Leaving<A>)>;

impl<A: Audience> Core<A> {
    /// `link` brought a message of `channel`.
    pub(super) fn receive(
        self: &Arc<Self>,
        channel: &Arc<Channel<A>>,
        link: Serial,
        message: ShardMessage,
    ) -> Arrival {
        let quiet = self.handovers.is_quiet(channel.partition);
        let arrival = channel.act(&*self.audience, |state, out| {
            let verdict = if quiet {
                Verdict::Pass
            } else {
                self.settle_now(channel, state, out).verdict(link)
            };
            match state
                .subscriptions
                .receive(verdict, link, message, &self.hold_limits)
            {
                Receipt::Deliver(message) => Arrival::Received(state.feed.message(message, out)),
                Receipt::Held => Arrival::HeldBack,
                Receipt::Overflowed { dropped } => {
                    self.dropped(state);
                    Arrival::Dropped(dropped)
                }
                Receipt::Stray => Arrival::Stray,
            }
        });
        if !quiet
            || !matches!(
                arrival,
                Arrival::Received(Reception::Passed | Reception::Duplicate)
            )
        {
            self.kick(channel);
        }
        arrival
    }

    /// What was held back was dropped.
    fn dropped(&self, state: &mut ChannelState<A>) {
        if state.feed.has_stream() {
            state.feed.missed();
        } else {
            self.interrupted(state);
        }
    }

    /// Brings a channel up to what is known of its partition's handover.
    fn settle_now(
        &self,
        channel: &Channel<A>,
        state: &mut ChannelState<A>,
        out: &mut Vec<Event>,
    ) -> Locked<'_> {
        let handover = self.handovers.lock(channel.partition);
        self.refresh(channel, state, &handover);
        state.settle(&handover, out);
        handover
    }

    /// The same for all channels of `partition`. `broken`: none of them counts as continuously subscribed.
    pub(super) fn settle_all(&self, partition: Partition, broken: bool) {
        let round = self.handovers.round(partition);
        for channel in self.channels.of(partition) {
            channel.act(&*self.audience, |state, out| {
                if broken && state.feed.is_attached() {
                    state.feed.detached();
                    self.interrupted(state);
                }
                drop(self.settle_now(&channel, state, out));
            });
        }
        self.handovers.settled(partition, round);
        self.handed();
    }

    /// What follows from a marker, or the end of a link or of a subscription, of `partition`.
    pub(super) fn follow_up(self: &Arc<Self>, partition: Partition, effect: Effect) {
        match effect {
            Effect::Nothing => return,
            Effect::Released => self.settle_all(partition, false),
            Effect::Expired => {
                tracing::warn!(%partition, "a partition is not served by the topology that is known here");
                self.settle_all(partition, true);
            }
        }
        for channel in self.channels.of(partition) {
            self.kick(&channel);
        }
    }

    /// No shard that is known here serves `partition`, and no newer topology says why: others have gone on without this
    /// gateway, which serves it no longer until it has read the topology that they have.
    pub(super) fn expired(self: &Arc<Self>, partition: Partition) {
        let effect = self.handovers.lock(partition).refused();
        self.follow_up(partition, effect);
    }

    /// Unsubscribes a channel, whose claim the caller holds, on `links`.
    pub(super) fn leave(self: &Arc<Self>, channel: &Arc<Channel<A>>, links: &[Serial]) {
        let mut departures = Departures::new();
        self.note_leaving(channel, links, &mut departures);
        self.depart(departures);
    }

    /// Unsubscribes the channels of `partitions` where they need not be subscribed any more. Those that somebody drives
    /// are left to him.
    pub(super) fn leave_surplus(self: &Arc<Self>, partitions: &[Partition]) {
        let mut departures = Departures::new();
        let mut claimed = Vec::new();
        for channel in partitions
            .iter()
            .flat_map(|partition| self.channels.of(*partition))
        {
            let mut surplus = Vec::new();
            if self.claim(&channel, |state, handover| {
                surplus.extend(state.subscriptions.surplus(handover));
                state.is_wanted() && !surplus.is_empty()
            }) {
                self.note_leaving(&channel, &surplus, &mut departures);
                claimed.push(channel);
            }
        }
        self.depart(departures);
        for channel in claimed {
            self.yield_claim(&channel);
        }
    }

    fn note_leaving(&self, channel: &Arc<Channel<A>>, links: &[Serial], departures: &mut Departures<A>) {
        let mut state = channel.state.lock();
        let handover = self.handovers.lock(channel.partition);
        for link in links {
            let Some(request) = state.subscriptions.unsubscribing(*link) else {
                continue;
            };
            let shard = handover.shard_of(*link).and_then(|shard| self.opened.get(shard));
            // Where the shard was closed the link is about to end, and the subscription with it.
            if let Some(shard) = shard.filter(|shard| shard.link_of(channel.partition) == *link) {
                let (_, leaving) = departures.entry(*link).or_insert_with(|| (shard, Vec::new()));
                leaving.push((Arc::clone(channel), request));
            }
        }
    }

    fn depart(self: &Arc<Self>, departures: Departures<A>) {
        for (shard, mut leaving) in departures.into_values() {
            while !leaving.is_empty() {
                let batch = leaving.split_off(leaving.len().saturating_sub(BATCH));
                let names = batch
                    .iter()
                    .map(|(channel, _)| (channel.partition, channel.name.clone()));
                let answer = shard.shard.unsubscribe(names.collect());
                self.spawn(left(Arc::clone(self), batch, answer));
            }
        }
    }

    /// Whether a channel is subscribed wherever it has to be.
    pub(super) fn lacks_nothing(&self, channel: &Channel<A>) -> bool {
        let state = channel.state.lock();
        let handover = self.handovers.lock(channel.partition);
        state.subscriptions.missing(&handover).next().is_none()
    }

    /// Something has come that an acknowledgement may be waiting for.
    pub(super) fn handed(&self) {
        if self.awaited.load(Ordering::Relaxed) {
            self.handed.notify_one();
        }
    }

    /// What the acknowledgement of the applied topology waits for, in words; `None`: nothing.
    pub(super) fn obstacle(&self) -> Option<String> {
        let mut obstacles = Partition::all().filter_map(|partition| self.obstacle_in(partition));
        let first = obstacles.next()?;
        Some(match obstacles.count() {
            0 => first,
            more => format!("{first}; and {more} more partitions"),
        })
    }

    fn obstacle_in(&self, partition: Partition) -> Option<String> {
        {
            let handover = self.handovers.lock(partition);
            if !handover.is_moving() {
                if handover.is_acknowledgeable(0) {
                    return None;
                }
                let shard = handover.draining()?;
                return Some(format!(
                    "partition {partition}: messages from {shard} may still come"
                ));
            }
        }
        let mut lacking = 0;
        let mut at = None;
        for channel in self.channels.of(partition) {
            let state = channel.state.lock();
            let handover = self.handovers.lock(partition);
            if state.is_wanted() && state.subscriptions.lacks(&handover) {
                lacking += 1;
                at = state.subscriptions.missing(&handover).next().cloned();
            }
        }
        let words = |shard: ShardId| {
            format!("partition {partition}: {lacking} channels are not subscribed at {shard}")
        };
        let acknowledgeable = self.handovers.lock(partition).is_acknowledgeable(lacking);
        at.filter(|_| !acknowledgeable).map(words)
    }
}

/// Waits for the acknowledgement of an UNSUBSCRIBE.
async fn left<A: Audience>(core: Arc<Core<A>>, leaving: Leaving<A>, answer: ShardFuture<()>) {
    let result = answer.await;
    if let Err(error) = &result {
        tracing::debug!(%error, channels = leaving.len(), "not unsubscribed");
        tokio::time::sleep(Backoff::channel().pause()).await;
    }
    for (channel, request) in leaving {
        let effect = {
            let mut state = channel.state.lock();
            let mut handover = core.handovers.lock(channel.partition);
            match &result {
                Ok(()) => state.subscriptions.unsubscribed(&mut handover, request),
                Err(_) => {
                    state.subscriptions.not_unsubscribed(&handover, request);
                    Effect::Nothing
                }
            }
        };
        core.follow_up(channel.partition, effect);
        core.kick(&channel);
    }
    core.handed();
}
