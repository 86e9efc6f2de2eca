//! Bringing the channels of a link back after it came up: subscribed in batches, then verified in batches.
//!
//! Nobody is told anything meanwhile: a subscriber's stream goes on where it stopped, or is announced as lost.

use std::sync::Arc;

use campanile_common::ChannelName;
use futures_util::{StreamExt, stream};

use super::Core;
use super::channel::Channel;
use super::check::check;
use super::opened::{Links, OpenedShard};
use super::retry::Backoff;
use crate::audience::Audience;
use crate::handover::Request;
use crate::partition::Partition;
use crate::shard::{LinkId, ShardError};
use crate::topology::{PartitionState, ShardId};

/// Channels in one SUBSCRIBE and one round trip of positions: large enough to make the round trip cheap, small enough
/// that a reply is not late for the commands behind it.
pub(super) const BATCH: usize = 256;

/// Reads that one pass has under way at once.
const READS: usize = 16;

type Batch<A> = Vec<(Arc<Channel<A>>, Request)>;

/// Resubscribes all channels of `link`, and refreshes the presence entries of its partitions, unless it breaks again
/// first: then the next life of the link starts over.
pub(super) async fn run<A: Audience>(core: Arc<Core<A>>, link: LinkId) {
    let Some(shard) = core.opened.get(&link.shard) else {
        return;
    };
    let on_link = |partition: &Partition| shard.lane_of(*partition) == link.lane;
    look_for_seals(&core, &shard, &link).await;
    sweep(&core, &shard, &link, Partition::all().filter(on_link)).await;
    core.refresh_presence(&shard, |partition| shard.lane_of(partition) == link.lane)
        .await;
}

/// Subscribes the channels of `partitions`, which changed hands, on link `lane` of `shard`. Those that need something
/// else, or wait for a link, are left to themselves afterwards.
pub(super) async fn rehome<A: Audience>(
    core: Arc<Core<A>>,
    shard: ShardId,
    lane: u8,
    partitions: Vec<Partition>,
) {
    if let Some(opened) = core.opened.get(&shard) {
        let serial = opened.links.serial(lane);
        let link = LinkId { shard, lane, serial };
        if serial != Links::DOWN {
            sweep(&core, &opened, &link, partitions.iter().copied()).await;
        }
    }
    for channel in partitions
        .into_iter()
        .flat_map(|partition| core.channels.of(partition))
    {
        // What is missing at another shard comes with that one's sweep, or with its link.
        if core.lacks_nothing(&channel) {
            core.kick(&channel);
        }
    }
}

/// Learns which partitions that move away from the shard are sealed there: the markers may have come before the link.
/// What is not learned here is learned when the move is committed.
async fn look_for_seals<A: Audience>(core: &Arc<Core<A>>, shard: &OpenedShard, link: &LinkId) {
    let topology = core.topology();
    let moves_away = |(partition, state): (Partition, &PartitionState)| {
        let away = matches!(state, PartitionState::Moving { from, .. } if *from == link.shard);
        (away && shard.lane_of(partition) == link.lane).then_some(partition)
    };
    let leaving: Vec<_> = topology
        .iter()
        .flat_map(|topology| topology.states())
        .filter_map(moves_away)
        .collect();
    if leaving.is_empty() {
        return;
    }
    match shard.shard.sealed(leaving).await {
        Ok(sealed) if shard.links.is_current(link) => {
            for (partition, generation) in sealed {
                let mut handover = core.handovers.lock(partition);
                let effect = handover.sealed(&link.shard, link.serial, generation);
                drop(handover);
                core.follow_up(partition, effect);
            }
        }
        Ok(_) => {}
        Err(error) => tracing::debug!(shard = %link.shard, %error, "not told what is sealed"),
    }
}

/// Subscribes the channels of `partitions` that are to be subscribed on `link` and are not, in batches, and verifies
/// those of which something may be missing.
pub(super) async fn sweep<A: Audience>(
    core: &Arc<Core<A>>,
    shard: &OpenedShard,
    link: &LinkId,
    partitions: impl IntoIterator<Item = Partition>,
) {
    let mut claimed = Vec::new();
    for partition in partitions {
        let channels = core.channels.of(partition).into_iter();
        claimed.extend(channels.filter(|channel| claim(core, channel, &link.shard)));
        while claimed.len() >= BATCH {
            let rest = claimed.split_off(BATCH);
            carry(core, shard, link, std::mem::replace(&mut claimed, rest)).await;
        }
    }
    if !claimed.is_empty() {
        carry(core, shard, link, claimed).await;
    }
    core.handed();
}

/// Claims a channel that is to be subscribed at `shard` and is not.
fn claim<A: Audience>(core: &Core<A>, channel: &Channel<A>, shard: &ShardId) -> bool {
    core.claim(channel, |state, handover| {
        state.is_wanted()
            && state
                .subscriptions
                .missing(handover)
                .any(|missing| missing == shard)
    })
}

async fn carry<A: Audience>(
    core: &Arc<Core<A>>,
    shard: &OpenedShard,
    link: &LinkId,
    channels: Vec<Arc<Channel<A>>>,
) {
    subscribe(core, shard, link, &channels).await;
    for channel in channels {
        core.yield_claim(&channel);
    }
}

async fn subscribe<A: Audience>(
    core: &Arc<Core<A>>,
    shard: &OpenedShard,
    link: &LinkId,
    channels: &[Arc<Channel<A>>],
) {
    let mut backoff = Backoff::channel();
    while shard.links.is_current(link) {
        match attach(core, shard, channels).await {
            Ok(()) => return verify(core, shard, channels).await,
            Err(error) => {
                tracing::debug!(shard = %link.shard, lane = link.lane, %error, "not resubscribed, trying again");
                tokio::time::sleep(backoff.pause()).await;
            }
        }
    }
}

/// Subscribes `channels`; all of them, or none.
async fn attach<A: Audience>(
    core: &Arc<Core<A>>,
    shard: &OpenedShard,
    channels: &[Arc<Channel<A>>],
) -> Result<(), ShardError> {
    let ask = |channel: &Arc<Channel<A>>| Ok((Arc::clone(channel), core.ask_for(channel, shard)?));
    let batch = channels
        .iter()
        .map(ask)
        .collect::<Result<Batch<A>, ShardError>>()?;
    let names: Vec<(Partition, ChannelName)> = channels
        .iter()
        .map(|channel| (channel.partition, channel.name.clone()))
        .collect();
    let answer = shard.shard.subscribe(names);
    for (channel, request) in &batch {
        core.asked(channel, shard, *request);
    }
    answer.await?;
    for (channel, request) in batch {
        core.attached(&channel, request);
    }
    Ok(())
}

/// Compares the positions of freshly subscribed channels with what was delivered, and reads where they differ. Where
/// continuity was kept there is nothing to compare.
async fn verify<A: Audience>(core: &Arc<Core<A>>, shard: &OpenedShard, channels: &[Arc<Channel<A>>]) {
    let unsure = |channel: &&Arc<Channel<A>>| !channel.state.lock().feed.is_live();
    let channels: Vec<_> = channels.iter().filter(unsure).cloned().collect();
    check(core, shard, &channels).await;
    let read = |channel: Arc<Channel<A>>| async move { core.read_once(&channel).await };
    stream::iter(channels).for_each_concurrent(READS, read).await;
}
