//! A client that subscribes, leaves, returns with its positions, and checks what it is told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use campanile_client::{Closed, Connection};
use campanile_common::Codec;
use campanile_common::message::{
    Command, Publication as Message, Push, Reply, SubscribeRequest, SubscribeResult, UnsubscribeRequest,
};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::model::{Place, Publication};
use crate::world::{Channel, PATIENCE, Phase, World};

/// The code of an error that may pass.
const INTERNAL: u32 = 100;
/// The unsubscribe code by which a subscriber is told that it missed something.
const INSUFFICIENT_STATE: u32 = 2500;
/// How often it looks whether something is due.
const TICK: Duration = Duration::from_millis(50);

/// Where the live subscriptions of all subscribers stand, by user and channel.
pub(crate) type Standings = Mutex<BTreeMap<(String, String), Standing>>;

/// What a live subscription has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Standing {
    /// The last place; empty without a stream.
    pub(crate) place: Place,
    /// The last publication.
    pub(crate) last: Option<Publication>,
}

/// A client.
pub(crate) struct Subscriber {
    world: Arc<World>,
    standings: Arc<Standings>,
    name: String,
    codec: Codec,
    random: StdRng,
    subscriptions: Vec<Subscription>,
    next_command: u32,
}

struct Subscription {
    channel: Channel,
    /// What it has, once it has something.
    place: Option<Place>,
    last: Option<Publication>,
    seen: Vec<Publication>,
    stage: Stage,
}

enum Stage {
    /// To be subscribed at this time.
    Off(Instant),
    Joining {
        command: u32,
        asked: Instant,
    },
    Live,
    /// Unsubscribing; after the answer nothing may come.
    Leaving {
        command: u32,
        asked: Instant,
    },
}

impl Subscriber {
    /// A client in this codec, interested in these channels.
    pub(crate) fn new(
        world: &Arc<World>,
        standings: &Arc<Standings>,
        (name, seed): (String, u64),
        codec: Codec,
        channels: Vec<Channel>,
    ) -> Self {
        let subscription = |channel| Subscription {
            channel,
            place: None,
            last: None,
            seen: Vec::new(),
            stage: Stage::Off(Instant::now()),
        };
        Self {
            world: Arc::clone(world),
            standings: Arc::clone(standings),
            name,
            codec,
            random: StdRng::seed_from_u64(seed),
            subscriptions: channels.into_iter().map(subscription).collect(),
            next_command: 1000,
        }
    }

    /// Comes and goes until the run is over.
    pub(crate) async fn run(mut self) {
        while self.world.phase() != Phase::Over {
            let seat = self
                .world
                .seat(self.random.random_range(0..self.world.gateway_count()));
            let Some(connection) = self.world.connect(&seat, &self.name, self.codec).await else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            self.world.model.count("connections");
            if let Err(closed) = self.stay(connection).await {
                self.world.lost(&seat, &self.name, &closed);
            }
            self.pause().await;
        }
    }

    /// Uses a connection until it is time to leave it.
    async fn stay(&mut self, mut connection: Connection) -> Result<(), Closed> {
        let mut leave_at = Instant::now() + Duration::from_millis(self.random.random_range(300..6000));
        for subscription in &mut self.subscriptions {
            subscription.stage = Stage::Off(Instant::now());
            subscription.seen.clear();
        }
        loop {
            self.act(&mut connection).await?;
            tokio::select! {
                reply = connection.recv() => self.take(reply?),
                () = tokio::time::sleep(TICK) => {}
            }
            match self.world.phase() {
                Phase::Storm if Instant::now() < leave_at => {}
                Phase::Calm => leave_at = Instant::now() + PATIENCE,
                Phase::Storm | Phase::Over => break,
            }
        }
        if self.random.random_bool(0.5) {
            // An orderly end; else the socket is just dropped.
            connection.close().await;
        }
        Ok(())
    }

    async fn pause(&mut self) {
        self.standings.lock().retain(|(name, _), _| *name != self.name);
        if self.world.phase() == Phase::Storm {
            let pause = if self.random.random_bool(0.2) {
                0..8000
            } else {
                0..500
            };
            tokio::time::sleep(Duration::from_millis(self.random.random_range(pause))).await;
        }
    }

