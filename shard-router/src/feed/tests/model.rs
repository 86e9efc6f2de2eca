//! A shard, a link and subscribers reduced to what matters to a feed, driven at random.
//!
//! The shard knows the truth: what was accepted at which position. Subscribers check what they are told against it
//! after every step: what they see is dense and in order until a loss is announced, and `recovered` hides nothing.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::*;

#[derive(Clone, Copy, Debug)]
enum Op {
    Publish,
    PublishPlain,
    /// The next message on the link reaches the gateway.
    Arrive,
    DropMessage,
    RepeatMessage,
    Flush,
    /// The epoch changes while offsets and content go on, as after a restart that may have lost something.
    Renew,
    Trim(u64),
    /// The stream is emptied on request.
    Clear,
    Break,
    /// The driver does the next thing.
    Step,
    /// The shard carries out the read that is under way.
    Execute,
    Check,
    Join,
    /// A new subscriber claims a position of its own making.
    Claim(u64),
    Leave(usize),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        12 => Just(Op::Publish),
        2 => Just(Op::PublishPlain),
        12 => Just(Op::Arrive),
        2 => Just(Op::DropMessage),
        2 => Just(Op::RepeatMessage),
        1 => Just(Op::Flush),
        1 => Just(Op::Renew),
        2 => (0..6_u64).prop_map(Op::Trim),
        1 => Just(Op::Clear),
        1 => Just(Op::Break),
        14 => Just(Op::Step),
        8 => Just(Op::Execute),
        2 => Just(Op::Check),
        4 => Just(Op::Join),
        1 => (0..12_u64).prop_map(Op::Claim),
        1 => (0..4_usize).prop_map(Op::Leave),
    ]
}

#[derive(Default)]
struct Shard {
    epoch: u64,
    top: u64,
    log: VecDeque<(u64, u64)>,
    /// What was accepted: (epoch, offset) → content.
    truth: BTreeMap<(String, u64), u64>,
    published: u64,
    subscribed: bool,
    link: VecDeque<ShardMessage>,
}

impl Shard {
    const SIZE: usize = 10;

    fn position(&self) -> Position {
        at(&format!("e{}", self.epoch), self.top)
    }

    fn publish(&mut self) {
        self.top += 1;
        self.published += 1;
        self.log.push_back((self.top, self.published));
        if self.log.len() > Self::SIZE {
            self.log.pop_front();
        }
        let position = self.position();
        self.truth
            .insert((position.epoch.to_string(), self.top), self.published);
        self.send(Some(position), content(self.top, self.published));
    }

    fn clear(&mut self) {
        self.log.clear();
        if self.subscribed {
            self.link.push_back(ShardMessage::Cleared);
        }
    }

    fn send(&mut self, position: Option<Position>, publication: Publication) {
        if self.subscribed {
            self.link.push_back(ShardMessage::Publication {
                position,
                publication,
            });
        }
    }

    fn renew(&mut self) {
        self.epoch += 1;
        let epoch = self.position().epoch.to_string();
        for (offset, id) in &self.log {
            self.truth.insert((epoch.clone(), *offset), *id);
        }
    }

    fn read(&self, range: HistoryRange) -> HistoryPage {
        let limit = range.limit.map_or(usize::MAX, |limit| limit as usize);
        let after = range.since.map_or(0, Offset::get);
        let found = self.log.iter().filter(|(offset, _)| *offset > after);
        let found = found.map(|(offset, id)| content(*offset, *id));
        let publications = if range.reverse {
            found.rev().take(limit).collect()
        } else {
            found.take(limit).collect()
        };
        HistoryPage {
            position: self.position(),
            publications,
        }
    }
}

fn content(offset: u64, id: u64) -> Publication {
    Publication {
        data: Bytes::from(id.to_string()),
        ..publication(offset)
    }
}

