//! The whole state of a memory shard and what each operation does to it. Pure: time comes in as an argument, what is
//! to be sent goes out through an outbox.
//!
//! Each operation says the same as the Redis shard's script of that name; the conformance suite holds them together.

mod admin;
mod channel;
mod copy;
mod dirty;
#[cfg(test)]
mod inspect;
mod pubsub;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

use campanile_common::message::ClientInfo;
use campanile_common::{ChannelName, Position, Timestamp};

use self::channel::{Channel, META_COST, MemberCost, Touch};
use self::dirty::{Dirty, Notes};
use self::pubsub::PubSub;
pub use self::pubsub::{Delivery, LinkEvent, LinkKey};
use crate::fence::{OwnerRecord, OwnerState};
use crate::partition::Partition;
use crate::publication::{Publication, ShardMessage};
use crate::safeguard::{Safeguard, holds};
use crate::shard::{
    Announcement, HistoryPage, HistoryRequest, PositionRequest, PresenceEntry, PresencePage, PublishOutcome,
    PublishRequest, ShardError, Suppressed,
};
use crate::topology::{DeploymentId, Generation, Incarnation};

/// What a memory shard's server process holds.
#[derive(Debug)]
pub struct MemoryState {
    run: Incarnation,
    data: Data,
    pubsub: PubSub,
    limit: usize,
    part_entries: usize,
}

/// How many entries of a stream, or members of a channel, are copied at once.
const PART_ENTRIES: usize = 1000;

/// The part of the state that a restart may keep or lose.
#[derive(Clone, Debug, Default)]
pub struct Data {
    admitted: Option<Generation>,
    deployment: Option<DeploymentId>,
    drain_asked: bool,
    drained: bool,
    partitions: BTreeMap<Partition, PartitionData>,
    /// Bytes of all channels by [`Channel::bytes`].
    bytes: usize,
}

#[derive(Clone, Debug, Default)]
struct PartitionData {
    owner: Option<OwnerRecord>,
    channels: HashMap<ChannelName, Channel>,
    dirty: Dirty,
}

impl PartitionData {
    /// Whether there is an owner record that is `so`.
    fn is(&self, so: impl FnOnce(&OwnerRecord) -> bool) -> bool {
        self.owner.as_ref().is_some_and(so)
    }
}

impl MemoryState {
    /// The state of a server that has just started as `run` with `data`, and refuses to hold more than `limit` bytes
    /// (payloads, names, and an estimate of what keeping them costs).
    #[must_use]
    pub fn new(run: Incarnation, data: Data, limit: usize) -> Self {
        Self {
            run,
            data,
            pubsub: PubSub::default(),
            limit,
            part_entries: PART_ENTRIES,
        }
    }

    /// Which run of the server this is.
    #[must_use]
    pub fn run(&self) -> &Incarnation {
        &self.run
    }

    /// The generation of the last admission noted here.
    #[must_use]
    pub fn admitted(&self) -> Option<Generation> {
        self.data.admitted
    }

    /// The deployment that admitted it last.
    #[must_use]
    pub fn deployment(&self) -> Option<DeploymentId> {
        self.data.deployment
    }