    /// Sends what is due.
    async fn act(&mut self, connection: &mut Connection) -> Result<(), Closed> {
        let storm = self.world.phase() == Phase::Storm;
        for index in 0..self.subscriptions.len() {
            let leaves = storm && self.random.random_bool(0.001);
            let subscription = &mut self.subscriptions[index];
            let command = match &subscription.stage {
                Stage::Off(due) if *due <= Instant::now() => subscription.request().into(),
                Stage::Live if leaves => campanile_common::message::Request::from(UnsubscribeRequest {
                    channel: subscription.channel.name.clone(),
                }),
                Stage::Joining { asked, .. } | Stage::Leaving { asked, .. }
                    if asked.elapsed() > 2 * PATIENCE =>
                {
                    let name = &subscription.channel.name;
                    self.world
                        .model
                        .violation(format!("{}: no answer about {name}", self.name));
                    subscription.stage = Stage::Off(Instant::now() + PATIENCE);
                    continue;
                }
                _ => continue,
            };
            self.next_command += 1;
            let (command_id, asked) = (self.next_command, Instant::now());
            subscription.stage = match subscription.stage {
                Stage::Live => Stage::Leaving {
                    command: command_id,
                    asked,
                },
                _ => Stage::Joining {
                    command: command_id,
                    asked,
                },
            };
            connection.send(&Command::new(command_id, command)).await?;
        }
        Ok(())
    }

    fn take(&mut self, reply: Reply) {
        if let Some(push) = reply.push {
            return self.pushed(*push);
        }
        let asked_for = |subscription: &&mut Subscription| match subscription.stage {
            Stage::Joining { command, .. } | Stage::Leaving { command, .. } => command == reply.id,
            _ => false,
        };
        let Some(subscription) = self.subscriptions.iter_mut().find(asked_for) else {
            return self
                .world
                .model
                .violation(format!("{}: a stray reply {reply:?}", self.name));
        };
        match (reply.error, reply.subscribe) {
            (Some(error), _) if error.code == INTERNAL => {
                self.world.model.count("subscribes refused for a while");
                self.world
                    .trouble(&subscription.channel, "subscribing was refused");
                subscription.stage = Stage::Off(Instant::now() + Duration::from_millis(200));
            }
            (None, Some(result)) => {
                subscription.joined(&self.world, &self.name, &result);
            }
            (None, None) if matches!(subscription.stage, Stage::Leaving { .. }) => {
                subscription.stage =
                    Stage::Off(Instant::now() + Duration::from_millis(self.random.random_range(0..1000)));
            }
            (error, _) => {
                let name = &subscription.channel.name;
                self.world
                    .model
                    .violation(format!("{}: {name}: answered {error:?}", self.name));
            }
        }
        Self::note(&self.standings, &self.name, subscription);
    }

    fn pushed(&mut self, push: Push) {
        let Some(subscription) = self
            .subscriptions
            .iter_mut()
            .find(|it| it.channel.name == push.channel)
        else {
            return self
                .world
                .model
                .violation(format!("{}: a stray push {push:?}", self.name));
        };
        let deliverable = matches!(subscription.stage, Stage::Live | Stage::Leaving { .. });
        match (push.publication, push.unsubscribe) {
            (Some(message), _) if deliverable => subscription.delivered(&self.world, &self.name, &message),
            (_, Some(end)) if end.code == INSUFFICIENT_STATE && deliverable => {
                self.world.model.count("told to subscribe again");
                self.world
                    .trouble(&subscription.channel, "subscribers were told to subscribe again");
                // An unsubscribe that crossed this is answered nevertheless.
                if matches!(subscription.stage, Stage::Live) {
                    subscription.stage = Stage::Off(Instant::now());
                }
            }
            (publication, end) => self.world.model.violation(format!(
                "{}: {} while not subscribed: {publication:?} {end:?}",
                self.name, push.channel
            )),
        }
        Self::note(&self.standings, &self.name, subscription);
    }

    fn note(standings: &Standings, name: &str, subscription: &Subscription) {
        let key = (name.to_owned(), subscription.channel.name.clone());
        let mut standings = standings.lock();
        if matches!(subscription.stage, Stage::Live) {
            let standing = Standing {
                place: subscription.place.clone().unwrap_or_default(),
                last: subscription.last.clone(),
            };
            standings.insert(key, standing);
        } else {
            standings.remove(&key);
        }
    }
}

