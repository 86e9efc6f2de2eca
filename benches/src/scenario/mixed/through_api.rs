//! Publishing through the API until told to end.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;

use crate::check::Ledger;
use crate::pace::{Metronome, Schedule};
use crate::publisher::Publisher;
use crate::run::Run;
use crate::scenario::reshard::operator::Fault;
use crate::scenario::reshard::play::Work;
use crate::scenario::reshard::watcher::Channel;
use crate::{Failure, Promise, Violation};

/// Publishes to `channels` in turns, at these times.
pub(super) fn publish(
    run: &Run,
    channels: Vec<Channel>,
    schedule: Schedule,
    stop: watch::Receiver<bool>,
) -> Work {
    tokio::spawn(drive(run.clone(), channels, schedule, stop))
}

async fn drive(
    run: Run,
    channels: Vec<Channel>,
    schedule: Schedule,
    mut stop: watch::Receiver<bool>,
) -> Result<Ledger, Failure> {
    let names: Vec<(u32, Arc<str>)> = channels
        .iter()
        .map(|channel| (channel.index, channel.name.as_str().into()))
        .collect();
    let mut publisher = Publisher::connect(&run).await?;
    let mut metronome = Metronome::endless(schedule, Instant::now());
    let mut turns = names.iter().cycle();
    loop {
        let beats = tokio::select! {
            biased;
            _ = stop.changed() => break,
            Some(beats) = metronome.next() => beats,
        };
        for beat in beats {
            if let Some((channel, name)) = turns.next() {
                let intended = run.clock().stamp(beat.intended);
                publisher.publish(*channel, name, intended).await?;
            }
        }
    }
    let ledger = publisher.finish().await;
    check(&run, &ledger)?;
    Ok(ledger)
}

/// None may be refused, unless a gateway is killed.
fn check(run: &Run, ledger: &Ledger) -> Result<(), Failure> {
    let faulty = Fault::of(&run.plan().load)?.is_some_and(Fault::ends_connections);
    let refused = ledger.refused();
    if refused > 0 && !faulty {
        let why = ledger.why();
        let detail = format!("{refused} publications through the API were refused{why}");
        run.violation(Violation::new(Promise::Other, detail));
    }
    Ok(())
}
