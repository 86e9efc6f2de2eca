//! The periodic check of idle channels: a lost message is noticed by the next one, but a channel on which nothing
//! follows would never notice.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::{MissedTickBehavior, interval};

use super::Core;
use super::channel::Channel;
use super::opened::OpenedShard;
use super::resume::{BATCH, check};
use crate::audience::Audience;

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
    let routes = core.routes.load();
    let mut work: HashMap<*const OpenedShard, (Arc<OpenedShard>, Vec<_>)> = HashMap::new();
    let segments = core.channels.segments().skip(slice).step_by(SLICES as usize);
    for channel in segments.flatten() {
        let Some(owner) = routes.owner(channel.partition) else {
            continue;
        };
        if core.claim(&channel, |state| state.is_wanted() && state.feed.take_idle()) {
            let entry = work
                .entry(Arc::as_ptr(owner))
                .or_insert_with(|| (Arc::clone(owner), Vec::new()));
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
