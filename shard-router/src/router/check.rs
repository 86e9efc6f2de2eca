//! The periodic check of idle channels: a lost message is noticed by the next one, but a channel on which nothing
//! follows would never notice.
//!
//! It also notices when this gateway serves a partition that has moved away since others stopped waiting for it: then
//! the owner that it knows does not answer.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use campanile_common::Position;
use parking_lot::Mutex;
use tokio::time::{MissedTickBehavior, interval};

use super::Core;
use super::channel::Channel;
use super::drive::new_epoch;
use super::opened::OpenedShard;
use super::resume::BATCH;
use crate::audience::Audience;
use crate::feed::{PendingRead, Read};
use crate::partition::Partition;
use crate::shard::{PositionRequest, ShardError};
use crate::topology::PartitionState;

/// An interval's work is spread over so many ticks.
const SLICES: u32 = 8;

/// Checks a slice of the channels on each tick, until the router ends.
pub(super) async fn run<A: Audience>(core: Arc<Core<A>>) {
    let mut ticks = interval(core.config.position_check_interval / SLICES);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for slice in (0..SLICES as usize).cycle() {
        ticks.tick().await;
        core.metrics.channels.set(core.channels.len() as f64);
        for (shard, channels) in idle(&core, slice) {
            // A shard that is still busy with the last slice is in trouble; its channels have another turn.
            if shard.checking.swap(true, Ordering::AcqRel) {
                channels.iter().for_each(|channel| core.yield_claim(channel));
                continue;
            }
            core.spawn(check_shard(Arc::clone(&core), shard, channels));
        }
    }
}

type Work<A> = Vec<(Arc<OpenedShard>, Vec<Arc<Channel<A>>>)>;

/// Claims the idle channels of a slice, by owner.
fn idle<A: Audience>(core: &Core<A>, slice: usize) -> Work<A> {
    let mut work: HashMap<*const OpenedShard, (Arc<OpenedShard>, Vec<_>)> = HashMap::new();
    for channel in core.channels.slice(slice, SLICES as usize).flatten() {
        let Some(owner) = core.ways(channel.partition).first else {
            continue;
        };
        if core.claim(&channel, |state, _| state.is_wanted() && state.feed.take_idle()) {
            let entry = work
                .entry(Arc::as_ptr(&owner))
                .or_insert_with(|| (owner, Vec::new()));
            entry.1.push(channel);
        }
    }
    work.into_values().collect()
}

async fn check_shard<A: Audience>(
    core: Arc<Core<A>>,
    shard: Arc<OpenedShard>,
    channels: Vec<Arc<Channel<A>>>,
) {
    for batch in channels.chunks(BATCH) {
        check(&core, &shard, batch).await;
        batch.iter().for_each(|channel| core.yield_claim(channel));
    }
    shard.checking.store(false, Ordering::Release);
}

/// One channel's position, asked for.
struct Asked<'a, A: Audience> {
    channel: &'a Arc<Channel<A>>,
    pending: PendingRead,
    request: PositionRequest,
    answer: Result<Position, ShardError>,
}

/// Compares the positions of `channels`, whose claims the caller holds, in one round trip to `shard`; in a second one to
/// others for those that are changing hands.
pub(super) async fn check<A: Audience>(
    core: &Arc<Core<A>>,
    shard: &OpenedShard,
    channels: &[Arc<Channel<A>>],
) {
    let mut begun: Vec<_> = channels.iter().filter_map(begin).collect();
    if begun.is_empty() {
        return;
    }
    core.metrics.checks.increment(begun.len() as u64);
    ask(core, shard, begun.iter_mut().collect()).await;
    for (other, refused) in elsewhere(core, shard, &mut begun) {
        ask(core, &other, refused).await;
    }
    let unserved = |asked: &&Asked<'_, A>| matches!(asked.answer, Err(ShardError::NotOwner));
    for asked in begun.iter().filter(unserved) {
        core.suspect(asked.channel.partition, &asked.request);
    }
    for asked in begun {
        core.settle(asked.channel, |state, out| match asked.answer {
            Ok(position) => {
                if state.delivered().is_some_and(|delivered| *delivered != position) {
                    core.metrics.checks_differed.increment(1);
                }
                state.feed.checked(asked.pending, position, out);
            }
            Err(_) => state.feed.failed(asked.pending),
        });
    }
}

