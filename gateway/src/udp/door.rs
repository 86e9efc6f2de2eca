//! How many connections may be about to begin.
//!
//! A handshake costs more to answer than to ask for, and anyone can write anyone's address on a datagram. So those that
//! have not begun are counted: above one number a client has to show that it receives what is sent to the address that
//! it claims (a Retry packet, RFC 9000 §8.1), which costs this side nothing to remember; above another it is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use metrics::Gauge;

/// Counts the connections that are about to begin.
#[derive(Clone, Debug)]
pub(super) struct Door(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// From the first packet to the first message.
    beginning: AtomicUsize,
    gauge: Gauge,
    before_retry: usize,
    most: usize,
}

/// A connection that is about to begin; no longer once this is dropped.
#[derive(Debug)]
pub(super) struct Beginning(Door);

/// What is done about a new one.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Its handshake goes on.
    Enter(Beginning),
    /// It has to prove its address first.
    Prove,
    /// There are too many.
    Refuse,
}

impl Door {
    /// Asks for proofs above `before_retry`, and refuses above `most`.
    pub(super) fn new(before_retry: usize, most: usize, gauge: Gauge) -> Self {
        Self(Arc::new(Inner {
            beginning: AtomicUsize::new(0),
            gauge,
            before_retry,
            most,
        }))
    }

    /// What is done about one more, whose address is proven or not.
    pub(super) fn knock(&self, is_proven: bool) -> Verdict {
        let before = self.0.beginning.fetch_add(1, Ordering::Relaxed);
        self.0.gauge.increment(1);
        let beginning = Beginning(self.clone());
        if before >= self.0.most {
            Verdict::Refuse
        } else if before >= self.0.before_retry && !is_proven {
            Verdict::Prove
        } else {
            Verdict::Enter(beginning)
        }
    }
}

impl Drop for Beginning {
    fn drop(&mut self) {
        self.0.0.beginning.fetch_sub(1, Ordering::Relaxed);
        self.0.0.gauge.decrement(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proofs_are_asked_for_above_one_number_and_all_are_refused_above_another() {
        let door = Door::new(1, 3, Gauge::noop());
        let enter = |is_proven| match door.knock(is_proven) {
            Verdict::Enter(beginning) => Some(beginning),
            Verdict::Prove | Verdict::Refuse => None,
        };
        let first = enter(false);
        assert!(first.is_some());
        assert!(matches!(door.knock(false), Verdict::Prove));
        let (second, third) = (enter(true), enter(true));
        assert!(second.is_some() && third.is_some());
        assert!(matches!(door.knock(true), Verdict::Refuse));
        assert!(matches!(door.knock(false), Verdict::Refuse));
        drop((first, second, third));
        assert!(enter(false).is_some(), "those that were turned away do not count");
    }
}
