//! One channel on one gateway: where it is subscribed, what it hands on.

use std::rc::Rc;

use campanile_common::ChannelName;

use super::{Channel, Command, Gateway, HOLD_LIMITS, Mail, State};
use crate::audience::Event;
use crate::feed::Moved;
use crate::feed::{Feed, Need};
use crate::handover::{Effect, Receipt, Serial, Subscriptions};
use crate::partition::Partition;
use crate::publication::ShardMessage;
use crate::shard::lane_of;
use crate::simulator::cast::{partitions, role};
use crate::simulator::gateway::LANES;
use crate::simulator::link::{Link, LinkCommand};
use crate::simulator::world::World;
use crate::topology::{MoveHistory, ShardId};

impl Gateway {
    pub(super) fn tend_partition(self: &Rc<Self>, world: &World, partition: Partition) {
        let channels = self.state().channels_of(partition);
        for channel in channels {
            self.tend(world, &channel);
        }
        self.acknowledge(world);
    }

    /// Does what a channel needs next: subscribes and unsubscribes it, reads, lets in who waits.
    pub(super) fn tend(self: &Rc<Self>, world: &World, name: &ChannelName) {
        self.notice_breaks(world, name);
        for link in self.to_leave(name) {
            self.unsubscribe(world, name, link);
        }
        for shard in self.to_enter(name) {
            self.subscribe(world, name, &shard);
        }
        self.notice_attached(world, name);
        self.let_in(world, name);
        self.read_if_needed(world, name);
        self.forget_if_gone(world, name);
    }

    fn notice_breaks(&self, world: &World, name: &ChannelName) {
        let mut state = self.state();
        let Some((channel, handover)) = state.channel(name) else {
            return;
        };
        if channel.subscriptions.notice_breaks(handover) {
            channel.feed.detached();
            let partition = channel.partition;
            drop(state);
            world.ears().interrupted(self.life, name);
            world.note(|| {
                format!(
                    "{} may have missed something of {name} ({partition})",
                    world.name(self.life)
                )
            });
        }
    }

    /// On which links the channel is subscribed and need not be.
    fn to_leave(&self, name: &ChannelName) -> Vec<Serial> {
        let mut state = self.state();
        let Some((channel, handover)) = state.channel(name) else {
            return Vec::new();
        };
        if channel.is_wanted() {
            channel.subscriptions.surplus(handover).collect()
        } else {
            channel.feed.release();
            channel.subscriptions.links().collect()
        }
    }

    /// At which shards the channel must be subscribed, and was not asked for.
    fn to_enter(&self, name: &ChannelName) -> Vec<ShardId> {
        let mut state = self.state();
        let Some((channel, handover)) = state.channel(name) else {
            return Vec::new();
        };
        if !channel.is_wanted() {
            return Vec::new();
        }
        channel.subscriptions.missing(handover).cloned().collect()
    }

    fn subscribe(self: &Rc<Self>, world: &World, name: &ChannelName, shard: &ShardId) {
        let partition = role(name).partition;
        let Some(link) = self.link(shard, partition) else {
            return;
        };
        let number = world.number();
        {
            let mut state = self.state();
            let State {
                channels,
                handovers,
                commands,
                ..
            } = &mut *state;
            let (Some(channel), Some(handover)) = (channels.get_mut(name), handovers.get_mut(&partition))
            else {
                return;
            };
            if channel.asked.contains_key(&link.serial()) {
                return;
            }
            let request = channel.subscriptions.subscribing(handover, shard, link.serial());
            let Some(request) = request else { return };
            channel.asked.insert(link.serial(), request);
            let command = Command {
                link: link.serial(),
                channel: name.clone(),
                request,
                subscribe: true,
            };
            commands.insert(number, command);
        }
        link.send(
            world,
            number,
            LinkCommand::Subscribe(vec![(partition, name.clone())]),
        );
    }

