//! A schedule that is carried out.

use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::Schedule;

/// Beats that may wait to be taken. A beat stands for all that is due: when the queue is full the next one stands for more.
const QUEUE: usize = 16;

/// No run is longer.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// The longest sleep: so soon a metronome that nobody listens to any more comes to its end.
const LONGEST_SLEEP: Duration = Duration::from_millis(100);

/// Says when the events of a schedule are due.
///
/// It is a thread, because the runtime's timers are a millisecond wide, which is more than much of what is measured here.
#[derive(Debug)]
pub struct Metronome {
    beats: mpsc::Receiver<Range<u64>>,
    schedule: Schedule,
    start: Instant,
}

/// Events that are due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beat {
    /// The number of the event, from 0.
    pub number: u64,
    /// When it was meant to happen.
    pub intended: Instant,
}

impl Metronome {
    /// Begins at `start`, and ends before `end`: an event that is meant for `end` or later is none.
    #[must_use]
    pub fn start(schedule: Schedule, start: Instant, end: Instant) -> Self {
        let (sender, beats) = mpsc::channel(QUEUE);
        thread::spawn(move || beat(schedule, start, end, &sender));
        Self {
            beats,
            schedule,
            start,
        }
    }

    /// Begins at `start`, and goes on as long as it is listened to.
    #[must_use]
    pub fn endless(schedule: Schedule, start: Instant) -> Self {
        Self::start(schedule, start, start + LONGEST)
    }

    /// Waits until something is due; `None`: nothing will be any more. It never waits for what is due already.
    pub async fn next(&mut self) -> Option<impl Iterator<Item = Beat> + use<>> {
        let due = self.beats.recv().await?;
        let (schedule, start) = (self.schedule, self.start);
        Some(due.filter_map(move |number| {
            let intended = start + schedule.at(number)?;
            Some(Beat { number, intended })
        }))
    }
}

fn beat(schedule: Schedule, start: Instant, end: Instant, beats: &mpsc::Sender<Range<u64>>) {
    let mut done = 0;
    while let Some(next) = schedule
        .at(done)
        .map(|after| start + after)
        .filter(|next| *next < end)
    {
        let now = Instant::now();
        if now < next {
            if beats.is_closed() {
                return;
            }
            thread::sleep((next - now).min(LONGEST_SLEEP));
            continue;
        }
        // What is meant for `end` or later is no event, however late it is now.
        let last = end.duration_since(start).saturating_sub(Duration::from_nanos(1));
        let due = schedule.due(now.duration_since(start).min(last));
        if beats.blocking_send(done..due).is_err() {
            return;
        }
        done = due;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn all(schedule: Schedule, start: Instant, end: Instant) -> Vec<Beat> {
        let mut metronome = Metronome::start(schedule, start, end);
        let mut beats = Vec::new();
        while let Some(due) = metronome.next().await {
            beats.extend(due);
        }
        beats
    }

    #[tokio::test]
    async fn what_is_late_is_not_left_out() {
        let end = Instant::now();
        let start = end.checked_sub(Duration::from_secs(2)).unwrap();
        let beats = all(Schedule::new(1000.0, 10), start, end).await;
        let numbers: Vec<_> = beats.iter().map(|beat| beat.number).collect();
        assert_eq!(numbers, (0..2000).collect::<Vec<_>>());
        assert_eq!(beats[1999].intended, start + Duration::from_millis(1990));
    }

    #[tokio::test]
    async fn nothing_comes_before_its_time() {
        let start = Instant::now();
        let mut metronome =
            Metronome::start(Schedule::new(200.0, 1), start, start + Duration::from_millis(50));
        let mut count = 0;
        while let Some(due) = metronome.next().await {
            for beat in due {
                assert!(beat.intended <= Instant::now());
                count += 1;
            }
        }
        assert_eq!(count, 10);
    }
}
