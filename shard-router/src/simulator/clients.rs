//! Publishers and subscribers, and what they are promised.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use campanile_common::message::ClientInfo;
use campanile_common::{ChannelName, Epoch, Offset, Position, Timestamp};

use super::cast::{Kind, Role, cast, role};
use super::gateway::Gateway;
use super::gateway::publish::{self, Published};
use super::judge::in_office;
use super::kernel::{Life, MS};
use super::truth::{Accepted, Id};
use super::world::World;
use crate::audience::{Event, LossReason};
use crate::feed::{Recover, RecoverMode, RecoveryOutcome, Subscribed};
use crate::publication::Publication;
use crate::shard::{IdempotencyKey, PresenceEntry, PublishOutcome, PublishRequest, Version};
use crate::topology::{Incarnation, ShardId};

/// One visit of one subscriber to one gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SubscriberId {
    pub(super) number: usize,
    visit: u64,
}

pub(super) struct Subscriber {
    pub(super) role: &'static Role,
    visit: u64,
    pub(super) stage: Stage,
    /// The last position it has, of a channel with a stream, as it says itself when it comes back.
    pub(super) position: Option<Position>,
    /// Where it really is. Another epoch after a move without history, which clients are not told of.
    pub(super) place: Option<Position>,
}

#[derive(Clone)]
pub(super) enum Stage {
    Away,
    Waiting(Rc<Gateway>),
    Joined(Rc<Gateway>),
}

/// How long a presence entry lasts, and a bit less than how often it is refreshed.
const PRESENCE_TTL: Duration = Duration::from_millis(2000);

impl Subscriber {
    fn id(&self, number: usize) -> SubscriberId {
        SubscriberId {
            number,
            visit: self.visit,
        }
    }
}

impl World {
    /// Has `count` subscribers and a publisher go about their business.
    pub(super) fn start_clients(&self, count: u64) {
        for number in 0..count {
            let role = &cast()[self.rng().index(cast().len())];
            self.subscribers().push(Subscriber {
                role,
                visit: number,
                stage: Stage::Away,
                position: None,
                place: None,
            });
        }
        for number in 0..self.subscribers().len() {
            self.stir_later(number);
        }
        self.publish_later();
    }

    fn stir_later(&self, number: usize) {
        let pause = self.about(self.profile().stir_every * 8);
        self.later(pause, move |world| {
            world.stir(number);
            world.stir_later(number);
        });
    }

    /// A subscriber does something, or nothing.
    fn stir(&self, number: usize) {
        let stage = self.subscribers()[number].stage.clone();
        let mood = self.rng().below(100);
        match stage {
            Stage::Away => self.come(number),
            Stage::Waiting(gateway) if mood < 30 || !self.kernel().is_alive(gateway.life) => {
                self.part(number, &gateway);
            }
            Stage::Joined(gateway) if !self.kernel().is_alive(gateway.life) => self.part(number, &gateway),
            Stage::Joined(gateway) if mood < 40 && self.is_busy() => self.part(number, &gateway),
            Stage::Joined(gateway) => self.show_presence(number, &gateway),
            Stage::Waiting(_) => {}
        }
    }

    fn come(&self, number: usize) {
        let Some(gateway) = self.any_gateway() else { return };
        let elsewhere = self.is_busy() && self.rng().chance(150);
        let other = &cast()[self.rng().index(cast().len())];
        let (id, role, recover) = {
            let mut subscribers = self.subscribers();
            let subscriber = &mut subscribers[number];
            if elsewhere {
                subscriber.role = other;
                subscriber.position = None;
                subscriber.place = None;
            }
            subscriber.visit += 1000;
            subscriber.stage = Stage::Waiting(Rc::clone(&gateway));
            let recover = subscriber.position.clone().map(|position| Recover {
                position,
                mode: RecoverMode::Stream,
            });
            (subscriber.id(number), subscriber.role, recover)
        };
        self.note(|| {
            let name = self.name(gateway.life);
            format!(
                "subscriber {number} comes to {name} for {}, {recover:?}",
                role.name
            )
        });
        let delay = self.latency();
        self.after(gateway.life, delay, move |world| {
            gateway.come(world, id, &role.name, recover);
        });
    }

