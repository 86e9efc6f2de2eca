//! One partition with two channels without streams, three shards, one gateway's links to them and an obedient
//! coordinator, driven at random: whoever is subscribed gets everything that was accepted, in order, unless a link
//! broke under it. Each rule is then taken away, and must be missed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::safeguard::without;

const SHARDS: [&str; 3] = ["a", "b", "c"];
const CHANNELS: usize = 2;
const LIMITS: HoldLimits = HoldLimits {
    messages: 1000,
    bytes: usize::MAX,
};

#[derive(Clone, Copy, Debug)]
enum Command {
    Subscribe(usize, Request),
    Unsubscribe(usize, Request),
}

#[derive(Clone, Copy, Debug)]
enum Delivery {
    Message(usize, u32),
    Marker(Generation),
    Done(Command),
}

/// One link: what is on its way in both directions, and what the server has subscribed on it.
#[derive(Default)]
struct Link {
    serial: Serial,
    commands: VecDeque<Command>,
    deliveries: VecDeque<Delivery>,
    subscribed: BTreeSet<usize>,
}

/// One channel on the gateway.
struct Local {
    wanted: bool,
    subscriptions: Subscriptions<u32>,
    /// The commands that were not answered, by link.
    unanswered: BTreeMap<Serial, usize>,
    /// Set while it is attached: what was accepted up to here has been seen, or was before its time.
    seen: Option<Seen>,
}

struct Seen {
    /// What was accepted when it joined: all that comes after this must be seen.
    from: u32,
    last: Option<u32>,
}

struct World {
    random: StdRng,
    links: [Option<Link>; 3],
    serial: Serial,
    /// Which shard serves the partition; `None` between the seal and the opening.
    serving: Option<usize>,
    document: (PartitionState, Generation),
    handover: Handover,
    acknowledged: Generation,
    channels: Vec<Local>,
    /// How many messages each channel's owner has accepted.
    accepted: [u32; CHANNELS],
}

impl World {
    fn new(seed: u64) -> Self {
        let handover = applied(&stable("a"), 1);
        let local = || Local {
            wanted: true,
            subscriptions: Subscriptions::new(&handover),
            unanswered: BTreeMap::new(),
            seen: None,
        };
        let channels = (0..CHANNELS).map(|_| local()).collect();
        let mut world = Self {
            random: StdRng::seed_from_u64(seed),
            links: Default::default(),
            serial: 0,
            serving: Some(0),
            document: (stable("a"), Generation(1)),
            handover,
            acknowledged: Generation(1),
            channels,
            accepted: [0; CHANNELS],
        };
        for shard in 0..SHARDS.len() {
            world.connect(shard);
        }
        world
    }

    fn run(seed: u64, breaks: bool) {
        let mut world = Self::new(seed);
        for _ in 0..400 {
            world.step(breaks);
        }
        world.settle();
    }

    fn step(&mut self, breaks: bool) {
        let channel = self.random.random_range(0..CHANNELS);
        let shard = self.random.random_range(0..SHARDS.len());
        match self.random.random_range(0..100) {
            0..20 => self.publish(channel),
            20..40 => self.execute(shard),
            40..65 => self.deliver(shard),
            65..80 => self.drive(channel),
            80..86 => self.coordinate(),
            86..93 => self.follow(),
            93..97 => self.channels[channel].toggle(),
            97..98 if breaks => self.disconnect(shard),
            _ => self.connect(shard),
        }
    }

    /// Lets everything that is under way come to its end.
    fn settle(&mut self) {
        for _ in 0..200 {
            for shard in 0..SHARDS.len() {
                self.connect(shard);
                while self.links[shard]
                    .as_ref()
                    .is_some_and(|link| !link.commands.is_empty())
                {
                    self.execute(shard);
                }
                while self.links[shard]
                    .as_ref()
                    .is_some_and(|link| !link.deliveries.is_empty())
                {
                    self.deliver(shard);
                }
            }
            for channel in 0..CHANNELS {
                self.drive(channel);
            }
            self.follow();
            if matches!(self.document.0, PartitionState::Moving { .. }) {
                self.coordinate();
            }
        }
        assert_eq!(
            self.acknowledged, self.document.1,
            "the last document is never acknowledged"
        );
        assert!(self.handover.is_drained());
        for (channel, local) in self.channels.iter().enumerate() {
            assert!(!local.subscriptions.holds_back(), "something stays held back");
            assert_eq!(local.wanted, !local.subscriptions.is_gone(), "subscriptions stay");
            if let Some(seen) = &local.seen {
                let last = seen.last.map_or(seen.from, |last| last.max(seen.from));
                assert_eq!(last, self.accepted[channel], "the end is missing");
            } else {
                assert!(!local.wanted, "never attached");
            }
        }
    }