    fn unsubscribe(self: &Rc<Self>, world: &World, name: &ChannelName, serial: Serial) {
        let partition = role(name).partition;
        let number = world.number();
        let link = {
            let mut state = self.state();
            let State {
                channels,
                handovers,
                commands,
                ways,
                ..
            } = &mut *state;
            let Some(channel) = channels.get_mut(name) else {
                return;
            };
            let Some(request) = channel.subscriptions.unsubscribing(serial) else {
                return;
            };
            channel.asked.remove(&serial);
            let shard = handovers
                .get(&partition)
                .and_then(|handover| handover.shard_of(serial));
            let lane = usize::from(lane_of(partition, LANES));
            let link = shard
                .and_then(|shard| ways.get(shard))
                .and_then(|way| way.link(lane))
                .filter(|link| link.serial() == serial);
            let Some(link) = link else { return };
            let command = Command {
                link: serial,
                channel: name.clone(),
                request,
                subscribe: false,
            };
            commands.insert(number, command);
            link
        };
        link.send(
            world,
            number,
            LinkCommand::Unsubscribe(vec![(partition, name.clone())]),
        );
    }

    /// A server has carried a command out.
    pub(super) fn acknowledged(self: &Rc<Self>, world: &World, number: u64) {
        let Some(command) = self.state().commands.remove(&number) else {
            return;
        };
        let partition = role(&command.channel).partition;
        let effect = {
            let mut state = self.state();
            let State {
                channels, handovers, ..
            } = &mut *state;
            let Some(handover) = handovers.get_mut(&partition) else {
                return;
            };
            match channels.get_mut(&command.channel) {
                None => Effect::Nothing,
                Some(channel) if command.subscribe => {
                    channel.subscriptions.subscribed(command.request);
                    if channel.asked.get(&command.link) == Some(&command.request) {
                        channel.asked.remove(&command.link);
                    }
                    Effect::Nothing
                }
                Some(channel) => channel.subscriptions.unsubscribed(handover, command.request),
            }
        };
        self.take_effect(world, partition, effect);
        self.tend(world, &command.channel);
        self.acknowledge(world);
        self.consider(world);
    }

    /// A link is gone.
    pub(super) fn link_down(self: &Rc<Self>, world: &World, link: &Link) {
        let serial = link.serial();
        {
            let mut state = self.state();
            state.commands.retain(|_, command| command.link != serial);
            for channel in state.channels.values_mut() {
                channel.asked.remove(&serial);
            }
        }
        for partition in partitions()
            .iter()
            .filter(|one| lane_of(**one, LANES) == link.lane)
        {
            let effect = {
                let mut state = self.state();
                let handover = state.handovers.get_mut(partition);
                handover.map_or(Effect::Nothing, |handover| handover.link_down(serial))
            };
            // Before anything is released: whoever may have missed something must not take it for continuous.
            let channels = self.state().channels_of(*partition);
            for channel in channels {
                self.notice_breaks(world, &channel);
            }
            self.take_effect(world, *partition, effect);
            self.tend_partition(world, *partition);
        }
        self.consider(world);
    }

    /// A message arrived.
    pub(super) fn message(
        self: &Rc<Self>,
        world: &World,
        link: &Link,
        name: &ChannelName,
        message: ShardMessage,
    ) {
        // A message may come before its channel's turn.
        self.settle(world, name);
        let mut out = Vec::new();
        let mut overflowed = false;
        {
            let mut state = self.state();
            let Some((channel, handover)) = state.channel(name) else {
                return;
            };
            let serial = link.serial();
            let verdict = handover.verdict(serial);
            match channel
                .subscriptions
                .receive(verdict, serial, Mail(message), &HOLD_LIMITS)
            {
                Receipt::Deliver(Mail(message)) => drop(channel.feed.message(message, &mut out)),
                Receipt::Held | Receipt::Stray => {}
                Receipt::Overflowed { .. } => {
                    overflowed = true;
                    channel.feed.missed();
                }
            }
        }
        if overflowed {
            world.note(|| format!("{} dropped what it held back of {name}", world.name(self.life)));
            world.ears().overflowed(world, self.life, name);
        }
        self.hand_out(world, name, &out);
        self.tend(world, name);
    }