    fn part(&self, number: usize, gateway: &Rc<Gateway>) {
        let (id, role) = {
            let mut subscribers = self.subscribers();
            let subscriber = &mut subscribers[number];
            subscriber.stage = Stage::Away;
            (subscriber.id(number), subscriber.role)
        };
        self.note(|| format!("subscriber {number} leaves {}", self.name(gateway.life)));
        let from = Rc::clone(gateway);
        // After its coming, however late that is.
        let delay = self.profile().slowest + MS;
        self.after(gateway.life, delay, move |world| from.go(world, id, &role.name));
    }

    fn show_presence(&self, number: usize, gateway: &Rc<Gateway>) {
        let role = self.subscribers()[number].role;
        let info = ClientInfo {
            user: "somebody".into(),
            client: format!("client-{number}"),
            ..ClientInfo::default()
        };
        let entry = PresenceEntry {
            partition: role.partition,
            channel: role.name.clone(),
            info: Arc::new(info),
            ttl: PRESENCE_TTL,
        };
        let (gateway, life) = (Rc::clone(gateway), gateway.life);
        let world = self.clone();
        self.after(life, 0, move |of| {
            of.spawn(life, gateway.refresh_presence(world, entry));
        });
    }

    /// A gateway lets a subscriber in and tells it where it is.
    pub(super) fn welcome(
        &self,
        gateway: &Gateway,
        (id, name): (SubscriberId, &ChannelName),
        recover: Option<&Recover>,
        told: &Subscribed,
    ) {
        let place = {
            let mut subscribers = self.subscribers();
            let subscriber = &mut subscribers[id.number];
            let Stage::Waiting(at) = &subscriber.stage else {
                return;
            };
            if subscriber.visit != id.visit || at.life != gateway.life {
                return;
            }
            subscriber.stage = Stage::Joined(Rc::clone(at));
            subscriber.position.clone_from(&told.position);
            std::mem::replace(&mut subscriber.place, told.position.clone())
        };
        self.note(|| {
            let missed: Vec<_> = told.publications.iter().map(|one| one.offset.get()).collect();
            let Subscribed {
                position, outcome, ..
            } = told;
            format!(
                "subscriber {} of {name} joins at {position:?} with {missed:?}, {outcome:?}",
                id.number
            )
        });
        if let (Some(recover), Some(outcome)) = (recover, told.outcome) {
            self.check_recovery(name, (&recover.position, place.as_ref()), told, outcome);
        }
    }

    fn check_recovery(
        &self,
        name: &ChannelName,
        (had, place): (&Position, Option<&Position>),
        told: &Subscribed,
        outcome: RecoveryOutcome,
    ) {
        match outcome {
            RecoveryOutcome::Lost(reason) => self.check_loss(name, had, reason),
            RecoveryOutcome::Recovered => {
                let hole = told
                    .position
                    .as_ref()
                    .map_or(Some("no position".to_owned()), |position| {
                        let hole = self.truth().hole(name, had, position, &told.publications);
                        hole.or_else(|| (place != Some(had)).then(|| format!("it was at {place:?}")))
                    });
                if let Some(hole) = hole {
                    self.violated("recovered_is_true", || {
                        format!("{name}: from {had} to {:?}, but {hole}", told.position)
                    });
                }
            }
        }
    }

    /// Nobody is told of a loss without a reason.
    fn check_loss(&self, name: &ChannelName, had: &Position, reason: LossReason) {
        let role = role(name);
        let excused = role.kind == Kind::Brief || self.truth().may_be_lost(role, had);
        if !excused {
            self.violated("no_needless_loss", || {
                format!("{name} at {had} was told {}", reason.label())
            });
        }
    }

