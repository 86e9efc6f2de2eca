//! What breaks things: faults drawn at random, begun and ended by one task that owns all processes.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use campanile_tests::cluster::Cluster;
use campanile_tests::gateway::Gateway;
use campanile_tests::redis::RedisServer;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use tokio::task::JoinSet;

use crate::deployment::{DURABLE, Deployment, Standby};
use crate::model::Place;
use crate::world::World;

/// Breaks and mends.
pub(crate) struct Nemesis {
    pub(crate) world: Arc<World>,
    pub(crate) cluster: Cluster,
    pub(crate) standby: Option<Standby>,
    pub(crate) random: StdRng,
    /// Requests that are not answered yet.
    pub(crate) requests: JoinSet<()>,
    /// What is to be mended, and when.
    pub(crate) under_way: Vec<(Instant, Target, Mending)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Shard(usize),
    Store,
    Gateway(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mending {
    Resume,
    Restart,
}

/// What a shard's server finds when it is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Disk {
    Kept,
    Truncated,
    Empty,
}

impl Nemesis {
    /// Takes the cluster over.
    pub(crate) fn new(world: &Arc<World>, deployment: Deployment, seed: u64) -> Self {
        Self {
            world: Arc::clone(world),
            cluster: deployment.cluster,
            standby: deployment.standby,
            random: StdRng::seed_from_u64(seed),
            requests: JoinSet::new(),
            under_way: Vec::new(),
        }
    }

    /// Breaks things for `duration`, then mends everything.
    pub(crate) async fn rage(mut self, duration: Duration) -> Result<(Cluster, Option<Standby>)> {
        let end = Instant::now() + duration;
        self.join();
        while Instant::now() < end {
            let pause = Duration::from_millis(self.random.random_range(50..800));
            self.mend_until(Instant::now() + pause).await?;
            self.strike().await?;
        }
        if let Some(last) = self.under_way.iter().map(|(due, ..)| *due).max() {
            self.mend_until(last + Duration::from_millis(1)).await?;
        }
        self.requests.shutdown().await;
        Ok((self.cluster, self.standby))
    }

    async fn strike(&mut self) -> Result<()> {
        if self.standby.is_some() {
            match self.random.random_range(0..100) {
                0..5 => return self.fail_over().await,
                5..12 => return self.lose_shard(),
                12..18 => {
                    // Nothing more for a while, so that moves get somewhere while clients are at work.
                    let lull = Duration::from_millis(self.random.random_range(1000..5000));
                    return self.mend_until(Instant::now() + lull).await;
                }
                18..45 => {
                    self.reshape();
                    return Ok(());
                }
                _ => {}
            }
        }
        match self.random.random_range(0..100) {
            0..45 => self.hit_shard_process().await,
            45..60 => self.hit_shard_connections().await,
            60..72 => self.remove_history().await,
            72..85 => self.hit_store(),
            _ if self.world.focus.is_some() => Ok(()),
            85..92 => self.pause_gateway(),
            _ => self.kill_gateway(),
        }
    }

    async fn hit_shard_process(&mut self) -> Result<()> {
        let index = self.any_shard();
        if !self.is_whole(Target::Shard(index)) {
            return Ok(());
        }
        let down = Duration::from_millis(self.random.random_range(0..2500));
        let stall = Duration::from_millis(self.random.random_range(50..400));
        let pause = Duration::from_millis(self.random.random_range(400..4500));
        let target = Target::Shard(index);
        match self.random.random_range(0..100) {
            0..20 => self.pause(target, stall),
            20..45 => self.pause(target, pause),
            45..60 => self.kill_shard(index, Disk::Kept, down),
            60..75 if index != DURABLE => self.kill_shard(index, Disk::Truncated, down),
            75..88 => self.kill_shard(index, Disk::Empty, down),
            _ => {
                self.world.model.count("faults: flushed");
                self.shard(index).flush().await
            }
        }
    }

    async fn hit_shard_connections(&mut self) -> Result<()> {
        let index = self.any_shard();
        if !self.is_whole(Target::Shard(index)) {
            return Ok(());
        }
        let kind = if self.random.random_bool(0.5) {
            "pubsub"
        } else {
            "normal"
        };
        self.world.model.count("faults: connections killed");
        self.shard(index)
            .command::<i64>(&["CLIENT", "KILL", "TYPE", kind])
            .await?;
        Ok(())
    }

    /// Removes a channel's history, and notes what was in it, as far as gateways answer.
    async fn remove_history(&mut self) -> Result<()> {
        let channel = &self.world.channels[self.random.random_range(0..self.world.channels.len())];
        let seat = self
            .world
            .seat(self.random.random_range(0..self.world.gateway_count()));
        let elsewhere = self.world.focus.is_some() && channel.shard != self.world.focus;
        // A gateway that is paused would keep this task from ending its pause.
        if !channel.stream || elsewhere || !self.world.still(&seat) {
            return Ok(());
        }
        let top = seat
            .api
            .try_call("history", &json!({ "channel": channel.name }))
            .await;
        let (Ok(Ok(top)), Ok(Ok(_))) = (
            top,
            seat.api
                .try_call("history_remove", &json!({ "channel": channel.name }))
                .await,
        ) else {
            return Ok(());
        };
        self.world.model.count("faults: history removed");
        let place = Place {
            epoch: top["epoch"].as_str().unwrap_or_default().to_owned(),
            offset: top["offset"].as_u64().unwrap_or_default(),
        };
        self.world.model.removed(&channel.name, place);
        Ok(())
    }