#[derive(Default)]
struct Subscriber {
    /// The last position it has; `None`: it comes for the first time.
    position: Option<Position>,
    joined: bool,
    waiting: bool,
    ticket: Ticket,
}

struct World {
    shard: Shard,
    feed: Feed,
    subscribers: Vec<Subscriber>,
    read: Option<(PendingRead, Option<HistoryPage>)>,
}

impl World {
    fn new() -> Self {
        let shard = Shard {
            epoch: 1,
            ..Shard::default()
        };
        Self {
            shard,
            feed: Feed::new(true, limits()),
            subscribers: Vec::new(),
            read: None,
        }
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Publish => self.shard.publish(),
            Op::PublishPlain => self.shard.send(None, content(0, 0)),
            Op::Arrive => {
                let message = self.shard.link.pop_front();
                self.arrive(message);
            }
            Op::DropMessage => drop(self.shard.link.pop_front()),
            Op::RepeatMessage => {
                let message = self.shard.link.front().cloned();
                self.arrive(message);
            }
            Op::Flush => {
                self.shard.epoch += 1;
                self.shard.top = 0;
                self.shard.log.clear();
            }
            Op::Renew => self.shard.renew(),
            Op::Trim(keep) => {
                while self.shard.log.len() as u64 > keep {
                    self.shard.log.pop_front();
                }
            }
            Op::Clear => self.shard.clear(),
            Op::Break => {
                self.shard.subscribed = false;
                self.shard.link.clear();
                self.feed.detached();
            }
            Op::Step => self.step(),
            Op::Execute => self.execute(),
            Op::Check => {
                if self.read.is_none() && self.feed.take_idle() {
                    self.read = Some((self.feed.begin(Read::Position), None));
                }
            }
            Op::Join => self.join(),
            Op::Claim(offset) => self.claim(offset),
            Op::Leave(index) => self.leave(index),
        }
        self.admit();
    }

    fn arrive(&mut self, message: Option<ShardMessage>) {
        let Some(message) = message else { return };
        let mut out = Vec::new();
        self.feed.message(message, &mut out);
        self.fan_out(out);
    }

    /// One step of the driver: subscribes, begins a read, or hands in a page that the shard has sent.
    fn step(&mut self) {
        if let Some((pending, page)) = self.read.take() {
            let Some(page) = page else {
                self.read = Some((pending, None));
                return;
            };
            let mut out = Vec::new();
            self.feed.complete(pending, page, &mut out);
            self.fan_out(out);
            return;
        }
        match self.feed.need() {
            Need::Nothing => {}
            Need::Subscribe => {
                self.shard.subscribed = true;
                self.feed.attached();
            }
            Need::Read(read) => self.read = Some((self.feed.begin(read), None)),
        }
    }

    fn execute(&mut self) {
        if let Some((pending, page @ None)) = &mut self.read {
            *page = Some(self.shard.read(pending.range(&limits())));
        }
    }

    /// A subscriber that was there before comes back, or a new one comes.
    fn join(&mut self) {
        self.feed.engage();
        let mut away = self
            .subscribers
            .iter_mut()
            .filter(|subscriber| !subscriber.joined && !subscriber.waiting);
        if let Some(subscriber) = away.next() {
            subscriber.waiting = true;
        } else if self.subscribers.len() < 4 {
            self.subscribers.push(Subscriber {
                waiting: true,
                ..Subscriber::default()
            });
        }
    }

    fn claim(&mut self, offset: u64) {
        self.feed.engage();
        if self.subscribers.len() < 4 {
            let position = Some(at(&self.shard.position().epoch.to_string(), offset));
            self.subscribers.push(Subscriber {
                position,
                waiting: true,
                ..Subscriber::default()
            });
        }
    }

    fn leave(&mut self, index: usize) {
        let Some(subscriber) = self.subscribers.get_mut(index) else {
            return;
        };
        self.feed.forget(&mut subscriber.ticket);
        *subscriber = Subscriber {
            position: subscriber.position.take(),
            ..Subscriber::default()
        };
        if self
            .subscribers
            .iter()
            .all(|subscriber| !subscriber.joined && !subscriber.waiting)
        {
            self.feed.release();
            self.shard.subscribed = false;
            self.shard.link.clear();
        }
    }

    /// Lets those in who wait, and holds what they are told against the truth.
    fn admit(&mut self) {
        for subscriber in self
            .subscribers
            .iter_mut()
            .filter(|subscriber| subscriber.waiting)
        {
            let recover = subscriber.position.clone().map(stream);
            let Some(told) = self.feed.join(recover.as_ref(), 8, &mut subscriber.ticket) else {
                continue;
            };
            self.feed.forget(&mut subscriber.ticket);
            subscriber.ticket = Ticket::default();
            let position = told.position.clone().expect("the channel has a stream");
            if told.outcome == Some(RecoveryOutcome::Recovered) {
                let had = &recover.expect("it asked").position;
                assert_eq!(had.epoch, position.epoch, "recovered across epochs");
                let missed: Vec<u64> = (had.offset.get() + 1..=position.offset.get()).collect();
                assert_eq!(offsets(&told), missed, "recovered with something missing");
            }
            for publication in &told.publications {
                check_truth(&self.shard, &position.epoch, publication);
            }
            subscriber.position = Some(position);
            subscriber.joined = true;
            subscriber.waiting = false;
        }
    }

    fn fan_out(&mut self, events: Vec<Event>) {
        for event in events {
            for subscriber in self.subscribers.iter_mut().filter(|subscriber| subscriber.joined) {
                match &event {
                    Event::Lost(_) => subscriber.joined = false,
                    Event::Publication(publication) if publication.offset > Offset::ZERO => {
                        let position = subscriber.position.as_mut().expect("it has joined");
                        assert_eq!(
                            publication.offset,
                            position.offset.next(),
                            "not the next in order"
                        );
                        check_truth(&self.shard, &position.epoch, publication);
                        position.offset = publication.offset;
                    }
                    _ => {}
                }
            }
        }
    }

    /// Without further faults everything comes to rest: nobody waits, nobody is behind.
    fn settle(&mut self) {
        for subscriber in &mut self.subscribers {
            subscriber.waiting |= !subscriber.joined;
        }
        if !self.subscribers.is_empty() {
            self.feed.engage();
        }
        // Silently lost messages are noticed by a check at the latest.
        let mut checked = false;
        for _ in 0..200 {
            if self.shard.link.is_empty() && self.read.is_none() && self.feed.need() == Need::Nothing {
                if checked {
                    break;
                }
                self.feed.take_idle();
                checked = self.feed.take_idle();
                if checked {
                    self.read = Some((self.feed.begin(Read::Position), None));
                }
            }
            self.apply(Op::Arrive);
            self.apply(Op::Execute);
            self.apply(Op::Step);
            for subscriber in &mut self.subscribers {
                subscriber.waiting |= !subscriber.joined;
            }
            self.admit();
        }
        assert_eq!(self.feed.need(), Need::Nothing);
        let top = self.shard.position();
        for subscriber in &self.subscribers {
            assert!(subscriber.joined, "still waiting");
            assert_eq!(subscriber.position.as_ref(), Some(&top));
        }
    }
}

fn check_truth(shard: &Shard, epoch: &Epoch, publication: &Publication) {
    let accepted = shard.truth.get(&(epoch.to_string(), publication.offset.get()));
    let content = accepted.map(u64::to_string);
    assert_eq!(
        content.as_deref().map(str::as_bytes),
        Some(&publication.data[..]),
        "not what was accepted"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn what_is_delivered_is_dense_or_a_loss_is_announced(ops in prop::collection::vec(op(), 1..120)) {
        let mut world = World::new();
        world.apply(Op::Join);
        for op in ops {
            world.apply(op);
        }
        world.settle();
    }
}
