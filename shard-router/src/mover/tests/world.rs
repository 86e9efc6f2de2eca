//! Two shards, a topology and a publisher that writes wherever it is let, for attempts to act on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::super::{Answer, Ask, Attempt, AttemptOptions, Decision, Outcome};
use crate::fence::{self, FenceCommand, FenceReply, OwnerRecord, OwnerState};
use crate::partition::Partition;
use crate::shard::{CopyItem, CopyPart, CopyScope, DirtyPage, ScanCursor};
use crate::store::{GatewayId, GatewayReport};
use crate::topology::{
    Change, Generation, MoveHistory, OpeningContent, PartitionState, ShardEntry, ShardId, ShardState, Token,
    Topology,
};

/// Before anything moved.
const OPENED: Generation = Generation(5);

/// The announcement.
pub(super) const MOVE: Generation = Generation(10);

/// Bytes that the source reads of one key at once.
const PIECE: usize = 4;

#[derive(Default)]
pub(super) struct FakeShard {
    pub(super) records: BTreeMap<Partition, OwnerRecord>,
    /// Keys that begin with `result` are results of publications.
    pub(super) keys: BTreeMap<(Partition, String), String>,
    /// A key that is made again is another one, as a stream is in another epoch.
    births: BTreeMap<(Partition, String), u64>,
    dirty: BTreeMap<Partition, BTreeMap<String, u64>>,
    changes: u64,
    pub(super) down: bool,
}

pub(super) struct World {
    pub(super) topology: Arc<Topology>,
    pub(super) shards: BTreeMap<ShardId, FakeShard>,
    pub(super) gateways: Vec<(GatewayId, GatewayReport)>,
    pub(super) now: Duration,
    pub(super) log: Vec<Ask>,
    pub(super) decisions: Vec<Decision>,
    tokens: u64,
    /// Everything that was accepted.
    pub(super) truth: BTreeMap<(Partition, String), String>,
    writes: usize,
    births: u64,
}

pub(super) fn shard(name: &str) -> ShardId {
    ShardId::new(name)
}

pub(super) fn options() -> AttemptOptions {
    AttemptOptions {
        barrier_timeout: Duration::from_secs(10),
        move_rate: None,
    }
}

pub(super) fn partition(index: usize) -> Partition {
    Partition::all().nth(index).unwrap()
}

impl World {
    /// The first `count` partitions are announced to move from `a` to `b`, with some content.
    pub(super) fn new(count: usize, history: MoveHistory) -> Self {
        let entry = || ShardEntry {
            url: crate::topology::ShardUrl::default(),
            address: String::new(),
            weight: 1,
            durable: false,
            state: ShardState::Active,
            incarnation: None,
            admitted: OPENED,
        };
        let moving = PartitionState::Moving {
            from: shard("a"),
            to: shard("b"),
            generation: MOVE,
            aborting: None,
            history,
        };
        let state = |partition: Partition| match partition.index() < count {
            true => moving.clone(),
            false => PartitionState::Stable(shard("a")),
        };
        let change = Change {
            generation: MOVE,
            id: 1,
        };
        let entries = ["a", "b"].map(|name| (shard(name), entry())).into();
        let topology = Topology::new(change, entries, Partition::all().map(state).collect());
        let mut world = Self {
            topology: Arc::new(topology),
            shards: ["a", "b"].map(|name| (shard(name), FakeShard::default())).into(),
            gateways: vec![(GatewayId("g".into()), GatewayReport::applied(MOVE))],
            now: Duration::from_secs(100),
            log: Vec::new(),
            decisions: Vec::new(),
            tokens: 0,
            truth: BTreeMap::new(),
            writes: 0,
            births: 0,
        };
        for partition in Partition::all().take(count) {
            world
                .a()
                .records
                .insert(partition, record(OPENED, OwnerState::Open));
            world.write(partition, "stream", "0123456789");
            world.write(partition, "result", "x");
        }
        world
    }

    pub(super) fn a(&mut self) -> &mut FakeShard {
        self.shards.get_mut(&shard("a")).unwrap()
    }

    pub(super) fn b(&mut self) -> &mut FakeShard {
        self.shards.get_mut(&shard("b")).unwrap()
    }

    pub(super) fn attempt(&self) -> Attempt {
        self.attempt_with(options())
    }

    pub(super) fn attempt_with(&self, options: AttemptOptions) -> Attempt {
        Attempt::new(Arc::clone(&self.topology), MOVE, options)
    }

