//! How long deliveries take: one publication at a time is followed from the hub to one of its subscribers.
//!
//! What every write to a client pays for it is a look at a word that seldom changes.

use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use metrics::{Histogram, Unit, describe_histogram, histogram};
use parking_lot::Mutex;

use super::outbound::Outbound;

/// Of so many publications that a thread fans out one is followed, if none is at that moment.
const ONE_OF: u32 = 16;

/// What waits for longer is counted as it is then, so that one client who takes nothing does not hide all others.
const PATIENCE: Duration = Duration::from_secs(10);

thread_local! {
    /// Publications that this thread has fanned out.
    static COUNT: Cell<u32> = const { Cell::new(0) };
}

/// Measures deliveries.
#[derive(Debug)]
pub struct DeliveryMeter {
    /// The address of the queue in which the followed piece waits; 0: none is followed. Written under the lock.
    queue: AtomicUsize,
    followed: Mutex<Option<Followed>>,
    seconds: Histogram,
}

/// A piece on its way to a client, by addresses: it is the same piece as long as it waits.
#[derive(Debug)]
struct Followed {
    queue: usize,
    stage: Stage,
    since: Instant,
}

/// How far a piece has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It waits in its queue; its address.
    Queued(usize),
    /// The transport has it, and perhaps the socket not yet.
    Handed,
}

/// A publication that is worth following.
#[derive(Debug)]
pub struct Start {
    at: Instant,
    number: u32,
}

impl Start {
    /// A place in a list of `length`, anywhere in it.
    #[must_use]
    pub fn lot(&self, length: usize) -> usize {
        // Knuth's multiplicative hash: neighbours are far apart, by its high bits.
        let number = u64::from(self.number.wrapping_mul(2_654_435_769));
        let place = (number * length as u64) >> 32;
        usize::try_from(place).unwrap_or(0)
    }
}

impl DeliveryMeter {
    /// The metric of the installed recorder.
    #[must_use]
    pub fn register() -> Self {
        const NAME: &str = "campanile_delivery_seconds";
        describe_histogram!(
            NAME,
            Unit::Seconds,
            "Sampled: time from a publication's arrival at the hub until it was written to one of its subscribers, or so \
             far if it still waits after 10 s."
        );
        Self {
            queue: AtomicUsize::new(0),
            followed: Mutex::default(),
            seconds: histogram!(NAME),
        }
    }

    /// Whether the publication that is about to be fanned out is to be followed.
    #[must_use]
    pub fn begin(&self) -> Option<Start> {
        let number = COUNT.get();
        COUNT.set(number.wrapping_add(1));
        if !number.is_multiple_of(ONE_OF) {
            return None;
        }
        let at = Instant::now();
        (self.is_idle() || self.gives_up(at)).then_some(Start { at, number })
    }

    /// Follows `piece`, which is about to be queued. If it is not, [`forget`](Self::forget) has to be told.
    pub fn follow(&self, start: &Start, queue: &Outbound, piece: &Bytes) {
        let mut followed = self.followed.lock();
        // Another thread may have been faster.
        if followed.is_none() {
            let queue = address(queue);
            *followed = Some(Followed {
                queue,
                stage: Stage::Queued(piece.as_ptr().addr()),
                since: start.at,
            });
            self.queue.store(queue, Ordering::Relaxed);
        }
    }

    /// A batch leaves a queue for its transport.
    pub fn taken(&self, queue: &Outbound, batch: &[Bytes]) {
        let queue = address(queue);
        // The piece was followed before it was queued, under the lock of a queue that the batch has been taken from since.
        if self.queue.load(Ordering::Relaxed) != queue {
            return;
        }
        if let Some(followed) = &mut *self.followed.lock() {
            let mut pieces = batch.iter().map(|piece| Stage::Queued(piece.as_ptr().addr()));
            if followed.queue == queue && pieces.any(|piece| piece == followed.stage) {
                followed.stage = Stage::Handed;
            }
        }
    }

    /// All that the transport of this queue was given has been written.
    pub fn written(&self, queue: &Outbound) {
        let queue = address(queue);
        if self.queue.load(Ordering::Relaxed) == queue {
            let found = |followed: &Followed| followed.queue == queue && followed.stage == Stage::Handed;
            if let Some(since) = self.release(found) {
                self.seconds.record(since.elapsed().as_secs_f64());
            }
        }
    }

    /// Nothing of this queue is delivered any more.
    pub fn forget(&self, queue: &Outbound) {
        let queue = address(queue);
        if self.queue.load(Ordering::Relaxed) == queue {
            self.release(|followed| followed.queue == queue);
        }
    }

