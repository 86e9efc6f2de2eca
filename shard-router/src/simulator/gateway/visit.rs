//! Subscribers come to a gateway and go.

use std::rc::Rc;

use campanile_common::{ChannelName, Position};

use super::{Gateway, Waiter};
use crate::feed::{Recover, Ticket};
use crate::simulator::clients::SubscriberId;
use crate::simulator::world::World;

impl Gateway {
    /// A subscriber asks to join.
    pub(in crate::simulator) fn come(
        self: &Rc<Self>,
        world: &World,
        subscriber: SubscriberId,
        name: &ChannelName,
        recover: Option<Recover>,
    ) {
        {
            let fresh = self.new_channel(name);
            let mut state = self.state();
            let channel = state.channels.entry(name.clone()).or_insert(fresh);
            channel.feed.engage();
            let ticket = Ticket::default();
            channel.waiting.insert(subscriber, Waiter { recover, ticket });
        }
        self.tend(world, name);
    }

    /// A subscriber goes, whether it has joined or still waits.
    pub(in crate::simulator) fn go(
        self: &Rc<Self>,
        world: &World,
        subscriber: SubscriberId,
        name: &ChannelName,
    ) {
        {
            let mut state = self.state();
            let Some(channel) = state.channels.get_mut(name) else {
                return;
            };
            channel.members.remove(&subscriber);
            if let Some(mut waiter) = channel.waiting.remove(&subscriber) {
                channel.feed.forget(&mut waiter.ticket);
            }
            if !channel.is_wanted() {
                channel.feed.release();
                drop(state);
                world.ears().closed(self.life, name);
            }
        }
        self.tend(world, name);
        self.acknowledge(world);
    }

    /// Lets those in who wait and can be told the truth now.
    pub(super) fn let_in(&self, world: &World, name: &ChannelName) {
        let mut joined = Vec::new();
        {
            let mut state = self.state();
            let Some(channel) = state.channels.get_mut(name) else {
                return;
            };
            let waiting = std::mem::take(&mut channel.waiting);
            for (subscriber, mut waiter) in waiting {
                let told = channel.feed.join(
                    waiter.recover.as_ref(),
                    self.feed_limits.recovery_limit,
                    &mut waiter.ticket,
                );
                match told {
                    None => drop(channel.waiting.insert(subscriber, waiter)),
                    Some(told) => {
                        channel.feed.forget(&mut waiter.ticket);
                        channel.members.insert(subscriber);
                        joined.push((subscriber, waiter.recover, told));
                    }
                }
            }
        }
        for (subscriber, recover, told) in joined {
            world.ears().opened(world, self.life, name);
            world.welcome(self, (subscriber, name), recover.as_ref(), &told);
        }
    }

    /// Where a channel's delivery stands.
    pub(in crate::simulator) fn delivered(&self, name: &ChannelName) -> Option<Position> {
        self.state().channels.get(name)?.feed.delivered().cloned()
    }

    /// Whether anybody here wants a channel.
    pub(in crate::simulator) fn wants(&self, name: &ChannelName) -> bool {
        self.state()
            .channels
            .get(name)
            .is_some_and(super::Channel::is_wanted)
    }

    /// What is not as it should be at the end, in words.
    pub(in crate::simulator) fn unrest(&self) -> Option<String> {
        let state = self.state();
        state.channels.iter().find_map(|(name, channel)| {
            if !channel.waiting.is_empty() {
                return Some(format!("subscribers of {name} still wait"));
            }
            if channel.is_wanted() && !channel.feed.is_live() {
                return Some(format!("{name} is not received"));
            }
            channel
                .subscriptions
                .holds_back()
                .then(|| format!("{name} is held back"))
        })
    }
}
