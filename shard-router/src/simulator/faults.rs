//! What goes wrong, and its end.

use super::gateway::Gateway;
use super::kernel::{Life, MS, Micros, Pid};
use super::operator::BULK;
use super::server::Found;
use super::world::World;
use crate::topology::ShardId;

impl World {
    /// Has things go wrong again and again.
    pub(super) fn start_faults(&self) {
        let pause = self.about(self.profile().fault_every);
        self.later(pause, |world| {
            if world.is_busy() {
                world.strike();
                world.start_faults();
            }
        });
    }

    fn strike(&self) {
        let faults = self.profile().faults.clone();
        let falls = |likelihood: u64| likelihood > 0 && self.rng().chance(likelihood);
        if falls(faults.break_connection) {
            self.break_some_connection();
        }
        if falls(faults.break_link) {
            self.break_some_link();
        }
        if falls(faults.pause_gateway) {
            let gateways = self.alive();
            let gateway = self.rng().pick(&gateways).map(|gateway| gateway.life.pid);
            self.pause_somebody(gateway);
        }
        if falls(faults.kill_gateway) {
            self.kill_gateway();
        }
        if falls(faults.pause_coordinator) {
            let coordinator = self.some_coordinator();
            self.pause_somebody(coordinator.map(|life| life.pid));
        }
        if falls(faults.kill_coordinator) {
            self.kill_coordinator();
        }
        if falls(faults.store_outage) {
            self.lose_store();
        }
        self.strike_shards();
    }

    fn strike_shards(&self) {
        let faults = &self.profile().faults;
        let falls = |likelihood: u64| likelihood > 0 && self.rng().chance(likelihood);
        let some_shard = || {
            let shards: Vec<ShardId> = self
                .servers()
                .keys()
                .filter(|id| id.as_str() != BULK)
                .cloned()
                .collect();
            self.rng().pick(&shards).cloned()
        };
        let Some(shard) = some_shard() else { return };
        if falls(250)
            && let Some(server) = self.servers().get_mut(&shard)
        {
            server.take_snapshot();
        }
        if falls(faults.pause_shard) {
            let pid = self.servers().get(&shard).map(|server| server.life.pid);
            self.pause_somebody(pid);
        }
        let older = if self.rng().chance(500) {
            Found::Older
        } else {
            Found::Promoted
        };
        for (likelihood, found) in [
            (faults.restart_whole, Found::All),
            (faults.restart_empty, Found::Nothing),
            (faults.restart_older, older),
        ] {
            if falls(likelihood) {
                self.crash(&shard);
                let (pause, shard) = (self.rng().between(MS, 400 * MS), shard.clone());
                self.later(pause, move |world| world.restart(&shard, found));
            }
        }
        if falls(faults.lose_shard) {
            self.crash(&shard);
            self.evict_later(&shard, 300 * MS);
            let found = if self.rng().chance(500) { Found::All } else { older };
            let (pause, shard) = (self.rng().between(400 * MS, 3000 * MS), shard.clone());
            self.later(pause, move |world| world.restart(&shard, found));
        }
        if falls(faults.evict_alive) {
            self.evict_later(&shard, 0);
        }
    }

    fn evict_later(&self, shard: &ShardId, delay: Micros) {
        let (life, shard) = (self.operator(), shard.clone());
        self.later(delay, move |world| {
            let of_world = world.clone();
            world.spawn(life, of_world.evict(life, shard));
        });
    }

    fn break_some_connection(&self) {
        let mut number = 0;
        let count = self.count_connections();
        if count == 0 {
            return;
        }
        let chosen = self.rng().index(count);
        self.note(|| "a connection breaks".to_owned());
        self.break_connections(|_| {
            number += 1;
            number == chosen + 1
        });
    }

    fn break_some_link(&self) {
        let keys: Vec<_> = self
            .servers()
            .values()
            .flat_map(|server| server.links.keys().copied())
            .collect();
        let Some(chosen) = self.rng().pick(&keys).copied() else {
            return;
        };
        self.break_links(|link| link.key == chosen);
    }

    fn pause_somebody(&self, pid: Option<Pid>) {
        let Some(pid) = pid else { return };
        let pause = self.rng().between(MS, self.profile().longest_pause);
        self.note(|| format!("process {} stops for {} ms", pid.0, pause / MS));
        self.pause_for(pid, pause);
    }

    fn kill_gateway(&self) {
        let gateways = self.alive();
        let Some(gateway) = self.rng().pick(&gateways).cloned() else {
            return;
        };
        let life = gateway.life;
        self.note(|| format!("{} dies", self.name(life)));
        self.end(life);
        let pause = self.rng().between(MS, 800 * MS);
        self.later(pause, |world| world.start_gateway());
    }

    /// Starts one more gateway.
    pub(super) fn start_gateway(&self) {
        let life = self.kernel().process();
        self.call_it(life, format!("g{}", self.gateways().len()));
        Gateway::start(self, life);
    }

    fn some_coordinator(&self) -> Option<Life> {
        let coordinators = self.coordinators();
        let alive: Vec<Life> = coordinators
            .iter()
            .copied()
            .filter(|life| self.kernel().is_alive(*life))
            .collect();
        drop(coordinators);
        self.rng().pick(&alive).copied()
    }

    fn kill_coordinator(&self) {
        let Some(life) = self.some_coordinator() else {
            return;
        };
        self.note(|| format!("{} dies", self.name(life)));
        self.end(life);
        let pause = self.rng().between(MS, 800 * MS);
        self.later(pause, |world| world.add_coordinator());
    }

    /// Starts one more coordinator.
    pub(super) fn add_coordinator(&self) {
        let life = self.kernel().process();
        self.call_it(life, format!("c{}", self.coordinators().len()));
        self.coordinators().push(life);
        self.start_coordinator(life);
    }

    /// Ends a process; its connections end with it.
    fn end(&self, life: Life) {
        let tasks = self.kernel().kill(life.pid);
        drop(tasks);
        self.break_links(|link| link.client() == life);
        self.break_connections(|connection| connection.client() == life);
        let heard = self.ears().of(life);
        for (_, name) in heard {
            self.ears().closed(life, &name);
        }
    }

    fn lose_store(&self) {
        self.note(|| "the store cannot be reached".to_owned());
        self.store().available = false;
        let pause = self.rng().between(MS, self.profile().longest_pause);
        self.later(pause, |world| world.store().available = true);
    }

    /// The end of all faults: nobody is paused, everybody is there.
    pub(super) fn mend(&self) {
        self.note(|| "nothing fails from here on".to_owned());
        self.store().available = true;
        self.kernel().resume_all();
        let shards: Vec<ShardId> = self.servers().keys().cloned().collect();
        for shard in shards {
            self.restart(&shard, Found::All);
        }
        if self.alive().is_empty() {
            self.start_gateway();
        }
        if self.some_coordinator().is_none() {
            self.add_coordinator();
        }
    }
}