    /// Carries out an attempt's next ask; false: it is over.
    pub(super) fn step(&mut self, attempt: &mut Attempt) -> bool {
        let ask = attempt.next_ask();
        if matches!(ask, Ask::Done(_)) {
            return false;
        }
        let answer = self.perform(&ask);
        attempt.observe(Arc::clone(&self.topology));
        attempt.answer(self.now, answer);
        self.disturb();
        true
    }

    /// Runs an attempt to its end.
    pub(super) fn run(&mut self, attempt: &mut Attempt) -> Outcome {
        for _ in 0..100_000 {
            if !self.step(attempt) {
                break;
            }
        }
        match attempt.next_ask() {
            Ask::Done(outcome) => outcome,
            ask => panic!("no end, but {ask:?}"),
        }
    }

    /// Attempts until nothing moves any more.
    pub(super) fn settle(&mut self) {
        for _ in 0..10 {
            if Attempt::due(&self.topology).is_empty() {
                return;
            }
            let mut attempt = self.attempt();
            self.run(&mut attempt);
        }
        panic!("still moving: {:?}", self.topology.partitions[0]);
    }

    pub(super) fn perform(&mut self, ask: &Ask) -> Answer {
        self.now += Duration::from_millis(1);
        self.log.push(ask.clone());
        if let Some(shard) = shard_of(ask)
            && self.shards[shard].down
        {
            return Answer::Failed("down".to_owned());
        }
        match ask {
            Ask::Token => {
                self.tokens += 1;
                Answer::Token(Token(self.tokens))
            }
            Ask::Gateways => Answer::Gateways(self.gateways.clone()),
            Ask::Pause(pause) => {
                self.now += *pause;
                Answer::Rested
            }
            Ask::Commit(decision) => {
                self.decide(decision);
                Answer::Decided
            }
            Ask::Done(_) => panic!("nothing to do"),
            at_shard => {
                let shard = shard_of(at_shard).unwrap().clone();
                let answer = self.shards.get_mut(&shard).unwrap().perform(at_shard);
                self.assert_one_open();
                answer
            }
        }
    }

    fn decide(&mut self, decision: &Decision) {
        let (Decision::Commit(partitions)
        | Decision::Abort(partitions, _)
        | Decision::Aborted(partitions)
        | Decision::Resume(partitions)
        | Decision::Reclaim(partitions)) = decision;
        let stale = |partition: &Partition| {
            let state = self.topology.partition(*partition);
            !matches!(state, PartitionState::Moving { aborting, .. } if match decision {
                Decision::Commit(_) | Decision::Abort(..) => aborting.is_none(),
                Decision::Aborted(_) | Decision::Resume(_) => aborting.is_some(),
                Decision::Reclaim(_) => true,
            })
        };
        // Another attempt has decided meanwhile: the compare-and-set fails.
        if partitions.iter().any(stale) {
            return;
        }
        self.decisions.push(decision.clone());
        let topology = Arc::make_mut(&mut self.topology);
        topology.generation = topology.generation.next();
        let generation = topology.generation;
        for partition in partitions {
            let state = &mut topology.partitions[partition.index()];
            let PartitionState::Moving {
                from, to, aborting, ..
            } = state
            else {
                panic!("{decision:?} of {state:?}");
            };
            match decision {
                Decision::Commit(_) => *state = PartitionState::Stable(to.clone()),
                Decision::Aborted(_) => *state = PartitionState::Stable(from.clone()),
                Decision::Abort(..) => *aborting = Some(generation),
                Decision::Resume(_) => *aborting = None,
                Decision::Reclaim(_) => {
                    let shard = from.clone();
                    // As whoever looks after the source does.
                    let reclaim = FenceCommand::Reclaim { generation };
                    self.shards.get_mut(&shard).unwrap().fence(*partition, &reclaim);
                    *state = PartitionState::Opening {
                        shard,
                        generation,
                        content: OpeningContent::Reclaim,
                    };
                }
            }
        }
    }

    /// A write to one partition, if anybody serves it.
    fn disturb(&mut self) {
        self.writes += 1;
        let moving: Vec<Partition> = self.shards[&shard("a")].records.keys().copied().collect();
        let Some(partition) = moving.get(self.writes % (moving.len() + 1)).copied() else {
            return;
        };
        match self.writes % 5 {
            0 => self.write(partition, "result", "y"),
            1 => self.remove(partition, "brief"),
            2 => self.write(partition, "brief", "there"),
            _ => self.write(partition, "stream", "z"),
        }
    }