    fn hit_store(&mut self) -> Result<()> {
        if !self.is_whole(Target::Store) {
            return Ok(());
        }
        // Where one shard alone may be in trouble, no longer than gateways' registrations last without it: a gateway that has
        // expired begins its connections to all shards anew.
        let longest = if self.world.focus.is_some() { 2000 } else { 6000 };
        let time = Duration::from_millis(self.random.random_range(200..longest));
        if self.random.random_bool(0.5) {
            self.pause(Target::Store, time)
        } else {
            self.world.model.count("faults: store killed");
            self.cluster.store.kill();
            self.under_way
                .push((Instant::now() + time, Target::Store, Mending::Restart));
            Ok(())
        }
    }

    fn kill_gateway(&mut self) -> Result<()> {
        let index = self.random.random_range(0..self.cluster.gateways.len());
        if !self.is_whole(Target::Gateway(index)) {
            return Ok(());
        }
        self.world.model.count("faults: gateway killed");
        self.world.dies(index);
        self.cluster.gateways[index].process_mut().kill();
        let back = Instant::now() + Duration::from_millis(self.random.random_range(0..2000));
        self.under_way
            .push((back, Target::Gateway(index), Mending::Restart));
        Ok(())
    }

    /// Long enough, sometimes, that the others think it gone.
    fn pause_gateway(&mut self) -> Result<()> {
        let index = self.random.random_range(0..self.cluster.gateways.len());
        let time = Duration::from_millis(self.random.random_range(100..13_000));
        if self.is_whole(Target::Gateway(index)) {
            self.world.model.count("faults: gateway paused");
            self.world.dies(index);
            self.cluster.gateways[index].process().pause();
            self.under_way
                .push((Instant::now() + time, Target::Gateway(index), Mending::Resume));
        }
        Ok(())
    }

    fn pause(&mut self, target: Target, time: Duration) -> Result<()> {
        self.world.model.count("faults: paused");
        self.server(target).context("a server")?.pause();
        self.under_way
            .push((Instant::now() + time, target, Mending::Resume));
        Ok(())
    }

    fn kill_shard(&mut self, index: usize, disk: Disk, down: Duration) -> Result<()> {
        self.world.model.count(match disk {
            Disk::Kept => "faults: shard killed",
            Disk::Truncated => "faults: shard killed, end of its file lost",
            Disk::Empty => "faults: shard killed, restarted empty",
        });
        let lost = self.random.random_range(1..6000);
        let shard = &mut self.cluster.shards[index];
        shard.kill();
        let folder = shard.dir().join("appendonlydir");
        match disk {
            _ if !folder.exists() => {}
            Disk::Kept => {}
            Disk::Truncated => truncate_newest(&folder, lost)?,
            Disk::Empty => std::fs::remove_dir_all(folder)?,
        }
        self.under_way
            .push((Instant::now() + down, Target::Shard(index), Mending::Restart));
        Ok(())
    }

    /// Mends what is due, until `end`.
    pub(crate) async fn mend_until(&mut self, end: Instant) -> Result<()> {
        loop {
            let next = self.under_way.iter().map(|(due, ..)| *due).min();
            let next = next.map_or(end, |due| due.min(end));
            tokio::time::sleep_until(next.into()).await;
            if next == end {
                return Ok(());
            }
            let (due, later): (Vec<_>, Vec<_>) = self
                .under_way
                .drain(..)
                .partition(|(due, ..)| *due <= Instant::now());
            self.under_way = later;
            for (_, target, mending) in due {
                self.mend(target, mending).await?;
            }
        }
    }

    async fn mend(&mut self, target: Target, mending: Mending) -> Result<()> {
        if let (Target::Gateway(index), Mending::Restart) = (target, mending) {
            let config = self
                .cluster
                .config()
                .clone()
                .set("node.name", format!("gateway-{}", index + 1));
            let gateway = Gateway::launch(&config).await?;
            self.world.returns(index, &gateway);
            self.cluster.gateways[index] = gateway;
            return Ok(());
        }
        if let Target::Gateway(index) = target {
            self.cluster.gateways[index].process().resume();
            self.world.returns(index, &self.cluster.gateways[index]);
            return Ok(());
        }
        let server = self.server(target).context("a server")?;
        match mending {
            Mending::Resume => server.resume(),
            Mending::Restart => server.restart().await?,
        }
        Ok(())
    }

    fn any_shard(&mut self) -> usize {
        let any = self.random.random_range(0..self.cluster.shards.len());
        self.world.focus.unwrap_or(any)
    }

    pub(crate) fn is_whole(&self, target: Target) -> bool {
        self.under_way.iter().all(|(_, other, _)| *other != target)
    }

    fn shard(&self, index: usize) -> &RedisServer {
        &self.cluster.shards[index]
    }

    fn server(&mut self, target: Target) -> Option<&mut RedisServer> {
        match target {
            Target::Shard(index) => self.cluster.shards.get_mut(index),
            Target::Store => Some(&mut self.cluster.store),
            Target::Gateway(_) => None,
        }
    }
}

/// Cuts the end off the append-only file that is being written.
fn truncate_newest(folder: &std::path::Path, bytes: u64) -> Result<()> {
    let files = std::fs::read_dir(folder)?.collect::<std::io::Result<Vec<_>>>()?;
    let mut files: Vec<PathBuf> = files.into_iter().map(|file| file.path()).collect();
    files.retain(|file| file.to_string_lossy().ends_with(".incr.aof"));
    files.sort();
    let newest = files.last().context("no append-only file")?;
    let file = std::fs::File::options().write(true).open(newest)?;
    file.set_len(file.metadata()?.len().saturating_sub(bytes))?;
    Ok(())
}
