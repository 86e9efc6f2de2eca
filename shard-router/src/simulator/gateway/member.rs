//! Membership, as the membership's driver does it: register, then read; refresh; join anew when found expired.

use std::rc::Rc;
use std::sync::Arc;

use super::Gateway;
use crate::simulator::cast::partitions;
use crate::simulator::kernel::MS;
use crate::simulator::task::Signal;
use crate::simulator::world::World;
use crate::store::GatewayReport;
use crate::topology::{Generation, Topology};

impl Gateway {
    /// Registers, follows the topology and keeps registered, until it dies.
    pub(super) fn become_member(self: &Rc<Self>, world: &World) {
        let changed = Signal::default();
        let notice = changed.clone();
        world.watch_store(self.life, move |world| notice.notify(world));
        let (gateway, world_of_task) = (Rc::clone(self), world.clone());
        let joined = changed.clone();
        world.spawn(
            self.life,
            async move { gateway.beat(world_of_task, joined).await },
        );
        let (gateway, world_of_task) = (Rc::clone(self), world.clone());
        world.spawn(
            self.life,
            async move { gateway.follow(world_of_task, changed).await },
        );
    }

    /// Reads the topology whenever it has changed, after each joining, and now and then.
    async fn follow(self: Rc<Self>, world: World, changed: Signal) {
        loop {
            let joined = self.state().joined;
            if joined > 0
                && let Ok(topology) = world.read_topology(self.life).await
            {
                self.has_read(&world, joined, topology);
            }
            changed.wait(&world, self.life, 300 * MS).await;
        }
    }

    /// What was asked for before joining anew must not be served after it, and nothing older than what is known.
    fn has_read(self: &Rc<Self>, world: &World, joined: u64, topology: Arc<Topology>) {
        let mut state = self.state();
        if state.joined != joined {
            return;
        }
        let known = state.newest.as_ref();
        let news = known.is_none_or(|(of, newest)| *of < joined || newest.generation < topology.generation);
        let older = known.is_some_and(|(_, newest)| topology.generation < newest.generation);
        if news && !older {
            state.newest = Some((joined, topology));
            drop(state);
            self.consider(world);
        }
    }

    /// Registers and keeps registered.
    async fn beat(self: Rc<Self>, world: World, reread: Signal) {
        loop {
            let joined = self.state().joined;
            let report = self.report();
            match world.register(self.life, &self.id, report, joined > 0).await {
                Ok(true) if joined == 0 => {
                    self.state().joined = 1;
                    reread.notify(&world);
                }
                Ok(true) | Err(_) => {}
                Ok(false) => {
                    world.note(|| format!("{} finds itself expired", world.name(self.life)));
                    self.register_anew(&world).await;
                    self.state().joined += 1;
                    reread.notify(&world);
                }
            }
            let pause = world.profile().registration_ttl / 4;
            self.news.wait(&world, self.life, pause).await;
        }
    }

    async fn register_anew(&self, world: &World) {
        loop {
            let report = GatewayReport::default();
            if world.register(self.life, &self.id, report, false).await.is_ok() {
                return;
            }
            world.sleep(self.life, 20 * MS).await;
        }
    }

    fn report(&self) -> GatewayReport {
        let state = self.state();
        let (of, acknowledged) = state.acknowledged;
        let applied = if of == state.joined {
            acknowledged
        } else {
            Generation::default()
        };
        GatewayReport {
            applied,
            ..GatewayReport::default()
        }
    }

    /// Tells the store, once everything is as the applied topology wants it.
    pub(super) fn acknowledge(&self, world: &World) {
        let mut state = self.state();
        let Some(topology) = state.topology.clone() else {
            return;
        };
        let acknowledged = (state.serving, topology.generation);
        if state.acknowledged == acknowledged {
            return;
        }
        let ready = partitions().iter().all(|partition| {
            let handover = &state.handovers[partition];
            let lacking = state
                .channels
                .values()
                .filter(|channel| channel.partition == *partition && channel.is_wanted())
                .filter(|channel| channel.subscriptions.lacks(handover))
                .count();
            handover.is_acknowledgeable(lacking)
        });
        if ready {
            state.acknowledged = acknowledged;
            drop(state);
            world.note(|| format!("{} has applied {}", world.name(self.life), topology.generation));
            self.news.notify(world);
        }
    }

    /// What is applied, if anything.
    pub(in crate::simulator) fn applied(&self) -> Option<Arc<Topology>> {
        self.state().topology.clone()
    }
}