    /// Appends to a key where the partition is served.
    pub(super) fn write(&mut self, partition: Partition, key: &str, text: &str) {
        self.births += 1;
        let births = self.births;
        if let Some(shard) = self.serving(partition) {
            shard.touch(partition, key);
            let key = (partition, key.to_owned());
            if !shard.keys.contains_key(&key) {
                shard.births.insert(key.clone(), births);
            }
            shard.keys.entry(key.clone()).or_default().push_str(text);
            self.truth.entry(key).or_default().push_str(text);
        }
    }

    fn remove(&mut self, partition: Partition, key: &str) {
        if let Some(shard) = self.serving(partition) {
            shard.touch(partition, key);
            let key = (partition, key.to_owned());
            shard.keys.remove(&key);
            self.truth.remove(&key);
        }
    }

    fn serving(&mut self, partition: Partition) -> Option<&mut FakeShard> {
        self.shards.values_mut().find(|shard| shard.serves(partition))
    }

    fn assert_one_open(&self) {
        let served = |shard: &FakeShard| -> BTreeSet<Partition> {
            let records = shard.records.iter().filter(|(_, record)| record.state.serves());
            records.map(|(partition, _)| *partition).collect()
        };
        let [a, b] = ["a", "b"].map(|name| served(&self.shards[&shard(name)]));
        assert!(a.is_disjoint(&b), "served twice");
    }

    /// Every partition is served where the topology has it, with all that was accepted.
    pub(super) fn assert_complete(&self) {
        for (partition, state) in self.topology.states() {
            let owner = &self.shards[state.owner()];
            let moved = self
                .shards
                .values()
                .any(|shard| shard.records.contains_key(&partition));
            assert!(
                !moved || owner.serves(partition),
                "{partition} is not served: {state:?}"
            );
            let of = |keys: &BTreeMap<(Partition, String), String>| -> Vec<(String, String)> {
                let keys = keys.iter().filter(|((of, _), _)| *of == partition);
                keys.map(|((_, key), value)| (key.clone(), value.clone()))
                    .collect()
            };
            assert_eq!(of(&owner.keys), of(&self.truth), "content of {partition}");
        }
    }
}

pub(super) fn record(generation: Generation, state: OwnerState) -> OwnerRecord {
    OwnerRecord {
        generation,
        state,
        token: Token::default(),
        floor: OPENED,
    }
}

fn shard_of(ask: &Ask) -> Option<&ShardId> {
    match ask {
        Ask::Records { shard, .. }
        | Ask::Fence { shard, .. }
        | Ask::Wipe { shard, .. }
        | Ask::Scan { shard, .. }
        | Ask::Dirty { shard, .. }
        | Ask::Copy { shard, .. }
        | Ask::Restore { shard, .. } => Some(shard),
        Ask::Token | Ask::Gateways | Ask::Pause(_) | Ask::Commit(_) | Ask::Done(_) => None,
    }
}

impl FakeShard {
    fn serves(&self, partition: Partition) -> bool {
        self.records
            .get(&partition)
            .is_some_and(|record| record.state.serves())
    }

    fn touch(&mut self, partition: Partition, key: &str) {
        if self.records[&partition].state == OwnerState::Migrating {
            self.changes += 1;
            let dirty = self.dirty.entry(partition).or_default();
            dirty.insert(key.to_owned(), self.changes);
        }
    }

    pub(super) fn fence(&mut self, partition: Partition, command: &FenceCommand) -> FenceReply {
        let record = self.records.get(&partition);
        match fence::apply(record, command) {
            Ok(Some(next)) => {
                if next.state == OwnerState::Migrating {
                    self.dirty.remove(&partition);
                }
                self.records.insert(partition, next);
                FenceReply::Done
            }
            Ok(None) => FenceReply::Done,
            Err(_) => FenceReply::Refused(record.cloned()),
        }
    }

    fn perform(&mut self, ask: &Ask) -> Answer {
        match ask {
            Ask::Records { partitions, .. } => {
                let record = |partition| self.records.get(partition).cloned();
                Answer::Records(partitions.iter().map(record).collect())
            }
            Ask::Fence { commands, .. } => {
                let carry =
                    |(partition, command): &(Partition, FenceCommand)| self.fence(*partition, command);
                Answer::Fenced(commands.iter().map(carry).collect())
            }
            Ask::Wipe {
                partitions,
                generation,
                token,
                ..
            } => {
                for partition in partitions {
                    if self.fills(*partition, *generation, *token) {
                        self.keys.retain(|(of, _), _| of != partition);
                    }
                }
                Answer::Wiped
            }
            Ask::Scan {
                partitions,
                scope,
                cursor,
                ..
            } => self.scan(partitions, *scope, cursor),
            Ask::Dirty {
                generation,
                since,
                scope,
                ..
            } => Answer::Dirty(
                since
                    .iter()
                    .map(|(partition, since)| self.changes(*partition, *generation, *since, *scope))
                    .collect(),
            ),
            Ask::Copy {
                generation, items, ..
            } => Answer::Copied(items.iter().map(|item| self.read(item, *generation)).collect()),
            Ask::Restore {
                generation,
                token,
                parts,
                ..
            } => Answer::Restored(
                parts
                    .iter()
                    .map(|part| self.restore(part, *generation, *token))
                    .collect(),
            ),
            other => panic!("{other:?} is not for a shard"),
        }
    }

