//! Bringing the channels of a link back after it came up: subscribed in batches, then verified in batches.
//!
//! Nobody is told anything meanwhile: a subscriber's stream goes on where it stopped, or is announced as lost.

use std::sync::Arc;

use campanile_common::ChannelName;
use futures_util::{StreamExt, stream};

use super::Core;
use super::channel::{Channel, Source};
use super::check::check;
use super::opened::OpenedShard;
use super::retry::Backoff;
use crate::audience::Audience;
use crate::feed::Need;
use crate::partition::Partition;
use crate::shard::{LinkId, ShardError};

/// Channels in one SUBSCRIBE and one round trip of positions: large enough to make the round trip cheap, small enough
/// that a reply is not late for the commands behind it.
pub(super) const BATCH: usize = 256;

/// Reads that one pass has under way at once.
const READS: usize = 16;

type Batch<A> = Vec<(Arc<Channel<A>>, Source)>;

/// Resubscribes all channels of `link`, and refreshes the presence entries of its partitions, unless it breaks again
/// first: then the next life of the link starts over.
pub(super) async fn run<A: Audience>(core: Arc<Core<A>>, link: LinkId) {
    let Some(shard) = core.opened.get(&link.shard) else {
        return;
    };
    for segment in core.channels.segments() {
        let claimed = segment
            .into_iter()
            .filter(|channel| claim(&core, channel, &shard, &link));
        let claimed: Vec<_> = claimed.collect();
        for channels in claimed.chunks(BATCH) {
            subscribe(&core, &shard, &link, channels).await;
            for channel in channels {
                core.yield_claim(channel);
            }
        }
    }
    core.refresh_presence(&shard, |partition| shard.lane_of(partition) == link.lane)
        .await;
}

/// Claims a channel that belongs on `link` and is not subscribed there.
fn claim<A: Audience>(core: &Core<A>, channel: &Channel<A>, shard: &OpenedShard, link: &LinkId) -> bool {
    let routes = core.routes.load();
    let here = routes
        .owner(channel.partition)
        .is_some_and(|owner| Arc::ptr_eq(&owner.links, &shard.links));
    here && shard.lane_of(channel.partition) == link.lane
        && core.claim(channel, |state| {
            state.is_wanted() && state.feed.need() == Need::Subscribe
        })
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
            Ok(attached) => return verify(core, shard, &attached).await,
            Err(error) => {
                tracing::debug!(shard = %link.shard, lane = link.lane, %error, "not resubscribed, trying again");
                tokio::time::sleep(backoff.pause()).await;
            }
        }
    }
}

/// Subscribes `channels`; all of them, or none.
async fn attach<A: Audience>(
    core: &Core<A>,
    shard: &OpenedShard,
    channels: &[Arc<Channel<A>>],
) -> Result<Batch<A>, ShardError> {
    let aim = |channel: &Arc<Channel<A>>| Ok((Arc::clone(channel), core.aim(channel, shard)?));
    let mut batch = channels
        .iter()
        .map(aim)
        .collect::<Result<Batch<A>, ShardError>>()?;
    let names: Vec<(Partition, ChannelName)> = channels
        .iter()
        .map(|channel| (channel.partition, channel.name.clone()))
        .collect();
    shard.shard.subscribe(names).await?;
    batch.retain(|(channel, source)| core.attached(channel, source).is_ok());
    Ok(batch)
}

/// Compares the positions of freshly subscribed channels with what was delivered, and reads where they differ.
async fn verify<A: Audience>(core: &Arc<Core<A>>, shard: &OpenedShard, batch: &Batch<A>) {
    let channels: Vec<_> = batch.iter().map(|(channel, _)| Arc::clone(channel)).collect();
    check(core, shard, &channels).await;
    let read = |channel: Arc<Channel<A>>| async move { core.read_once(&channel).await };
    stream::iter(channels).for_each_concurrent(READS, read).await;
}
