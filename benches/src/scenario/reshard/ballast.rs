//! Streams that nobody watches: what has to be moved.

use futures_util::StreamExt as _;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};

use super::watcher::Channel;
use super::{BALLAST, BALLAST_EACH};
use crate::admin::Admin;
use crate::run::Run;
use crate::{Failure, Promise, Violation};

/// Of so many streams of each worker every publication is read again.
const LOOKED_AT: usize = 200;

/// Publications in one request, and requests under way at a time.
const BATCH: usize = 500;
const BATCHES: usize = 4;

/// This worker's part of the ballast.
#[derive(Debug)]
pub(super) struct Ballast {
    /// Those that are read again, with their epochs.
    sample: Vec<(Channel, Value)>,
    /// Publications in each.
    each: usize,
}

impl Ballast {
    /// Publishes it.
    pub(super) async fn fill(run: &Run, admin: &Admin) -> Result<Self, Failure> {
        let load = &run.plan().load;
        let (count, each) = (BALLAST.value(load)?, BALLAST_EACH.value(load)?);
        // Behind the channels that are watched.
        let indices = run.share().range(count).map(|index| load.channels + index);
        let channels: Vec<_> = indices
            .map(|index| Channel::new(run, u32::try_from(index).unwrap_or(u32::MAX), true))
            .collect();
        for turn in 0..each {
            let batches = channels.chunks(BATCH);
            let batches: Vec<_> = batches.map(|batch| publish(run, admin, batch, turn)).collect();
            let mut batches = futures_util::stream::iter(batches).buffer_unordered(BATCHES);
            while let Some(published) = batches.next().await {
                published?;
            }
            run.progress(
                turn as u64 + 1,
                each as u64,
                "publications in each stream of the ballast",
            );
        }
        let mut sample = Vec::new();
        let looked_at = channels.into_iter().step_by((count / LOOKED_AT).max(1));
        for channel in looked_at.filter(|_| each > 0) {
            let asked = json!({ "channel": channel.name, "limit": 0 });
            let top = admin.call("history", &asked).await?;
            sample.push((channel, top["epoch"].clone()));
        }
        Ok(Self { sample, each })
    }

    /// Reads the sample again: every publication, at its offset, in its epoch.
    pub(super) async fn verify(self, run: &Run, admin: &Admin) -> Result<(), Failure> {
        for (channel, epoch) in &self.sample {
            let asked = json!({ "channel": channel.name, "limit": self.each });
            let page = admin.call("history", &asked).await?;
            if let Some(words) = self.wrong(&page, epoch) {
                let detail = format!("{}, which lay still: {words}", channel.name);
                run.violation(Violation::new(Promise::NothingLost, detail));
            }
            run.total("streams_read_again", 1);
        }
        Ok(())
    }

    /// What is wrong with a stream.
    fn wrong(&self, page: &Value, epoch: &Value) -> Option<String> {
        if page["epoch"] != *epoch {
            return Some(format!("its epoch was {epoch} and is {}", page["epoch"]));
        }
        let publications = page["publications"].as_array();
        let offsets = publications
            .into_iter()
            .flatten()
            .map(|one| one["offset"].as_u64());
        let whole = (1..=self.each as u64).map(Some);
        (!offsets.clone().eq(whole))
            .then(|| format!("{} of {} publications are there", offsets.count(), self.each))
    }
}

/// Publishes once to each of `channels`.
async fn publish(run: &Run, admin: &Admin, channels: &[Channel], turn: usize) -> Result<(), Failure> {
    let mut random =
        StdRng::seed_from_u64(run.plan().seed ^ turn as u64 ^ u64::from(channels[0].index) << 32);
    let half = run.plan().load.size / 2;
    let commands = channels.iter().map(|channel| {
        // Such as servers cannot press together.
        let noise: String = (0..half)
            .map(|_| format!("{:02x}", random.random::<u8>()))
            .collect();
        json!({ "publish": { "channel": channel.name, "data": noise } })
    });
    let batch = json!({ "commands": commands.collect::<Vec<_>>(), "parallel": true });
    let answer = admin.call("batch", &batch).await?;
    let refused = answer["replies"]
        .as_array()
        .into_iter()
        .flatten()
        .find_map(|reply| reply.get("error"));
    match refused.filter(|error| !error.is_null()) {
        Some(error) => Err(Failure::run(format!("a stream could not be filled: {error}"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_with_a_hole_or_another_epoch_is_not_whole() {
        let ballast = Ballast {
            sample: Vec::new(),
            each: 2,
        };
        let page = |offsets: &[u64], epoch: &str| {
            let publications: Vec<_> = offsets.iter().map(|offset| json!({ "offset": offset })).collect();
            json!({ "publications": publications, "epoch": epoch })
        };
        assert_eq!(ballast.wrong(&page(&[1, 2], "a"), &json!("a")), None);
        for (offsets, epoch) in [
            (&[1, 2][..], "b"),
            (&[1], "a"),
            (&[2], "a"),
            (&[1, 3], "a"),
            (&[], "a"),
        ] {
            assert!(
                ballast.wrong(&page(offsets, epoch), &json!("a")).is_some(),
                "{offsets:?} {epoch}"
            );
        }
    }
}
