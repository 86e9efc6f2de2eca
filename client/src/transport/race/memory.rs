//! What worked the last time.

use std::time::Duration;

use tokio::time::Instant;

/// How long it is believed that what worked works best. Networks change with the place where someone is; a way that is
/// liked better gets another chance a few times an hour.
const EXPIRY: Duration = Duration::from_secs(600);

/// Which way worked, and when it began to be the one that does.
#[derive(Debug, Default)]
pub(super) struct Memory {
    worked: Option<(usize, Instant)>,
}

impl Memory {
    /// The order in which to try `ways`: what worked lately, and the others as they are liked.
    pub(super) fn order(&self, ways: usize, now: Instant) -> Vec<usize> {
        let first = match self.worked {
            Some((way, since)) if now.saturating_duration_since(since) < EXPIRY => Some(way),
            _ => None,
        };
        first
            .into_iter()
            .chain((0..ways).filter(|&way| Some(way) != first))
            .collect()
    }

    /// `way` has opened. If it is the one that worked before, that does not make it worth believing for longer: or the
    /// others would never be tried again by someone who connects often.
    pub(super) fn worked(&mut self, way: usize, now: Instant) {
        match self.worked {
            Some((same, since)) if same == way && now.saturating_duration_since(since) < EXPIRY => {}
            _ => self.worked = Some((way, now)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn what_worked_is_tried_first_until_that_is_long_ago() {
        let begin = Instant::now();
        let mut memory = Memory::default();
        assert_eq!(memory.order(3, begin), [0, 1, 2]);
        memory.worked(1, begin);
        assert_eq!(memory.order(3, begin), [1, 0, 2]);
        // Connecting again by the same way does not put the others off.
        memory.worked(1, begin + 9 * MINUTE);
        assert_eq!(memory.order(3, begin + 10 * MINUTE), [0, 1, 2]);
        memory.worked(1, begin + 10 * MINUTE);
        assert_eq!(memory.order(3, begin + 19 * MINUTE), [1, 0, 2]);
        memory.worked(2, begin + 19 * MINUTE);
        assert_eq!(memory.order(3, begin + 28 * MINUTE), [2, 0, 1]);
    }
}