    fn fills(&self, partition: Partition, generation: Generation, token: Token) -> bool {
        self.records.get(&partition).is_some_and(|record| {
            record.state == OwnerState::Importing && record.generation == generation && record.token == token
        })
    }

    fn gives(&self, partition: Partition, generation: Generation) -> bool {
        self.records.get(&partition).is_some_and(|record| {
            record.generation == generation
                && matches!(record.state, OwnerState::Migrating | OwnerState::Sealed)
        })
    }

    /// Two keys a step.
    fn scan(&self, partitions: &BTreeSet<Partition>, scope: CopyScope, cursor: &ScanCursor) -> Answer {
        let text = std::str::from_utf8(&cursor.0).unwrap();
        let from: usize = text.parse().unwrap_or(0);
        let keys = self.keys.keys().skip(from).take(2);
        let items: Vec<CopyItem> = keys
            .clone()
            .filter(|(partition, key)| partitions.contains(partition) && is_in(scope, key))
            .map(|(partition, key)| item(*partition, key))
            .collect();
        let next = (keys.count() == 2).then(|| ScanCursor((from + 2).to_string().into()));
        Answer::Scanned(items, next)
    }

    /// Two changes a page.
    fn changes(
        &self,
        partition: Partition,
        generation: Generation,
        since: u64,
        scope: CopyScope,
    ) -> Option<DirtyPage> {
        if !self.gives(partition, generation) {
            return None;
        }
        let mut changes: Vec<(u64, &String)> = self
            .dirty
            .get(&partition)
            .into_iter()
            .flatten()
            .filter(|(_, number)| **number > since)
            .map(|(key, number)| (*number, key))
            .collect();
        changes.sort_unstable();
        let page = &changes[..changes.len().min(2)];
        Some(DirtyPage {
            items: page
                .iter()
                .filter(|(_, key)| is_in(scope, key))
                .map(|(_, key)| item(partition, key))
                .collect(),
            through: page.last().map_or(since, |(number, _)| *number),
            more: changes.len() > 2,
        })
    }

    fn read(&self, item: &CopyItem, generation: Generation) -> Option<CopyPart> {
        if !self.gives(item.partition, generation) {
            return None;
        }
        let key = String::from_utf8(item.name.to_vec()).unwrap();
        let part = |content: String, mark, complete| CopyPart {
            partition: item.partition,
            name: item.name.clone(),
            content: content.into(),
            mark,
            complete,
        };
        let key = (item.partition, key);
        let Some(value) = self.keys.get(&key) else {
            return Some(part("gone".to_owned(), None, true));
        };
        let birth = self.births.get(&key).copied().unwrap_or(0);
        let begun = item.resume.as_ref().and_then(|mark| {
            let (of, end) = std::str::from_utf8(mark).unwrap().split_once('/')?;
            (of == birth.to_string()).then(|| end.parse::<usize>().unwrap())
        });
        let from = begun.unwrap_or(0);
        let to = (from + PIECE).min(value.len());
        let content = format!("{from}:{}", &value[from..to]);
        Some(part(
            content,
            Some(format!("{birth}/{to}").into()),
            to == value.len(),
        ))
    }

    fn restore(&mut self, part: &CopyPart, generation: Generation, token: Token) -> bool {
        if !self.fills(part.partition, generation, token) {
            return false;
        }
        let key = (part.partition, String::from_utf8(part.name.to_vec()).unwrap());
        let content = std::str::from_utf8(&part.content).unwrap();
        match content.split_once(':') {
            None => {
                self.keys.remove(&key);
            }
            Some((from, piece)) => {
                let value = self.keys.entry(key).or_default();
                value.truncate(from.parse().unwrap());
                value.push_str(piece);
            }
        }
        true
    }
}

fn item(partition: Partition, key: &str) -> CopyItem {
    CopyItem {
        partition,
        name: Bytes::copy_from_slice(key.as_bytes()),
        resume: None,
    }
}

fn is_in(scope: CopyScope, key: &str) -> bool {
    scope == CopyScope::All || key.starts_with("result")
}
