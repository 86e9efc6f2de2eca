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

/// What waits for longer is counted as it is, so that one client who takes nothing does not hide all others.
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
    piece: usize,
    since: Instant,
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
            "Sampled: time from a publication's arrival at the hub until it was written to one of its subscribers."
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

    /// Follows `piece`, which is about to be queued.
    pub fn follow(&self, start: &Start, queue: &Outbound, piece: &Bytes) {
        let mut followed = self.followed.lock();
        // Another thread may have been faster.
        if followed.is_none() {
            let queue = address(queue);
            *followed = Some(Followed {
                queue,
                piece: piece.as_ptr().addr(),
                since: start.at,
            });
            self.queue.store(queue, Ordering::Relaxed);
        }
    }

    /// A batch has left a queue. Since when the followed piece has been under way, if it is in it.
    #[must_use]
    pub fn taken(&self, queue: &Outbound, batch: &[Bytes]) -> Option<Instant> {
        let queue = address(queue);
        // The piece was followed before it was queued, under the lock of a queue that the batch has been taken from since.
        if self.queue.load(Ordering::Relaxed) != queue {
            return None;
        }
        let found = |followed: &Followed| {
            let mut pieces = batch.iter().map(|piece| piece.as_ptr().addr());
            followed.queue == queue && pieces.any(|piece| piece == followed.piece)
        };
        self.release(found)
    }

    /// The piece that was under way since then has been written.
    pub fn delivered(&self, since: Instant) {
        self.seconds.record(since.elapsed().as_secs_f64());
    }

    /// Nothing of this queue is delivered any more.
    pub fn forget(&self, queue: &Outbound) {
        let queue = address(queue);
        if self.queue.load(Ordering::Relaxed) == queue {
            self.release(|followed| followed.queue == queue);
        }
    }

    fn is_idle(&self) -> bool {
        self.queue.load(Ordering::Relaxed) == 0
    }

    /// Counts what has been under way for too long.
    fn gives_up(&self, now: Instant) -> bool {
        let since = self.release(|followed| now.saturating_duration_since(followed.since) > PATIENCE);
        if let Some(since) = since {
            self.delivered(since);
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
    use super::*;

    fn piece(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    fn follow(meter: &DeliveryMeter, queue: &Outbound, piece: &Bytes) {
        let start = (0..ONE_OF).find_map(|_| meter.begin());
        meter.follow(&start.unwrap(), queue, piece);
    }

    #[test]
    fn a_piece_is_followed_until_its_queue_gives_it_away() {
        let (meter, queue, other) = (DeliveryMeter::register(), Outbound::new(1), Outbound::new(1));
        let followed = piece("followed");
        follow(&meter, &queue, &followed);
        assert_eq!(meter.taken(&other, std::slice::from_ref(&followed)), None);
        assert_eq!(meter.taken(&queue, &[piece("before")]), None);
        assert!(
            meter
                .taken(&queue, &[piece("before"), followed.clone()])
                .is_some()
        );
        assert_eq!(meter.taken(&queue, &[followed]), None, "once");
        assert!(meter.is_idle());
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