    /// Subscriptions of channels, on all links together.
    #[must_use]
    pub fn listeners(&self) -> usize {
        self.pubsub.listeners()
    }

    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.data.bytes
    }

    /// A copy of what a restart could keep.
    #[must_use]
    pub fn data(&self) -> Data {
        self.data.clone()
    }

    /// Forgets all data, owner records and the admission included. Links and subscriptions stay.
    pub fn flush(&mut self) {
        self.data = Data::default();
    }

    /// Publishes; see [`Shard::publish`](crate::shard::Shard::publish).
    pub fn publish(
        &mut self,
        now: Timestamp,
        partition: Partition,
        mut request: PublishRequest,
    ) -> Result<PublishOutcome, ShardError> {
        let floor = self.serving(partition)?.floor;
        let position = request
            .stream
            .map_or(0, |_| self.touch_cost(partition, &request.channel));
        self.fits(position + channel::publish_cost(&request))?;
        let name = request.channel.clone();
        let outcome = self.with_channel(partition, &name, |channel, notes| {
            accept(channel, now, floor, &mut request, notes)
        });
        if outcome.suppressed.is_none() {
            let message = ShardMessage::Publication {
                position: outcome.position.clone(),
                publication: request.publication,
            };
            self.pubsub.send(partition, &name, &message);
        }
        Ok(outcome)
    }

    /// Fans a join or leave out; see [`Shard::announce`](crate::shard::Shard::announce).
    pub fn announce(
        &mut self,
        partition: Partition,
        name: &ChannelName,
        message: Announcement,
    ) -> Result<(), ShardError> {
        self.serving(partition)?;
        let message = match message {
            Announcement::Join(info) => ShardMessage::Join(info),
            Announcement::Leave(info) => ShardMessage::Leave(info),
        };
        self.pubsub.send(partition, name, &message);
        Ok(())
    }

    /// Reads a stream; see [`Shard::history`](crate::shard::Shard::history).
    pub fn history(
        &mut self,
        now: Timestamp,
        partition: Partition,
        request: HistoryRequest,
    ) -> Result<HistoryPage, ShardError> {
        let floor = self.readable(partition)?;
        self.fits(self.touch_cost(partition, &request.channel))?;
        let touch = Touch {
            floor,
            meta_ttl: request.meta_ttl,
            new_epoch: request.new_epoch,
        };
        Ok(self.with_channel(partition, &request.channel, |channel, notes| {
            channel.touch(now, touch, notes);
            HistoryPage {
                position: channel.position(),
                publications: channel.read(now, request.range),
            }
        }))
    }

    /// Empties a stream; see [`Shard::remove_history`](crate::shard::Shard::remove_history).
    pub fn remove_history(&mut self, partition: Partition, name: &ChannelName) -> Result<(), ShardError> {
        self.serving(partition)?;
        self.with_channel(partition, name, Channel::clear);
        self.pubsub.send(partition, name, &ShardMessage::Cleared);
        Ok(())
    }

    /// Reads one position; see [`Shard::positions`](crate::shard::Shard::positions).
    pub fn position(&mut self, now: Timestamp, request: PositionRequest) -> Result<Position, ShardError> {
        let floor = self.readable(request.partition)?;
        self.fits(self.touch_cost(request.partition, &request.channel))?;
        let touch = Touch {
            floor,
            meta_ttl: request.meta_ttl,
            new_epoch: request.new_epoch,
        };
        Ok(
            self.with_channel(request.partition, &request.channel, |channel, notes| {
                channel.touch(now, touch, notes);
                channel.position()
            }),
        )
    }

    /// Adds or refreshes a presence entry; see
    /// [`Shard::refresh_presence`](crate::shard::Shard::refresh_presence).
    pub fn refresh_presence(&mut self, now: Timestamp, entry: &PresenceEntry) -> Result<(), ShardError> {
        self.serving(entry.partition)?;
        self.fits(entry.info.cost())?;
        self.with_channel(entry.partition, &entry.channel, |channel, notes| {
            channel.enter(now + entry.ttl, &entry.info, notes);
        });
        Ok(())
    }

    /// Removes a presence entry; see [`Shard::remove_presence`](crate::shard::Shard::remove_presence).
    pub fn remove_presence(
        &mut self,
        partition: Partition,
        name: &ChannelName,
        client: &str,
    ) -> Result<(), ShardError> {
        self.serving(partition)?;
        self.with_channel(partition, name, |channel, notes| channel.leave(client, notes));
        Ok(())
    }

    /// Reads a channel's presence; see [`Shard::presence`](crate::shard::Shard::presence).
    pub fn presence(
        &mut self,
        now: Timestamp,
        partition: Partition,
        name: &ChannelName,
    ) -> Result<BTreeMap<String, ClientInfo>, ShardError> {
        self.readable(partition)?;
        Ok(self.with_channel(partition, name, |channel, notes| channel.present(now, notes)))
    }

    /// Counts a channel's presence and reads some of it; see
    /// [`Shard::presence_page`](crate::shard::Shard::presence_page).
    pub fn presence_page(
        &mut self,
        now: Timestamp,
        partition: Partition,
        name: &ChannelName,
        limit: usize,
    ) -> Result<PresencePage, ShardError> {
        self.readable(partition)?;
        Ok(self.with_channel(partition, name, |channel, notes| {
            channel.presence_page(now, limit, notes)
        }))
    }

    /// Frees what expired in the partitions from `start` on, `count` at most; returns where to go on. Called
    /// regularly, so that what nobody touches any more does not stay; operations themselves never see the expired.
    pub fn collect(&mut self, now: Timestamp, start: Partition, count: usize) -> Partition {
        for (visited, (partition, data)) in self.data.partitions.range_mut(start..).enumerate() {
            if visited == count {
                return *partition;
            }
            data.channels.retain(|_, channel| {
                let before = channel.bytes();
                channel.collect(now);
                self.data.bytes = self.data.bytes - before + channel.bytes();
                !channel.is_empty()
            });
        }
        Partition::all().next().expect("there are 4096 partitions")
    }

    /// Adds a link that hears all markers and the channels it subscribes.
    pub fn attach(&mut self, link: LinkKey) {
        self.pubsub.attach(link);
    }

    /// Removes a link and its subscriptions.
    pub fn detach(&mut self, link: LinkKey) {
        self.pubsub.detach(link);
    }

    /// Subscribes `link` to a channel; false if there is no such link (any more).
    pub fn subscribe(&mut self, link: LinkKey, partition: Partition, name: &ChannelName) -> bool {
        self.pubsub.subscribe(link, partition, name)
    }

    /// Ends a subscription.
    pub fn unsubscribe(&mut self, link: LinkKey, partition: Partition, name: &ChannelName) {
        self.pubsub.unsubscribe(link, partition, name);
    }

    /// Takes what has to be delivered, in order.
    pub fn take_outbox(&mut self) -> Vec<Delivery> {
        self.pubsub.take_outbox()
    }

    /// The epoch floor, if reading is allowed.
    fn readable(&self, partition: Partition) -> Result<Generation, ShardError> {
        if holds(Safeguard::ReadsFenced) {
            return Ok(self.serving(partition)?.floor);
        }
        let data = self.data.partitions.get(&partition);
        let owner = data.and_then(|data| data.owner.as_ref());
        Ok(owner.map(|owner| owner.floor).unwrap_or_default())
    }

    fn serving(&self, partition: Partition) -> Result<&OwnerRecord, ShardError> {
        let data = self.data.partitions.get(&partition);
        data.and_then(|data| data.owner.as_ref())
            .filter(|record| record.state.serves())
            .ok_or(ShardError::NotOwner)
    }

    /// What reading or appending to a channel's stream adds before anything is appended.
    fn touch_cost(&self, partition: Partition, name: &ChannelName) -> usize {
        let channel = self
            .data
            .partitions
            .get(&partition)
            .and_then(|data| data.channels.get(name));
        if channel.is_some_and(Channel::has_position) {
            0
        } else {
            META_COST
        }
    }

    fn fits(&self, cost: usize) -> Result<(), ShardError> {
        // What costs nothing (a publication that is only fanned out) goes through a full server.
        if cost == 0 || self.data.bytes.saturating_add(cost) <= self.limit {
            return Ok(());
        }
        Err(ShardError::Refused(format!(
            "the memory shard is full: {} of {} bytes",
            self.data.bytes, self.limit
        )))
    }

    /// Runs `act` on a channel, which comes into being if need be and goes when nothing is left of it.
    fn with_channel<T>(
        &mut self,
        partition: Partition,
        name: &ChannelName,
        act: impl FnOnce(&mut Channel, &mut Notes<'_>) -> T,
    ) -> T {
        let data = self.data.partitions.entry(partition).or_default();
        let migrating = data.is(|owner| owner.state == OwnerState::Migrating);
        let mut notes = Notes::new(name, migrating.then_some(&mut data.dirty));
        let channel = data.channels.entry(name.clone()).or_default();
        let before = channel.bytes();
        let result = act(channel, &mut notes);
        let after = channel.bytes();
        if channel.is_empty() {
            data.channels.remove(name);
        }
        self.data.bytes = self.data.bytes - before + after;
        result
    }
}

