//! Those who publish: through the API, with and without idempotency keys, and as clients that do not wait.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use campanile_client::{Closed, Connection};
use campanile_common::Codec;
use campanile_common::message::{Command, PublishRequest};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::model::{Place, Publication};
use crate::world::{Channel, PATIENCE, Phase, Seat, World};

/// The code of an error that may pass.
const INTERNAL: u64 = 100;
/// What a publication may take: the gateways' `cluster.command_timeout` and `cluster.publish_wait`, and the pace of a
/// busy machine.
const PUBLISH_BOUND: Duration = Duration::from_secs(2 + 3);
/// For so long a publication is tried again under its key.
const RETRIED: Duration = Duration::from_secs(60);
/// Publications that a client sends without waiting.
const PIPELINE: u64 = 5;

/// Publishes, and counts by channel.
pub(crate) struct Publisher {
    world: Arc<World>,
    name: String,
    random: StdRng,
    numbers: HashMap<String, u64>,
}

impl Publisher {
    /// A publisher of this name.
    pub(crate) fn new(world: &Arc<World>, name: String, seed: u64) -> Self {
        Self {
            world: Arc::clone(world),
            name,
            random: StdRng::seed_from_u64(seed),
            numbers: HashMap::new(),
        }
    }

    /// Publishes through the API during the storm; with keys, each until it is accepted.
    pub(crate) async fn run_api(mut self, keyed: bool) {
        while self.world.phase() == Phase::Storm {
            let (channel, publication) = self.next(keyed);
            let seat = self.any_seat();
            if keyed {
                self.insist(&channel, &publication).await;
            } else {
                self.world.api_publish(&seat, &channel, &publication).await;
            }
            let pause = self.random.random_range(5..40);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    /// Publishes as a client during the storm, several at once.
    pub(crate) async fn run_client(mut self, codec: Codec) {
        while self.world.phase() == Phase::Storm {
            let seat = self.any_seat();
            let Some(mut connection) = self.world.connect(&seat, &self.name, codec).await else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let until = Instant::now() + Duration::from_millis(self.random.random_range(1000..8000));
            while self.world.phase() == Phase::Storm && Instant::now() < until {
                if let Err(closed) = self.pipeline(&mut connection, &seat).await {
                    self.world.lost(&seat, &self.name, &closed);
                    break;
                }
                let pause = self.random.random_range(20..150);
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
        }
    }

    async fn pipeline(&mut self, connection: &mut Connection, seat: &Seat) -> Result<(), Closed> {
        let (channel, first) = self.next(false);
        let start = first.number;
        self.numbers.insert(channel.name.clone(), start + PIPELINE - 1);
        let publications: Vec<_> = (start..start + PIPELINE)
            .map(|number| Publication {
                number,
                ..first.clone()
            })
            .collect();
        for (id, publication) in (1000..).zip(&publications) {
            let request = PublishRequest {
                channel: channel.name.clone(),
                data: publication.payload().into(),
                ..PublishRequest::default()
            };
            connection.send(&Command::new(id, request)).await?;
        }
        let asked = Instant::now();
        for _ in &publications {
            // Twice as long where the gateway was paused meanwhile.
            let mut answer = timeout(PATIENCE, connection.recv()).await;
            if answer.is_err() && !self.world.still(seat) {
                answer = timeout(PATIENCE, connection.recv()).await;
            }
            let Ok(reply) = answer else {
                self.world
                    .model
                    .violation(format!("{}: no answer to a publication", self.name));
                return Ok(());
            };
            let reply = reply?;
            let publication = usize::try_from(reply.id)
                .ok()
                .and_then(|id| publications.get(id.checked_sub(1000)?));
            match (publication, reply.error) {
                (Some(publication), None) => self.world.model.accepted(&channel.name, publication),
                (_, Some(error)) if u64::from(error.code) == INTERNAL => {
                    self.world.model.count("publications refused for a while");
                    self.world.trouble(&channel, "a client's publication was refused");
                }
                (_, error) => self
                    .world
                    .model
                    .violation(format!("{}: answered {error:?}", self.name)),
            }
        }
        self.world.check_pace(seat, asked);
        Ok(())
    }

    /// Publishes under a key until it is accepted, here or there.
    async fn insist(&mut self, channel: &Channel, publication: &Publication) {
        let start = Instant::now();
        while start.elapsed() < RETRIED {
            let seat = self.any_seat();
            if self.world.api_publish(&seat, channel, publication).await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let name = &channel.name;
        self.world
            .model
            .violation(format!("{name}: {publication:?} not accepted within {RETRIED:?}"));
    }

    fn next(&mut self, keyed: bool) -> (Channel, Publication) {
        let index = self.random.random_range(0..self.world.channels.len());
        let channel = self.world.channels[index].clone();
        let number = self.numbers.entry(channel.name.clone()).or_default();
        *number += 1;
        let publication = Publication {
            publisher: self.name.clone(),
            number: *number,
            keyed,
        };
        (channel, publication)
    }

    fn any_seat(&mut self) -> Seat {
        self.world
            .seat(self.random.random_range(0..self.world.gateway_count()))
    }
}

impl World {
    /// Publishes through the API of a gateway; whether it was accepted.
    pub(crate) async fn api_publish(
        &self,
        seat: &Seat,
        channel: &Channel,
        publication: &Publication,
    ) -> bool {
        let data: Value = serde_json::from_str(&publication.payload()).expect("a payload is JSON");
        let mut params = json!({ "channel": channel.name, "data": data });
        if publication.keyed {
            params["idempotency_key"] = json!(format!("{}-{}", publication.publisher, publication.number));
        }
        let asked = Instant::now();
        let answer = seat.api.try_call("publish", &params).await;
        match answer {
            Ok(Ok(result)) => {
                self.check_pace(seat, asked);
                self.model.accepted(&channel.name, publication);
                if channel.stream {
                    let place = Place {
                        epoch: result["epoch"].as_str().unwrap_or_default().to_owned(),
                        offset: result["offset"].as_u64().unwrap_or_default(),
                    };
                    self.model.saw(&channel.name, &place, publication);
                }
                true
            }
            Ok(Err(error)) => {
                self.check_pace(seat, asked);
                self.model.count("publications refused for a while");
                self.trouble(channel, "publishing was refused");
                if error.code != INTERNAL {
                    self.model
                        .violation(format!("{}: publishing answered {error:?}", channel.name));
                }
                false
            }
            Err(error) => {
                if self.still(seat) {
                    self.model
                        .violation(format!("the API of gateway {}: {error:#}", seat.index));
                }
                false
            }
        }
    }

    fn check_pace(&self, seat: &Seat, asked: Instant) {
        let took = asked.elapsed();
        if took > PUBLISH_BOUND && self.still(seat) {
            self.model
                .violation(format!("gateway {}: publishing took {took:?}", seat.index));
        }
    }
}