    /// Whether nothing is followed.
    pub(crate) fn is_idle(&self) -> bool {
        self.queue.load(Ordering::Relaxed) == 0
    }

    /// Counts what has been under way for too long.
    fn gives_up(&self, now: Instant) -> bool {
        let since = self.release(|followed| now.saturating_duration_since(followed.since) > PATIENCE);
        if let Some(since) = since {
            self.seconds
                .record(now.saturating_duration_since(since).as_secs_f64());
        }
        since.is_some()
    }

    /// Follows the piece no longer, if `which` says so: since when it has been under way.
    fn release(&self, which: impl FnOnce(&Followed) -> bool) -> Option<Instant> {
        let mut followed = self.followed.lock();
        let since = followed.take_if(|followed| which(followed))?.since;
        self.queue.store(0, Ordering::Relaxed);
        Some(since)
    }
}

fn address(queue: &Outbound) -> usize {
    ptr::from_ref(queue).addr()
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    fn piece(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    fn follow(meter: &DeliveryMeter, queue: &Outbound, piece: &Bytes) {
        let start = (0..ONE_OF).find_map(|_| meter.begin());
        meter.follow(&start.unwrap(), queue, piece);
    }

    #[test]
    fn a_piece_is_followed_until_its_transport_has_written_it() {
        let (meter, queue, other) = (DeliveryMeter::register(), Outbound::new(1), Outbound::new(1));
        let followed = piece("followed");
        follow(&meter, &queue, &followed);
        meter.taken(&other, std::slice::from_ref(&followed));
        meter.written(&other);
        meter.taken(&queue, &[piece("before")]);
        meter.written(&queue);
        assert!(!meter.is_idle(), "it still waits");
        meter.taken(&queue, &[piece("before"), followed]);
        meter.written(&other);
        assert!(!meter.is_idle(), "its transport has it");
        meter.written(&queue);
        assert!(meter.is_idle());
    }

    #[test]
    fn what_is_counted_was_written_or_has_waited_for_long() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let meter = metrics::with_local_recorder(&recorder, DeliveryMeter::register);
        let counted = || {
            let page = recorder.handle().render();
            let count = page
                .lines()
                .find_map(|line| line.strip_prefix("campanile_delivery_seconds_count "));
            count.map_or(0, |count| count.parse().unwrap())
        };
        let (queue, followed) = (Outbound::new(1), piece("followed"));
        follow(&meter, &queue, &followed);
        meter.taken(&queue, std::slice::from_ref(&followed));
        meter.forget(&queue);
        meter.written(&queue);
        assert_eq!(counted(), 0, "the client was gone before");
        follow(&meter, &queue, &followed);
        meter.taken(&queue, &[followed]);
        meter.written(&queue);
        meter.written(&queue);
        assert_eq!(counted(), 1, "once");
        follow(&meter, &queue, &piece("late"));
        assert!(meter.gives_up(Instant::now().checked_add(PATIENCE * 2).unwrap()));
        assert_eq!(counted(), 2);
    }

    #[test]
    fn some_are_followed_and_one_at_a_time() {
        let (meter, queue) = (DeliveryMeter::register(), Outbound::new(1));
        let begun = |times: u32| (0..times).filter_map(|_| meter.begin()).count();
        assert_eq!(begun(ONE_OF * 3), 3);
        follow(&meter, &queue, &piece("a"));
        assert_eq!(begun(ONE_OF * 3), 0, "one is under way");
        let waiting_for = |time| Instant::now().checked_add(time).unwrap();
        assert!(!meter.gives_up(waiting_for(PATIENCE / 2)));
        assert!(meter.gives_up(waiting_for(PATIENCE * 2)));
        assert!(meter.is_idle());
    }

    #[test]
    fn what_goes_with_its_queue_is_not_waited_for() {
        let (meter, queue, other) = (DeliveryMeter::register(), Outbound::new(1), Outbound::new(1));
        follow(&meter, &queue, &piece("a"));
        meter.forget(&other);
        assert!(!meter.is_idle());
        meter.forget(&queue);
        assert!(meter.is_idle());
    }

    #[test]
    fn everybody_may_be_chosen() {
        let chosen: std::collections::BTreeSet<_> = (0..1000)
            .map(|number| Start {
                at: Instant::now(),
                number: number * ONE_OF,
            })
            .map(|start| start.lot(10))
            .collect();
        assert_eq!(chosen.len(), 10);
    }
}