    fn publish(&mut self, channel: usize) {
        let Some(shard) = self.serving else { return };
        self.accepted[channel] += 1;
        let message = Delivery::Message(channel, self.accepted[channel]);
        if let Some(link) = &mut self.links[shard]
            && link.subscribed.contains(&channel)
        {
            link.deliveries.push_back(message);
        }
    }

    /// The server carries out the next command.
    fn execute(&mut self, shard: usize) {
        let Some(link) = &mut self.links[shard] else {
            return;
        };
        let Some(command) = link.commands.pop_front() else {
            return;
        };
        match command {
            Command::Subscribe(channel, _) => link.subscribed.insert(channel),
            Command::Unsubscribe(channel, _) => link.subscribed.remove(&channel),
        };
        link.deliveries.push_back(Delivery::Done(command));
    }

    /// What comes next on a link reaches the gateway.
    fn deliver(&mut self, shard: usize) {
        let Some(link) = &mut self.links[shard] else {
            return;
        };
        let Some(delivery) = link.deliveries.pop_front() else {
            return;
        };
        let serial = link.serial;
        match delivery {
            Delivery::Message(channel, number) => self.receive(channel, serial, number),
            Delivery::Marker(generation) => {
                let effect = self.handover.marker(&id(SHARDS[shard]), serial, generation);
                assert_ne!(effect, Effect::Expired, "it was announced");
            }
            Delivery::Done(Command::Subscribe(channel, request)) => {
                let local = &mut self.channels[channel];
                local.answered(serial);
                local.subscriptions.subscribed(request);
            }
            Delivery::Done(Command::Unsubscribe(channel, request)) => {
                let local = &mut self.channels[channel];
                local.answered(serial);
                local.subscriptions.unsubscribed(&mut self.handover, request);
            }
        }
        self.release();
    }

    fn receive(&mut self, channel: usize, link: Serial, number: u32) {
        let verdict = self.handover.verdict(link);
        let local = &mut self.channels[channel];
        match local.subscriptions.receive(verdict, link, number, &LIMITS) {
            Receipt::Deliver(number) => local.see(number),
            Receipt::Held | Receipt::Stray => {}
            Receipt::Overflowed { .. } => unreachable!("there is room"),
        }
    }

    fn release(&mut self) {
        for local in &mut self.channels {
            if local.subscriptions.notice_breaks(&self.handover) {
                local.seen = None;
            }
            for number in local.subscriptions.settle(&self.handover).released {
                local.see(number);
            }
        }
    }

    /// Does what a channel needs next.
    fn drive(&mut self, channel: usize) {
        let local = &mut self.channels[channel];
        if local.subscriptions.notice_breaks(&self.handover) {
            local.seen = None;
        }
        if local.wanted && local.seen.is_none() && local.subscriptions.is_attached(&self.handover) {
            local.seen = Some(Seen {
                from: self.accepted[channel],
                last: None,
            });
        }
        let missing: Vec<ShardId> = local.subscriptions.missing(&self.handover).cloned().collect();
        for (shard, link) in self.links.iter_mut().enumerate() {
            let Some(link) = link else { continue };
            let asked = local.unanswered.contains_key(&link.serial);
            if local.wanted
                && missing.contains(&id(SHARDS[shard]))
                && !(asked && local.subscriptions.links().any(|serial| serial == link.serial))
            {
                let request =
                    local
                        .subscriptions
                        .subscribing(&mut self.handover, &id(SHARDS[shard]), link.serial);
                link.commands
                    .push_back(Command::Subscribe(channel, request.unwrap()));
                *local.unanswered.entry(link.serial).or_default() += 1;
            }
        }
        let leave: Vec<Serial> = if local.wanted {
            local.subscriptions.surplus(&self.handover).collect()
        } else {
            local.subscriptions.links().collect()
        };
        for link in self
            .links
            .iter_mut()
            .flatten()
            .filter(|link| leave.contains(&link.serial))
        {
            let request = local.subscriptions.unsubscribing(link.serial).unwrap();
            link.commands.push_back(Command::Unsubscribe(channel, request));
            *local.unanswered.entry(link.serial).or_default() += 1;
        }
    }