    /// Something is handed to the subscribers of a channel on a gateway.
    pub(super) fn hear(
        &self,
        gateway: &Gateway,
        name: &ChannelName,
        members: &BTreeSet<SubscriberId>,
        event: &Event,
    ) {
        let life = gateway.life;
        match event {
            Event::Publication(publication) => {
                self.note(|| {
                    format!(
                        "{} hands on {name} #{} ({})",
                        self.name(life),
                        id_of(publication),
                        publication.offset
                    )
                });
                if publication.offset == Offset::ZERO {
                    return self.ears().hear(self, life, name, id_of(publication));
                }
                for member in members {
                    self.advance(*member, gateway, name, publication);
                }
            }
            Event::Lost(reason) => {
                self.note(|| format!("{} tells the subscribers of {name}: {reason:?}", self.name(life)));
                for member in members {
                    self.lose(*member, life, name, *reason);
                }
            }
            Event::Join(_) | Event::Leave(_) => {}
        }
    }

    fn advance(&self, id: SubscriberId, gateway: &Gateway, name: &ChannelName, publication: &Publication) {
        let place = {
            let mut subscribers = self.subscribers();
            let Some(subscriber) = joined(&mut subscribers, id, gateway.life) else {
                return;
            };
            let Some(position) = &mut subscriber.position else {
                return;
            };
            position.offset = publication.offset;
            let Some(place) = subscriber.place.clone() else {
                return;
            };
            place
        };
        let truth = self.truth();
        let next = Position::new(place.epoch.clone(), publication.offset);
        let is_it = |at: &Position| {
            let accepted = truth.channel(name).at(&at.epoch, at.offset);
            accepted.map(|accepted| accepted.id) == Some(id_of(publication))
        };
        // Without its history a moved stream begins anew, and who was there goes on in it without being told.
        let begun = gateway
            .delivered(name)
            .map(|delivered| Position::new(delivered.epoch, Offset(1)));
        let begun = begun
            .filter(|begun| truth.was_dropped(role(name)) && publication.offset == Offset(1) && is_it(begun));
        let broken = match &begun {
            None if publication.offset != place.offset.next() => Some("not the next"),
            None if !is_it(&next) => Some("not what was accepted there"),
            Some(_) | None => None,
        };
        drop(truth);
        if let Some(subscriber) = joined(&mut self.subscribers(), id, gateway.life) {
            subscriber.place = Some(begun.unwrap_or(next));
        }
        if let Some(words) = broken {
            self.violated("exactly_once_in_order", || {
                let number = id.number;
                let got = publication.offset;
                format!(
                    "subscriber {number} of {name} at {place} got {got} #{}: {words}",
                    id_of(publication)
                )
            });
        }
    }

    fn lose(&self, id: SubscriberId, gateway: Life, name: &ChannelName, reason: LossReason) {
        let (position, from) = {
            let mut subscribers = self.subscribers();
            let Some(subscriber) = joined(&mut subscribers, id, gateway) else {
                return;
            };
            let Some(position) = subscriber.position.clone() else {
                return;
            };
            let Stage::Joined(from) = std::mem::replace(&mut subscriber.stage, Stage::Away) else {
                return;
            };
            (position, from)
        };
        self.check_loss(name, &position, reason);
        let name = name.clone();
        self.after(gateway, 0, move |world| from.go(world, id, &name));
    }

    fn publish_later(&self) {
        let pause = self.about(self.profile().publish_every);
        self.later(pause, |world| {
            if world.is_busy() {
                world.publish_something();
                world.publish_later();
            }
        });
    }

    fn publish_something(&self) {
        let role = &cast()[self.rng().index(cast().len())];
        if role.kind == Kind::Brief && self.rng().chance(60) {
            return self.remove_history(role);
        }
        let id = self.truth().next_id();
        let request = self.request(role, id);
        let Some(gateway) = self.any_gateway() else { return };
        if self.rng().chance(150) {
            let shards: Vec<ShardId> = self.servers().keys().cloned().collect();
            let shard = shards[self.rng().index(shards.len())].clone();
            self.note(|| format!("#{id} is published astray, to {shard}"));
            let life = gateway.life;
            return self.after(life, 0, move |world| {
                publish::publish_astray(&gateway, world, &shard, request);
            });
        }
        self.submit(&gateway, request, 3);
    }

    fn remove_history(&self, role: &Role) {
        let Some(gateway) = self.any_gateway() else { return };
        let (life, world, name) = (gateway.life, self.clone(), role.name.clone());
        self.after(life, 0, move |of| {
            of.spawn(life, gateway.remove_history(world, name));
        });
    }

