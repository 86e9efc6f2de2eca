//! Pub/Sub links: commands travel there and messages, markers and acknowledgements back, each way in order and after any
//! delay.

use std::cell::Cell;
use std::rc::Rc;

use campanile_common::ChannelName;

use super::kernel::{Life, Micros, SECOND};
use super::task::{Reply, Signal};
use super::world::World;
use crate::memory::state::{LinkEvent, LinkKey};
use crate::partition::Partition;
use crate::topology::ShardId;

/// One life of one Pub/Sub link of a gateway.
pub(super) struct Link {
    pub(super) shard: ShardId,
    pub(super) lane: u8,
    /// Its name at the server, and its serial number at the gateway.
    pub(super) key: LinkKey,
    client: Life,
    server: Life,
    there: Cell<Micros>,
    back: Cell<Micros>,
    /// Nothing that is sent from now on arrives.
    cut: Cell<bool>,
    /// The gateway has no ear for it any more.
    closed: Cell<bool>,
    gone: Signal,
}

/// What a link brings to its gateway.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant)] // Nearly all are messages: boxing them would only cost.
pub(super) enum Arrival {
    /// A message or a marker.
    Event(LinkEvent),
    /// The server has carried this command out.
    Acknowledged(u64),
    /// It is gone.
    Down,
}

/// A command to the server.
#[derive(Clone, Debug)]
pub(super) enum LinkCommand {
    Subscribe(Vec<(Partition, ChannelName)>),
    Unsubscribe(Vec<(Partition, ChannelName)>),
}

impl Link {
    pub(super) fn serial(&self) -> u64 {
        self.key.0
    }

    pub(super) fn client(&self) -> Life {
        self.client
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// Sends a command; its number comes back as [`Arrival::Acknowledged`] when the server has carried it out.
    pub(super) fn send(self: &Rc<Self>, world: &World, number: u64, command: LinkCommand) {
        let link = Rc::clone(self);
        let arrive = move |world: &World| {
            if link.cut.get() {
                return;
            }
            world.execute(&link.shard, |state| match &command {
                LinkCommand::Subscribe(channels) => {
                    for (partition, channel) in channels {
                        state.subscribe(link.key, *partition, channel);
                    }
                }
                LinkCommand::Unsubscribe(channels) => {
                    for (partition, channel) in channels {
                        state.unsubscribe(link.key, *partition, channel);
                    }
                }
            });
            world.note(|| {
                format!(
                    "{} carries out {command:?} of {}",
                    link.shard,
                    world.name(link.client)
                )
            });
            link.bring(world, Arrival::Acknowledged(number));
        };
        let at = world.arrival(&self.there);
        world.kernel().schedule(Some(self.server), at, Box::new(arrive));
    }

    /// Sends a message or marker on its way.
    pub(super) fn deliver(self: &Rc<Self>, world: &World, event: LinkEvent) {
        if !self.cut.get() {
            self.bring(world, Arrival::Event(event));
        }
    }

    fn bring(self: &Rc<Self>, world: &World, arrival: Arrival) {
        let link = Rc::clone(self);
        let at = world.arrival(&self.back);
        let arrive = move |world: &World| {
            if link.closed.get() {
                return;
            }
            if matches!(arrival, Arrival::Down) {
                link.end(world);
            }
            world.note(|| {
                let Link {
                    shard, client, key, ..
                } = &*link;
                format!(
                    "{} gets from {shard} (link {}): {arrival:?}",
                    world.name(*client),
                    key.0
                )
            });
            world.link_brings(&link, arrival);
        };
        world.kernel().schedule(Some(self.client), at, Box::new(arrive));
    }

    /// Waits, as its gateway, until it is gone.
    pub(super) async fn gone(&self, world: &World) {
        while !self.is_closed() {
            self.gone.wait(world, self.client, SECOND).await;
        }
    }

    /// Nothing is heard of it any more; false: that was so already.
    fn end(&self, world: &World) -> bool {
        let ended = !self.closed.replace(true);
        if ended {
            self.gone.notify(world);
        }
        ended
    }

    /// The server has lost it (or is gone itself). What is under way arrives before the gateway notices, or not at all.
    pub(super) fn lost(self: &Rc<Self>, world: &World) {
        if self.cut.replace(true) {
            return;
        }
        if world.rng().chance(500) {
            // The gateway notices first: nothing that is under way is heard.
            let link = Rc::clone(self);
            let delay = world.latency();
            world.after(self.client, delay, move |world| {
                if link.end(world) {
                    world.note(|| {
                        format!(
                            "{} notices that link {} broke",
                            world.name(link.client),
                            link.key.0
                        )
                    });
                    world.link_brings(&link, Arrival::Down);
                }
            });
        } else {
            self.bring(world, Arrival::Down);
        }
    }

    /// The gateway closes it: nothing more is heard, and the server learns of it.
    pub(super) fn close(self: &Rc<Self>, world: &World) {
        if !self.end(world) {
            return;
        }
        self.cut.set(true);
        let link = Rc::clone(self);
        let at = world.arrival(&self.there);
        let forget = move |world: &World| {
            world.execute(&link.shard, |state| state.detach(link.key));
            if let Some(server) = world.servers().get_mut(&link.shard) {
                server.links.remove(&link.key);
            }
        };
        world.kernel().schedule(Some(self.server), at, Box::new(forget));
    }
}

impl World {
    /// Makes a link from `client` to the run `server` of `shard`; answered when the server hears it and has it subscribed
    /// to the markers. `None`: it is not to be had.
    pub(super) fn attach(
        &self,
        client: Life,
        shard: &ShardId,
        server: Life,
        lane: u8,
    ) -> Reply<Option<Rc<Link>>> {
        let (filler, reply) = self.reply();
        let link = Rc::new(Link {
            shard: shard.clone(),
            lane,
            key: LinkKey(self.number()),
            client,
            server,
            there: Cell::default(),
            back: Cell::default(),
            cut: Cell::default(),
            closed: Cell::default(),
            gone: Signal::default(),
        });
        let answer = filler.clone();
        let reach = move |world: &World| {
            world.execute(&link.shard, |state| state.attach(link.key));
            if let Some(server) = world.servers().get_mut(&link.shard) {
                server.links.insert(link.key, Rc::clone(&link));
            }
            let at = world.arrival(&link.back);
            let up = Box::new(move |world: &World| {
                if answer.is_filled() || link.closed.get() || link.cut.get() {
                    link.close(world);
                    answer.fill(world, None);
                } else {
                    answer.fill(world, Some(link));
                }
            });
            world.kernel().schedule(Some(client), at, up);
        };
        let at = self.now() + self.latency();
        self.kernel().schedule(Some(server), at, Box::new(reach));
        let patience = self.profile().patience;
        self.after(client, patience, move |world| filler.fill(world, None));
        reply
    }

    /// Loses some of the links between gateways and servers.
    pub(super) fn break_links(&self, which: impl Fn(&Link) -> bool) {
        let mut broken = Vec::new();
        for server in self.servers().values_mut() {
            let lost: Vec<_> = server
                .links
                .values()
                .filter(|link| which(link))
                .cloned()
                .collect();
            for link in lost {
                server.links.remove(&link.key);
                if let Some(state) = &mut server.state {
                    state.detach(link.key);
                }
                broken.push(link);
            }
        }
        for link in broken {
            self.note(|| {
                format!(
                    "link {} between {} and {} breaks",
                    link.key.0,
                    self.name(link.client),
                    link.shard
                )
            });
            link.lost(self);
        }
    }
}
