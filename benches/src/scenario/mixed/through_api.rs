//! Publishing through the API until told to end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::Failure;
use crate::check::Ledger;
use crate::pace::{Metronome, Schedule};
use crate::publisher::Publisher;
use crate::run::Run;
use crate::scenario::reshard::play::Work;
use crate::scenario::reshard::watcher::Channel;

/// No run is longer.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Publishes to `channels` in turns, at this rate.
pub(super) fn publish(run: &Run, channels: Vec<Channel>, rate: f64, stop: watch::Receiver<bool>) -> Work {
    tokio::spawn(drive(run.clone(), channels, rate, stop))
}

async fn drive(
    run: Run,
    channels: Vec<Channel>,
    rate: f64,
    mut stop: watch::Receiver<bool>,
) -> Result<Ledger, Failure> {
    let names: Vec<(u32, Arc<str>)> = channels
        .iter()
        .map(|channel| (channel.index, channel.name.as_str().into()))
        .collect();
    let mut publisher = Publisher::connect(&run).await?;
    let start = Instant::now();
    let mut metronome = Metronome::start(Schedule::new(rate, run.plan().load.burst), start, start + LONGEST);
    let mut turns = names.iter().cycle();
    loop {
        let beats = tokio::select! {
            biased;
            _ = stop.changed() => break,
            beats = metronome.next() => beats,
        };
        for beat in beats.into_iter().flatten() {
            if let Some((channel, name)) = turns.next() {
                let intended = run.clock().stamp(beat.intended);
                publisher.publish(*channel, name, intended).await?;
            }
        }
    }
    Ok(publisher.finish().await)
}
