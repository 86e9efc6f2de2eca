//! The ring is reshaped while things break: shards join, leave, are drained, weigh more; a replica takes over.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use campanile_tests::redis::RedisServer;
use rand::Rng as _;
use serde_json::{Value, json};

use crate::deployment::{REPLICATED, SPARE};
use crate::faults::{Mending, Nemesis, Target};

impl Nemesis {
    /// Has the spare shard join, if anything is to be reshaped.
    pub(crate) fn join(&mut self) {
        if self.standby.is_some() {
            let url = self.cluster.shards.last().map(RedisServer::url);
            self.ask("reshaped: add", "add", json!({ "name": SPARE, "url": url }));
        }
    }

    /// Asks for some change.
    pub(crate) fn reshape(&mut self) {
        let shards = self.cluster.shards.len();
        let any = match self.random.random_range(0..shards) {
            last if last + 1 == shards => SPARE.to_owned(),
            index => format!("redis-{}", index + 1),
        };
        let weight = self.random.random_range(1..4);
        match self.random.random_range(0..100) {
            0..30 => self.join(),
            30..50 => self.ask("reshaped: remove", "remove", json!({ "name": SPARE })),
            50..70 => self.ask("reshaped: drain", "drain", json!({ "name": any })),
            70..90 => self.ask("reshaped: undo", "drain", json!({ "name": any, "undo": true })),
            _ => self.ask(
                "reshaped: weight",
                "weight",
                json!({ "name": any, "weight": weight }),
            ),
        }
    }

    /// Asks a gateway, which may well refuse. Nobody waits for the answer: the gateway may be paused.
    fn ask(&mut self, what: &'static str, method: &'static str, params: Value) {
        let gateway = self.random.random_range(0..self.cluster.gateways.len());
        let (world, api) = (Arc::clone(&self.world), self.world.seat(gateway).api);
        self.requests.spawn(async move {
            let answer = api.try_call(&format!("shards/{method}"), &params).await;
            world.model.count(match answer {
                Ok(Ok(_)) => what,
                Ok(Err(_)) => "reshaped: refused",
                Err(_) => "reshaped: not answered",
            });
        });
    }

    /// A shard is away for so long that it may be given up, and then is there again as it was.
    pub(crate) fn lose_shard(&mut self) -> Result<()> {
        let index = self.random.random_range(0..self.cluster.shards.len());
        let away = Duration::from_millis(self.random.random_range(3000..8000));
        let stopped = self.random.random_bool(0.5);
        let target = Target::Shard(index);
        if !self.is_whole(target) {
            return Ok(());
        }
        let mending = match stopped {
            true => {
                self.world.model.count("faults: shard cut off for long");
                self.cluster.shards[index].pause();
                Mending::Resume
            }
            false => {
                self.world.model.count("faults: shard away for long");
                self.cluster.shards[index].kill();
                Mending::Restart
            }
        };
        self.under_way.push((Instant::now() + away, target, mending));
        Ok(())
    }

    /// The replica is made a primary, and some time after that takes its primary's place: what was acknowledged meanwhile,
    /// or had not reached it yet, is lost.
    pub(crate) async fn fail_over(&mut self) -> Result<()> {
        if !self.is_whole(Target::Shard(REPLICATED)) || self.standby.is_none() {
            return Ok(());
        }
        self.world.model.count("faults: a replica promoted");
        if let Some(standby) = &mut self.standby {
            standby.replica.promote().await?;
        }
        let lag = Duration::from_millis(self.random.random_range(0..400));
        self.mend_until(Instant::now() + lag).await?;
        match &mut self.standby {
            Some(standby) => standby.take_over(&mut self.cluster.shards[REPLICATED]).await,
            None => Ok(()),
        }
    }
}
