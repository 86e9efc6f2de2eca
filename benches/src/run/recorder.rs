//! Where everything that is measured goes.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::{Clock, Phase, Stamp};
use crate::Violation;
use crate::measure::{BELOW_ZERO, Recording};

/// Independent parts, so that threads do not wait for each other.
const PARTS: usize = 8;

/// Before measuring begins, and while it has not ended.
const NEVER: u64 = u64::MAX;

/// What a worker records.
#[derive(Debug)]
pub(super) struct Recorder {
    clock: Clock,
    parts: [Mutex<Recording>; PARTS],
    /// Nanoseconds of the stamps between which is measured.
    begin: AtomicU64,
    end: AtomicU64,
}

impl Recorder {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            parts: Default::default(),
            begin: AtomicU64::new(NEVER),
            end: AtomicU64::new(NEVER),
        }
    }

    /// Measuring begins or ends with the phases.
    pub(super) fn enter(&self, phase: Phase, at: Instant) {
        let at = self.clock.stamp(at).nanoseconds();
        match phase {
            Phase::Measure => {
                self.end.store(NEVER, Ordering::Relaxed);
                self.begin.store(at, Ordering::Relaxed);
            }
            Phase::Settle | Phase::Done if self.is_measuring() => self.end.store(at, Ordering::Relaxed),
            _ => {}
        }
    }

    pub(super) fn is_measuring(&self) -> bool {
        self.begin.load(Ordering::Relaxed) != NEVER && self.end.load(Ordering::Relaxed) == NEVER
    }

    pub(super) fn measures(&self, intended: Stamp) -> bool {
        let intended = intended.nanoseconds();
        self.begin.load(Ordering::Relaxed) <= intended && intended < self.end.load(Ordering::Relaxed)
    }

    pub(super) fn count(&self, name: &'static str, by: u64) {
        self.part().lock().count(name, by);
    }

    pub(super) fn total(&self, name: &'static str, by: u64) {
        self.part().lock().total(name, by);
    }

    pub(super) fn latency(&self, name: &'static str, value: Duration) {
        let mut part = self.part().lock();
        // A duration of nothing is one that clocks had below it: what really happens takes some nanoseconds.
        if value.is_zero() {
            part.total(BELOW_ZERO, 1);
        }
        part.latency(name, value);
    }

    pub(super) fn unseen(&self, what: String) {
        self.parts[0].lock().unseen.insert(what);
    }

    pub(super) fn series(&self, name: &'static str, by: u64) {
        if self.is_measuring() {
            let begin = Stamp::from_nanoseconds(self.begin.load(Ordering::Relaxed));
            let second = self.clock.now().since(begin).as_secs();
            self.part().lock().series(name, second, by);
        }
    }

    pub(super) fn violation(&self, what: Violation) {
        // All in one place, so that the first ones are the first.
        self.parts[0].lock().violation(what);
    }

    /// All parts as one; they are empty afterwards.
    pub(super) fn take(&self) -> Recording {
        let mut whole = Recording::default();
        for part in &self.parts {
            whole.add(&std::mem::take(&mut *part.lock()));
        }
        whole
    }

    /// The part of this thread.
    fn part(&self) -> &Mutex<Recording> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static MINE: usize = NEXT.fetch_add(1, Ordering::Relaxed) % PARTS;
        }
        &self.parts[MINE.with(|mine| *mine)]
    }
}