    /// The gateway follows the document, and acknowledges it.
    fn follow(&mut self) {
        let (state, generation) = &self.document.clone();
        if self.handover.may_apply(state) {
            self.handover.apply(state, *generation);
            self.release();
            let lacking = self
                .channels
                .iter()
                .filter(|local| local.wanted && local.subscriptions.lacks(&self.handover));
            if self.handover.is_acknowledgeable(lacking.count()) {
                self.acknowledged = *generation;
            }
        } else {
            self.handover.foresee(state);
        }
    }

    /// The coordinator takes the next step of a move, or announces one.
    fn coordinate(&mut self) {
        let next = self.document.1.next();
        let state = match &self.document.0 {
            PartitionState::Stable(from) => {
                let targets: Vec<_> = SHARDS.iter().filter(|shard| id(shard) != *from).collect();
                let to = targets[self.random.random_range(0..targets.len())];
                moving(from.as_str(), to, next.0)
            }
            PartitionState::Moving { from, .. } if self.serving.is_some() && self.random.random_bool(0.1) => {
                PartitionState::Stable(from.clone())
            }
            PartitionState::Moving { from, generation, .. } if self.serving.is_some() => {
                if self.acknowledged >= *generation {
                    self.seal(&from.clone(), *generation);
                }
                return;
            }
            PartitionState::Moving { to, .. } => {
                self.serving = SHARDS.iter().position(|shard| id(shard) == *to);
                PartitionState::Stable(to.clone())
            }
            PartitionState::Opening { .. } => unreachable!("nothing is evicted"),
        };
        self.document = (state, next);
    }

    fn seal(&mut self, from: &ShardId, generation: Generation) {
        self.serving = None;
        let shard = SHARDS.iter().position(|shard| id(shard) == *from);
        if let Some(link) = &mut self.links[shard.unwrap()] {
            link.deliveries.push_back(Delivery::Marker(generation));
        }
    }

    fn disconnect(&mut self, shard: usize) {
        if let Some(link) = self.links[shard].take() {
            self.handover.link_down(link.serial);
            self.release();
        }
    }

    fn connect(&mut self, shard: usize) {
        if self.links[shard].is_none() {
            self.serial += 1;
            self.links[shard] = Some(Link {
                serial: self.serial,
                ..Link::default()
            });
        }
    }
}

impl Local {
    fn toggle(&mut self) {
        self.wanted ^= true;
        self.seen = None;
    }

    fn answered(&mut self, link: Serial) {
        let count = self.unanswered.get_mut(&link).unwrap();
        *count -= 1;
        if *count == 0 {
            self.unanswered.remove(&link);
        }
    }

    fn see(&mut self, number: u32) {
        let Some(seen) = &mut self.seen else { return };
        match seen.last {
            Some(last) if number <= seen.from => assert!(number > last, "{number} after {last}"),
            Some(last) => assert_eq!(number, last.max(seen.from) + 1, "after {last}"),
            None => assert!(
                number <= seen.from + 1,
                "{number} is the first after {}",
                seen.from
            ),
        }
        seen.last = Some(number);
    }
}

/// Runs `count` worlds; the first seed that fails.
fn failure(count: u64, breaks: bool) -> Option<u64> {
    (0..count).find(|seed| std::panic::catch_unwind(|| World::run(*seed, breaks)).is_err())
}

#[test]
fn nothing_is_lost_doubled_or_reordered_over_moves_one_after_another() {
    for seed in 0..1000 {
        World::run(seed, seed % 2 == 0);
    }
}

#[test]
fn each_rule_is_missed() {
    for rule in [
        Safeguard::HoldBack,
        Safeguard::HoldPastCommit,
        Safeguard::AckWaitsForSubscribes,
        Safeguard::AckCountsRequests,
        Safeguard::MarkerGeneration,
        Safeguard::DrainEvaluated,
        Safeguard::NextMoveWaits,
    ] {
        let failed = without(rule, || failure(3000, true));
        assert!(failed.is_some(), "{rule:?} makes no difference");
    }
}