    fn request(&self, role: &Role, id: Id) -> PublishRequest {
        let publication = Publication {
            offset: Offset::ZERO,
            data: Bytes::from(id.to_string()),
            info: None,
            tags: std::collections::BTreeMap::new(),
            time: Timestamp::ZERO,
        };
        let keyed = self.rng().chance(400);
        let versioned = role.kind == Kind::Stream && self.rng().chance(200);
        PublishRequest {
            channel: role.name.clone(),
            publication,
            stream: role.kind.limits(),
            idempotency: keyed.then(|| IdempotencyKey {
                key: format!("key-{id}"),
                ttl: Duration::from_secs(1000),
            }),
            version: versioned.then(|| Version {
                number: id,
                epoch: String::new(),
            }),
            new_epoch: self.new_epoch(),
        }
    }

    /// Publishes through `gateway`; what came to nothing certain is tried again elsewhere under its key.
    fn submit(&self, gateway: &Rc<Gateway>, request: PublishRequest, tries: u32) {
        self.note(|| format!("{} is to publish {}", self.name(gateway.life), words(&request)));
        let (life, world, gateway) = (gateway.life, self.clone(), Rc::clone(gateway));
        let publishing = move |of: &World| {
            of.spawn(life, async move {
                let again = request.clone();
                let published = gateway.publish(world.clone(), request).await;
                if published != Published::Unknown || again.idempotency.is_none() || tries == 0 {
                    return;
                }
                if let Some(other) = world.any_gateway() {
                    world.submit(&other, again, tries - 1);
                }
            });
        };
        self.after(life, 0, publishing);
    }

    /// A shard has answered a publication.
    pub(super) fn accepted(
        &self,
        shard: &ShardId,
        run: &Incarnation,
        request: &PublishRequest,
        outcome: &PublishOutcome,
    ) {
        if outcome.suppressed.is_some() {
            return;
        }
        let stray = {
            let topology = Arc::clone(self.store().present());
            !in_office(&topology, shard, run)
        };
        let begun = outcome
            .position
            .as_ref()
            .is_some_and(|position| position.epoch == request.new_epoch);
        if begun {
            self.epoch_begun(shard, run, &request.new_epoch);
        }
        let accepted = Accepted {
            id: id_of(&request.publication),
            position: outcome.position.clone(),
            stray,
            shard: shard.clone(),
            at: self.now(),
            version: request.version.as_ref().map(|version| version.number),
        };
        self.note(|| format!("{shard} accepts {}", words(request)));
        let result = self.truth().accept(role(&request.channel), &accepted);
        if let Err((invariant, words)) = result {
            self.violated(invariant, || words);
        }
    }

    /// A shard has begun an epoch. One out of office may do that when its partition has long been opened elsewhere.
    pub(super) fn epoch_begun(&self, shard: &ShardId, run: &Incarnation, epoch: &Epoch) {
        let topology = Arc::clone(self.store().present());
        if !in_office(&topology, shard, run) {
            self.truth().note_stray_epoch(epoch);
        }
    }

    /// A gateway that runs, whether or not it is paused.
    fn any_gateway(&self) -> Option<Rc<Gateway>> {
        let alive = self.alive();
        self.rng().pick(&alive).cloned()
    }
}

/// The subscriber of `id`, if that visit is still going on and it has joined.
fn joined(subscribers: &mut [Subscriber], id: SubscriberId, gateway: Life) -> Option<&mut Subscriber> {
    let subscriber = &mut subscribers[id.number];
    let here = matches!(&subscriber.stage, Stage::Joined(at) if at.life == gateway);
    (here && subscriber.visit == id.visit).then_some(subscriber)
}

/// Which publication this is.
pub(super) fn id_of(publication: &Publication) -> Id {
    let text = std::str::from_utf8(&publication.data).unwrap_or_default();
    text.parse().unwrap_or_default()
}

fn words(request: &PublishRequest) -> String {
    let key = if request.idempotency.is_some() {
        " under a key"
    } else {
        ""
    };
    format!("{} #{}{key}", request.channel, id_of(&request.publication))
}