/// Takes a publication into its channel, unless its idempotency key or its version forbids it; its offset is written into
/// it.
fn accept(
    channel: &mut Channel,
    now: Timestamp,
    floor: Generation,
    request: &mut PublishRequest,
    notes: &mut Notes<'_>,
) -> PublishOutcome {
    let idempotency = request.idempotency.take();
    let key = idempotency.as_ref();
    if let Some(before) = key.and_then(|key| channel.remembered(now, &key.key)) {
        return suppressed(before, Suppressed::Repeated);
    }
    let mut position = None;
    if let Some(limits) = request.stream.filter(|limits| limits.size > 0) {
        let touch = Touch {
            floor,
            meta_ttl: limits.meta_ttl.max(limits.ttl),
            new_epoch: request.new_epoch.clone(),
        };
        channel.touch(now, touch, notes);
        let version = request.version.take();
        if version
            .as_ref()
            .is_some_and(|version| channel.is_outdated(version))
        {
            return suppressed(Some(channel.position()), Suppressed::Outdated);
        }
        notes.stream();
        position = Some(channel.append(now, &mut request.publication, limits, version));
    }
    if let Some(key) = idempotency {
        channel.remember(now, key, position.clone(), notes);
    }
    PublishOutcome {
        position,
        suppressed: None,
    }
}

fn suppressed(position: Option<Position>, reason: Suppressed) -> PublishOutcome {
    PublishOutcome {
        position,
        suppressed: Some(reason),
    }
}

/// What keeping a publication costs beside the text of its parts.
fn publication_cost(publication: &Publication) -> usize {
    let tags: usize = publication
        .tags
        .iter()
        .map(|(key, value)| key.len() + value.len() + 48)
        .sum();
    publication.data.len() + publication.info.as_ref().map_or(0, MemberCost::cost) + tags + 128
}