    /// What was held back of a partition's channels may be handed on, if nothing is to be waited for any more.
    pub(super) fn settle_partition(self: &Rc<Self>, world: &World, partition: Partition) {
        let channels = self.state().channels_of(partition);
        for name in channels {
            self.settle(world, &name);
            self.tend(world, &name);
        }
    }

    /// Notes the end of a move, and hands on what was held back for it.
    fn settle(&self, world: &World, name: &ChannelName) {
        self.notice_breaks(world, name);
        let mut out = Vec::new();
        {
            let mut state = self.state();
            let Some((channel, handover)) = state.channel(name) else {
                return;
            };
            let settled = channel.subscriptions.settle(handover);
            if let Some(history) = settled.moved {
                let moved = match history {
                    MoveHistory::Keep => Moved::WithHistory,
                    MoveHistory::Drop => Moved::WithoutHistory,
                };
                let complete = channel.feed.is_live();
                channel.feed.moved(moved, complete);
            }
            for Mail(message) in settled.released {
                channel.feed.message(message, &mut out);
            }
        }
        self.hand_out(world, name, &out);
    }

    /// What is received of a partition's channels is not known to be continuous any more.
    pub(super) fn detach_partition(self: &Rc<Self>, world: &World, partition: Partition) {
        let mut state = self.state();
        for channel in state
            .channels
            .values_mut()
            .filter(|channel| channel.partition == partition)
        {
            channel.feed.detached();
        }
        drop(state);
        if !world.store().is_live(&self.id, world.now()) {
            self.interrupted(world, partition);
        }
    }

    /// Messages of a partition may be missing here, with good reason.
    pub(super) fn interrupted(&self, world: &World, partition: Partition) {
        let channels = self.state().channels_of(partition);
        for name in channels {
            world.ears().interrupted(self.life, &name);
        }
    }

    fn notice_attached(&self, world: &World, name: &ChannelName) {
        let mut state = self.state();
        let applied = state.topology.as_ref().map(|topology| topology.generation);
        let Some((channel, handover)) = state.channel(name) else {
            return;
        };
        if !channel.subscriptions.is_attached(handover) {
            return;
        }
        channel.feed.attached();
        drop(state);
        world
            .ears()
            .attached(world, self.life, name, applied.unwrap_or_default());
    }

    /// Hands events to the members.
    pub(super) fn hand_out(&self, world: &World, name: &ChannelName, events: &[Event]) {
        if events.is_empty() {
            return;
        }
        let members = match self.state().channels.get(name) {
            Some(channel) => channel.members.clone(),
            None => return,
        };
        for event in events {
            world.hear(self, name, &members, event);
        }
    }

    fn forget_if_gone(&self, world: &World, name: &ChannelName) {
        let mut state = self.state();
        let gone = state.channels.get(name).is_some_and(|channel| {
            !channel.is_wanted() && !channel.reading && channel.subscriptions.is_gone()
        });
        if gone {
            state.channels.remove(name);
            drop(state);
            world.ears().closed(self.life, name);
        }
    }

    pub(super) fn new_channel(&self, name: &ChannelName) -> Channel {
        let role = role(name);
        let mut state = self.state();
        let handover = state.handovers.entry(role.partition).or_default();
        Channel {
            partition: role.partition,
            feed: Feed::new(
                role.kind.limits().is_some(),
                std::sync::Arc::clone(&self.feed_limits),
            ),
            subscriptions: Subscriptions::new(handover),
            members: std::collections::BTreeSet::new(),
            waiting: std::collections::BTreeMap::new(),
            asked: std::collections::BTreeMap::new(),
            reading: false,
        }
    }

    fn read_if_needed(self: &Rc<Self>, world: &World, name: &ChannelName) {
        let mut state = self.state();
        let Some(channel) = state.channels.get_mut(name) else {
            return;
        };
        let Need::Read(read) = channel.feed.need() else {
            return;
        };
        if channel.reading || !channel.is_wanted() {
            return;
        }
        channel.reading = true;
        let pending = channel.feed.begin(read);
        drop(state);
        self.begin_read(world, name, pending);
    }
}