/// Begins the check of one channel; one that was never read needs more than its position.
fn begin<A: Audience>(channel: &Arc<Channel<A>>) -> Option<Asked<'_, A>> {
    let mut state = channel.state.lock();
    if !state.feed.has_stream() || !state.feed.is_attached() || state.delivered().is_none() {
        return None;
    }
    let request = PositionRequest {
        partition: channel.partition,
        channel: channel.name.clone(),
        meta_ttl: state.meta_ttl(),
        new_epoch: new_epoch(),
    };
    Some(Asked {
        channel,
        pending: state.feed.begin(Read::Position),
        request,
        answer: Err(ShardError::NotOwner),
    })
}

/// Asks `shard` for the positions, and notes its answers.
async fn ask<A: Audience>(core: &Core<A>, shard: &OpenedShard, asked: Vec<&mut Asked<'_, A>>) {
    let requests = asked.iter().map(|asked| asked.request.clone()).collect();
    let answers = match shard.shard.positions(requests).await {
        Ok(answers) => answers,
        Err(error) => vec![Err(error); asked.len()],
    };
    let too_early = || ShardError::Unavailable("the former owner has not said its last".to_owned());
    for (asked, answer) in asked.into_iter().zip(answers) {
        let handover = core.handovers.lock(asked.channel.partition);
        let readable = handover.may_read(shard.shard.id());
        asked.answer = answer.and_then(|position| readable.then_some(position).ok_or_else(too_early));
    }
}

/// Those that `shard` refused, by the other shards that may serve them.
fn elsewhere<'a, 'b, A: Audience>(
    core: &Core<A>,
    shard: &OpenedShard,
    asked: &'a mut [Asked<'b, A>],
) -> Vec<(Arc<OpenedShard>, Vec<&'a mut Asked<'b, A>>)> {
    let mut others: HashMap<_, (Arc<OpenedShard>, Vec<_>)> = HashMap::new();
    let refused = asked
        .iter_mut()
        .filter(|asked| matches!(asked.answer, Err(ShardError::NotOwner)));
    for asked in refused {
        let ways = core.ways(asked.channel.partition);
        let mut shards = [ways.first, ways.second].into_iter().flatten();
        let other = shards.find(|other| other.destination() != shard.destination());
        if let Some(other) = other {
            let entry = others.entry(other.destination());
            entry.or_insert_with(|| (other, Vec::new())).1.push(asked);
        }
    }
    others.into_values().collect()
}

/// Partitions whose owner does not serve them, until that is confirmed or not.
#[derive(Default)]
pub(super) struct Suspects(Mutex<BTreeSet<Partition>>);

/// A gateway that hears of changes hears of this one long before.
const CONFIRM_AFTER: Duration = Duration::from_secs(5);

impl<A: Audience> Core<A> {
    /// The owner of `partition` does not serve it, as `request` showed. If that stays so without a newer topology, others
    /// have gone on without this gateway. (While it is opened or moves, nobody may serve it for a time, and nothing
    /// follows from that.)
    fn suspect(self: &Arc<Self>, partition: Partition, request: &PositionRequest) {
        if self.is_stable(partition) && self.suspects.0.lock().insert(partition) {
            self.spawn(confirm(Arc::clone(self), partition, request.clone()));
        }
    }

    fn is_stable(&self, partition: Partition) -> bool {
        let topology = self.topology();
        let state = topology.as_ref().map(|topology| topology.partition(partition));
        matches!(state, Some(PartitionState::Stable(_)))
    }
}

async fn confirm<A: Audience>(core: Arc<Core<A>>, partition: Partition, request: PositionRequest) {
    let generation = core.generation();
    tokio::time::sleep(CONFIRM_AFTER).await;
    let ask = |shard: &dyn crate::shard::Shard| -> crate::shard::ShardFuture<Position> {
        let positions = shard.positions(vec![request.clone()]);
        Box::pin(async move { positions.await?.pop().unwrap_or(Err(ShardError::NotOwner)) })
    };
    let refused = matches!(core.ask(partition, ask).await, Err(ShardError::NotOwner));
    core.suspects.0.lock().remove(&partition);
    if refused && core.generation() == generation {
        core.expired(partition);
    }
}