impl Subscription {
    fn request(&self) -> SubscribeRequest {
        let place = self.place.clone().unwrap_or_default();
        SubscribeRequest {
            channel: self.channel.name.clone(),
            recover: self.place.is_some(),
            epoch: place.epoch,
            offset: place.offset,
            ..SubscribeRequest::default()
        }
    }

    fn joined(&mut self, world: &World, who: &str, result: &SubscribeResult) {
        let Stage::Joining { asked, .. } = std::mem::replace(&mut self.stage, Stage::Live) else {
            return world
                .model
                .violation(format!("{who}: subscribed without having asked"));
        };
        self.seen.clear();
        if !self.channel.stream {
            return;
        }
        let wanted = self.place.take();
        self.place = Some(Place {
            epoch: result.epoch.clone(),
            offset: result.offset,
        });
        match wanted {
            Some(place) if result.recovered => {
                world.model.count("recovered");
                self.recovered(world, who, (place, asked), result);
            }
            Some(place) => {
                world.model.count("not recovered");
                let reason = &result.recovery_reason;
                if reason != "position_expired" {
                    world.trouble(&self.channel, format!("not recovered, {reason}"));
                }
                if !result.was_recovering || !result.publications.is_empty() || reason.is_empty() {
                    world
                        .model
                        .violation(format!("{who}: {} from {place:?}: {result:?}", self.channel.name));
                }
            }
            None if result.recovered || !result.publications.is_empty() => {
                world
                    .model
                    .violation(format!("{who}: {} unasked: {result:?}", self.channel.name));
            }
            None => {}
        }
    }

    /// Everything after the place that was asked for, up to the place that was given.
    fn recovered(
        &mut self,
        world: &World,
        who: &str,
        (from, asked): (Place, Instant),
        result: &SubscribeResult,
    ) {
        let name = &self.channel.name;
        if from.epoch != result.epoch {
            world.model.violation(format!(
                "{who}: {name} recovered from {from:?} into {}",
                result.epoch
            ));
        }
        let mut at = from.offset;
        for message in &result.publications {
            at += 1;
            let place = Place {
                epoch: result.epoch.clone(),
                offset: message.offset,
            };
            if message.offset != at {
                world.model.violation(format!(
                    "{who}: {name} from {from:?}: {} where {at} belongs",
                    message.offset
                ));
                at = message.offset;
            }
            if world.model.was_removed(name, &place, asked) {
                world
                    .model
                    .violation(format!("{who}: {name} was given {place:?} after its removal"));
            }
            self.last = note_content(world, who, name, (&place, message)).or(self.last.take());
        }
        // The reply repeats the position that was asked for; what it carries leads on from there.
        if result.offset != from.offset {
            let told = result.offset;
            world
                .model
                .violation(format!("{who}: {name} recovered from {from:?}, told {told}"));
        }
        self.place = Some(Place {
            epoch: result.epoch.clone(),
            offset: at,
        });
    }

    fn delivered(&mut self, world: &World, who: &str, message: &Message) {
        world.model.count("delivered");
        let name = &self.channel.name;
        let Some(place) = &mut self.place else {
            let publication = Publication::parse(&message.data);
            if let Some(publication) = publication.filter(|publication| !publication.keyed) {
                if self.seen.contains(&publication) {
                    world
                        .model
                        .violation(format!("{who}: {name} twice: {publication:?}"));
                }
                self.seen.push(publication);
            }
            self.last = Publication::parse(&message.data);
            return;
        };
        if message.offset != place.offset + 1 {
            world
                .model
                .violation(format!("{who}: {name}: {} after {place:?}", message.offset));
        }
        place.offset = message.offset;
        self.last = note_content(world, who, name, (place, message));
    }
}

fn note_content(
    world: &World,
    who: &str,
    channel: &str,
    (place, message): (&Place, &Message),
) -> Option<Publication> {
    let publication = Publication::parse(&message.data);
    match &publication {
        Some(publication) => world.model.saw(channel, place, publication),
        None => world
            .model
            .violation(format!("{who}: {channel}: not a payload: {:?}", message.data)),
    }
    publication
}
