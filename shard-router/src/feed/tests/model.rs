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
    /// The partition moves as planned: another owner, with the stream or without it.
    Move(Moved),
    /// The connection to the former owner breaks before it has said its last.
    BreakFormer,
    /// The owner is lost: another one begins with nothing.
    Evict,
    /// Messages that are held back are dropped, and the feed is told so.
    Overflow(usize),
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
        1 => Just(Op::Move(Moved::WithHistory)),
        3 => Just(Op::Move(Moved::WithoutHistory)),
        1 => Just(Op::BreakFormer),
        1 => Just(Op::Evict),
        1 => (1..4_usize).prop_map(Op::Overflow),
        14 => Just(Op::Step),
        8 => Just(Op::Execute),
        2 => Just(Op::Check),
        4 => Just(Op::Join),
        1 => (0..12_u64).prop_map(Op::Claim),
        1 => (0..4_usize).prop_map(Op::Leave),
    ]
}

/// What happens when nothing fails.
fn peaceful_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        12 => Just(Op::Publish),
        2 => Just(Op::PublishPlain),
        12 => Just(Op::Arrive),
        1 => Just(Op::Move(Moved::WithHistory)),
        2 => Just(Op::Move(Moved::WithoutHistory)),
        14 => Just(Op::Step),
        8 => Just(Op::Execute),
        2 => Just(Op::Check),
        4 => Just(Op::Join),
        1 => (0..4_usize).prop_map(Op::Leave),
    ]
}

#[derive(Default)]
struct Shard {
    epoch: u64,
    top: u64,
    /// How much the stream keeps.
    size: usize,
    log: VecDeque<(u64, u64)>,
    /// What was accepted: (epoch, offset) → content.
    truth: BTreeMap<(String, u64), u64>,
    published: u64,
    subscribed: bool,
    link: VecDeque<ShardMessage>,
    /// Whether a message of this subscription got lost without a break.
    leaky: bool,
    /// Whether one was dropped for want of room.
    crowded: bool,
    /// Epochs that ended in a planned move without history: where they ended, and which one followed.
    successors: BTreeMap<String, Position>,
    /// Where epochs ended after which nothing was published.
    ends: Vec<Position>,
    /// Epochs that took the place of another one of which nobody had seen anything yet.
    renamed: BTreeMap<String, Epoch>,
}

/// What a move leaves to be heard from the former owner; until then the new one's messages are held back.
struct Former {
    link: VecDeque<ShardMessage>,
    moved: Moved,
    complete: bool,
}

impl Shard {
    fn position(&self) -> Position {
        at(&format!("e{}", self.epoch), self.top)
    }

