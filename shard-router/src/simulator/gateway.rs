//! A gateway: the pure [`Handover`], [`Subscriptions`] and [`Feed`], and what joins them to links, connections and the
//! store. What is here says the same as the router's drivers, without a runtime.

use std::cell::{RefCell, RefMut};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use campanile_common::ChannelName;

use super::clients::SubscriberId;
use super::kernel::Life;
use super::link::{Arrival, Link};
use super::task::Signal;
use super::world::World;
use crate::feed::{Feed, FeedLimits, KeptBytes, Recover, Ticket};
use crate::handover::{Handover, HoldLimits, Request, Serial, Subscriptions, Weighed};
use crate::memory::state::LinkEvent;
use crate::partition::Partition;
use crate::publication::ShardMessage;
use crate::store::GatewayId;
use crate::topology::{Generation, ShardId, Topology};

mod channel;
mod member;
pub(super) mod publish;
mod read;
mod serve;
mod visit;
mod way;

use way::Way;

/// Pub/Sub links from each gateway to each shard.
pub(super) const LANES: u8 = 2;

/// What is held back of one channel at most.
const HOLD_LIMITS: HoldLimits = HoldLimits {
    messages: 24,
    bytes: 1 << 20,
};

pub(super) struct Gateway {
    pub(super) life: Life,
    /// Unique per start.
    pub(super) id: GatewayId,
    feed_limits: Arc<FeedLimits>,
    state: RefCell<State>,
    /// A topology was applied, a connection made, or something else that those who wait may go on for.
    stirred: Signal,
    /// There is something to tell the store.
    news: Signal,
}

struct State {
    /// How often it has registered as one that holds nothing; 0 before it first has.
    joined: u64,
    /// What is applied, and which joining it is from.
    topology: Option<Arc<Topology>>,
    serving: u64,
    /// The newest that was read, and after which joining.
    newest: Option<(u64, Arc<Topology>)>,
    /// What the store is told, and of which joining.
    acknowledged: (u64, Generation),
    handovers: BTreeMap<Partition, Handover>,
    channels: BTreeMap<ChannelName, Channel>,
    ways: BTreeMap<ShardId, Way>,
    /// Commands on links that are not answered yet.
    commands: BTreeMap<u64, Command>,
}

/// A command that was sent on a link.
struct Command {
    link: Serial,
    channel: ChannelName,
    request: Request,
    subscribe: bool,
}

/// A channel that somebody is subscribed to, or about to be.
struct Channel {
    partition: Partition,
    feed: Feed,
    subscriptions: Subscriptions<Mail>,
    members: BTreeSet<SubscriberId>,
    waiting: BTreeMap<SubscriberId, Waiter>,
    /// By link, the SUBSCRIBE that is under way on it.
    asked: BTreeMap<Serial, Request>,
    /// Whether a read is under way.
    reading: bool,
}

/// A message that may be held back.
#[derive(Debug)]
struct Mail(ShardMessage);

impl Weighed for Mail {
    fn bytes(&self) -> usize {
        100
    }
}

/// A subscriber that waits to join.
struct Waiter {
    recover: Option<Recover>,
    ticket: Ticket,
}

impl Gateway {
    /// Starts a gateway.
    pub(super) fn start(world: &World, life: Life) -> Rc<Self> {
        let name = world.name(life);
        let gateway = Rc::new(Self {
            life,
            id: GatewayId(Arc::from(format!("{name}-{}", world.number()))),
            feed_limits: Arc::new(FeedLimits {
                window_publications: 6,
                window_bytes: 1 << 20,
                held_messages: 16,
                held_bytes: 1 << 20,
                heal_page: 3,
                recovery_limit: 400,
                kept: KeptBytes::new(1 << 20),
            }),
            state: RefCell::new(State {
                joined: 0,
                topology: None,
                serving: 0,
                newest: None,
                acknowledged: (0, Generation::default()),
                handovers: BTreeMap::new(),
                channels: BTreeMap::new(),
                ways: BTreeMap::new(),
                commands: BTreeMap::new(),
            }),
            stirred: Signal::default(),
            news: Signal::default(),
        });
        world.gateways().push(Rc::clone(&gateway));
        gateway.become_member(world);
        gateway
    }

    fn state(&self) -> RefMut<'_, State> {
        self.state.borrow_mut()
    }

    /// Something arrived on a link.
    pub(super) fn link_brings(self: &Rc<Self>, world: &World, link: &Rc<Link>, arrival: Arrival) {
        match arrival {
            Arrival::Event(LinkEvent::Message { channel, message }) => {
                self.message(world, link, &channel, message);
            }
            Arrival::Event(LinkEvent::Marker {
                partition,
                generation,
            }) => self.marker(world, link, partition, generation),
            Arrival::Acknowledged(number) => self.acknowledged(world, number),
            Arrival::Down => self.link_down(world, link),
        }
    }
}

impl State {
    /// A channel and its partition's handover.
    fn channel(&mut self, name: &ChannelName) -> Option<(&mut Channel, &mut Handover)> {
        let channel = self.channels.get_mut(name)?;
        let handover = self.handovers.get_mut(&channel.partition)?;
        Some((channel, handover))
    }

    /// The channels of one partition.
    fn channels_of(&self, partition: Partition) -> Vec<ChannelName> {
        let of = self
            .channels
            .iter()
            .filter(|(_, channel)| channel.partition == partition);
        of.map(|(name, _)| name.clone()).collect()
    }
}

impl Channel {
    fn is_wanted(&self) -> bool {
        !self.members.is_empty() || !self.waiting.is_empty()
    }
}
