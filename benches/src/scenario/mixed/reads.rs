//! History and presence that are read while everything else goes on.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::watch;

use crate::admin::Admin;
use crate::check::Ledger;
use crate::measure::Outcome;
use crate::run::Run;
use crate::scenario::reshard::play::Work;
use crate::scenario::reshard::watcher::Channel;
use crate::scenario::{Better, Figure, Unit};
use crate::{Failure, Promise, Violation};

/// Publications that are read at once.
const PAGE: usize = 50;

/// Reads the history of a stream and the presence of a room in turns, `rate` times a second together.
pub(super) fn read(
    run: &Run,
    streams: Vec<Channel>,
    rooms: Vec<Channel>,
    rate: usize,
    stop: watch::Receiver<bool>,
) -> Work {
    let run = run.clone();
    tokio::spawn(async move {
        let admin = Admin::new(run.target())?;
        read_until(&run, &admin, [&streams, &rooms], rate, stop).await
    })
}

async fn read_until(
    run: &Run,
    admin: &Admin,
    [streams, rooms]: [&[Channel]; 2],
    rate: usize,
    mut stop: watch::Receiver<bool>,
) -> Result<Ledger, Failure> {
    if rate == 0 || streams.is_empty() {
        return Ok(Ledger::default());
    }
    let every = Duration::from_secs(1) / u32::try_from(rate).unwrap_or(u32::MAX);
    for turn in 0_usize.. {
        if tokio::time::timeout(every, stop.changed()).await.is_ok() {
            break;
        }
        let begun = Instant::now();
        if turn % 2 == 0 {
            history(run, admin, &streams[turn * 31 % streams.len()]).await;
            run.latency("history", begun.elapsed());
        } else {
            let room = &rooms[turn * 31 % rooms.len()];
            let asked = json!({ "channel": room.name });
            let read = admin.call("presence", &asked).await.is_ok();
            run.count(if read { "presence_read" } else { "presence_refused" }, 1);
            run.latency("presence", begun.elapsed());
        }
    }
    Ok(Ledger::default())
}

/// Reads the newest publications: one offset after the other, none left out.
async fn history(run: &Run, admin: &Admin, stream: &Channel) {
    let asked = json!({ "channel": stream.name, "limit": PAGE, "reverse": true });
    match admin.call("history", &asked).await {
        Ok(page) => {
            run.count("history_read", 1);
            if !is_dense(&page) {
                let detail = format!("{}: what was read has holes", stream.name);
                run.violation(Violation::new(Promise::NothingLost, detail));
            }
        }
        Err(failure) => {
            run.count("history_refused", 1);
            let detail = format!("{}: {failure}", stream.name);
            run.violation(Violation::new(Promise::Other, detail));
        }
    }
}

fn is_dense(page: &Value) -> bool {
    let publications = page["publications"].as_array().into_iter().flatten();
    let offsets: Vec<_> = publications.filter_map(|one| one["offset"].as_u64()).collect();
    offsets.windows(2).all(|pair| pair[0] == pair[1] + 1)
}

/// How long they took.
#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
pub(super) fn figures(outcome: &Outcome) -> Vec<Figure> {
    let mut figures = Vec::new();
    for name in ["history", "presence"] {
        if let Some(histogram) = outcome.histogram(name) {
            let p99 = histogram.quantile(0.99).as_secs_f64();
            figures.push(Figure::new(
                format!("{name} read: p99"),
                p99,
                Unit::Seconds,
                Better::Lower,
            ));
        }
        let count = outcome.counter(&format!("{name}_read")) as f64;
        figures.push(Figure::new(
            format!("{name} read"),
            count,
            Unit::Count,
            Better::Neither,
        ));
    }
    figures
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_in_a_page_are_seen() {
        let page = |offsets: &[u64]| {
            let publications: Vec<_> = offsets.iter().map(|offset| json!({ "offset": offset })).collect();
            json!({ "publications": publications })
        };
        assert!(is_dense(&page(&[5, 4, 3])) && is_dense(&page(&[])));
        assert!(!is_dense(&page(&[5, 3])) && !is_dense(&page(&[5, 5])));
    }
}