    fn publish(&mut self) {
        self.ends.clear();
        self.top += 1;
        self.published += 1;
        self.log.push_back((self.top, self.published));
        if self.log.len() > self.size {
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

    /// Hands the partition over; gives back what the former owner has still to say.
    fn hand_over(&mut self, moved: Moved) -> Former {
        if moved == Moved::WithoutHistory {
            self.empty();
            let epoch = self.position().epoch;
            for end in &self.ends {
                let next = Position::new(epoch.clone(), end.offset);
                self.successors.insert(end.epoch.to_string(), next);
            }
        }
        Former {
            link: std::mem::take(&mut self.link),
            moved,
            complete: self.subscribed && !std::mem::take(&mut self.leaky),
        }
    }

    /// Begins an epoch with nothing in it.
    fn empty(&mut self) {
        let end = self.position();
        self.epoch += 1;
        self.top = 0;
        self.log.clear();
        if end.offset == Offset::ZERO {
            self.renamed.insert(end.epoch.to_string(), self.position().epoch);
        }
        self.ends.push(end);
    }

    fn cut(&mut self) {
        self.subscribed = false;
        self.leaky = false;
        self.crowded = false;
        self.link.clear();
    }

    /// Where a subscriber that has everything up to `position` stands when `offset` comes next.
    fn before(&self, position: &Position, offset: Offset) -> Position {
        let mut position = position.clone();
        while position.offset.next() != offset || !self.accepted(&position.epoch, offset) {
            let Some(successor) = self.successors.get(&position.epoch.to_string()) else {
                break;
            };
            assert_eq!(
                position.offset, successor.offset,
                "the end of an epoch is missing"
            );
            let epochs = std::iter::successors(Some(&successor.epoch), |epoch| {
                self.renamed.get(&epoch.to_string())
            });
            let epochs: Vec<_> = epochs.collect();
            let holds = |epoch: &&&Epoch| self.accepted(epoch, Offset::ZERO.next());
            let epoch = epochs.iter().rev().find(holds).or(epochs.last());
            let epoch = epoch.expect("there is the first");
            position = Position::new(Epoch::clone(epoch), Offset::ZERO);
        }
        position
    }

    fn accepted(&self, epoch: &Epoch, offset: Offset) -> bool {
        self.truth.contains_key(&(epoch.to_string(), offset.get()))
    }

    fn renew(&mut self) {
        let end = self.position();
        self.epoch += 1;
        self.renamed.insert(end.epoch.to_string(), self.position().epoch);
        self.ends.push(end);
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
    former: Option<Former>,
    /// How often subscribers were told that continuity is lost.
    losses: usize,
}

/// Limits under which what a recovery read brought is kept for a while.
fn keeping() -> Arc<FeedLimits> {
    Arc::new(FeedLimits {
        kept: KeptBytes::new(1 << 16),
        ..(*limits()).clone()
    })
}

impl World {
    /// A world in which nothing is dropped for want of room.
    fn roomy() -> Self {
        let limits = FeedLimits {
            held_messages: 1000,
            held_bytes: 1 << 20,
            ..(*keeping()).clone()
        };
        Self {
            feed: Feed::new(true, Arc::new(limits)),
            ..Self::new(1000)
        }
    }

    fn new(size: usize) -> Self {
        let shard = Shard {
            epoch: 1,
            size,
            ..Shard::default()
        };
        Self {
            shard,
            feed: Feed::new(true, keeping()),
            subscribers: Vec::new(),
            read: None,
            former: None,
            losses: 0,
        }
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Publish => self.shard.publish(),
            Op::PublishPlain => self.shard.send(None, content(0, 0)),
            Op::Arrive => {
                let message = self.link().pop_front();
                self.arrive(message);
                self.finish_move();
            }
            Op::DropMessage => self.drop_message(),
            Op::RepeatMessage => {
                let message = self.link().front().cloned();
                self.arrive(message);
            }
            Op::Flush => {
                self.shard.empty();
                self.notice_restart();
            }
            Op::Renew => {
                self.shard.renew();
                self.notice_restart();
            }
            Op::Trim(keep) => {
                while self.shard.log.len() as u64 > keep {
                    self.shard.log.pop_front();
                }
            }
            Op::Clear => self.shard.clear(),
            Op::Break => {
                self.shard.cut();
                self.feed.detached();
            }
            Op::Move(moved) => {
                if self.former.is_none() {
                    self.former = Some(self.shard.hand_over(moved));
                    self.finish_move();
                }
            }
            Op::BreakFormer => {
                if let Some(former) = &mut self.former {
                    former.complete = false;
                    former.link.clear();
                    self.finish_move();
                }
            }
            Op::Evict => {
                self.shard.empty();
                self.shard.cut();
                self.former = None;
                self.feed.detached();
            }
            Op::Overflow(count) => {
                if self.former.is_some() {
                    let count = count.min(self.shard.link.len());
                    self.shard.crowded |= count > 0;
                    self.shard.link.drain(..count);
                    self.feed.missed();
                }
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

    /// An epoch that has just begun, or of which something is missing, ends in a restart alone: that breaks the link.
    fn notice_restart(&mut self) {
        let begins = self.former.is_some() || self.feed.awaits_successor;
        if begins || self.shard.leaky || self.shard.crowded {
            self.apply(Op::Break);
        }
    }

    /// The link whose messages are heard: the former owner's, as long as it may say something.
    fn link(&mut self) -> &mut VecDeque<ShardMessage> {
        match &mut self.former {
            Some(former) => &mut former.link,
            None => &mut self.shard.link,
        }
    }

    fn drop_message(&mut self) {
        let lost = self.link().pop_front().is_some();
        match &mut self.former {
            Some(former) => former.complete &= !lost,
            None => self.shard.leaky |= lost,
        }
        self.finish_move();
    }

    fn finish_move(&mut self) {
        if let Some(former) = self.former.take_if(|former| former.link.is_empty()) {
            self.feed.moved(former.moved, former.complete);
        }
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
        // What the new owner's stream has does not continue what the former one has still to say.
        let without_history = |former: &Former| former.moved == Moved::WithoutHistory;
        if self.former.as_ref().is_some_and(without_history)
            && let Some((pending, _)) = self.read.take_if(|(_, page)| page.is_none())
        {
            self.feed.failed(pending);
        }
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
            self.shard.cut();
            self.former = None;
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
            self.losses += usize::from(matches!(event, Event::Lost(_)));
            for subscriber in self.subscribers.iter_mut().filter(|subscriber| subscriber.joined) {
                match &event {
                    Event::Lost(_) => subscriber.joined = false,
                    Event::Publication(publication) if publication.offset > Offset::ZERO => {
                        let position = subscriber.position.as_mut().expect("it has joined");
                        *position = self.shard.before(position, publication.offset);
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
            let quiet = self.shard.link.is_empty() && self.former.is_none();
            if quiet && self.read.is_none() && self.feed.need() == Need::Nothing {
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
            let position = subscriber.position.as_ref().expect("it has joined");
            let position = self.shard.before(position, top.offset.next());
            assert_eq!(position, top);
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
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn what_is_delivered_is_dense_or_a_loss_is_announced(ops in prop::collection::vec(op(), 1..120)) {
        let mut world = World::new(10);
        world.apply(Op::Join);
        for op in ops {
            world.apply(op);
        }
        world.settle();
    }

    #[test]
    fn nothing_is_announced_as_lost_when_nothing_fails(ops in prop::collection::vec(peaceful_op(), 1..120)) {
        let mut world = World::roomy();
        world.apply(Op::Join);
        for op in ops {
            world.apply(op);
        }
        world.settle();
        assert_eq!(world.losses, 0);
    }
}
