//! How fast a client may send.

use campanile_common::Timestamp;

use crate::config::options::RateLimit;

const NANOS_PER_SEC: u64 = 1_000_000_000;
const NANOS_PER_MILLI: u64 = 1_000_000;

/// What is done with a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is carried out.
    Admit,
    /// It is refused; the client may go on.
    Refuse,
    /// The client does not heed refusals.
    Close,
}

/// A leaky bucket in one number, known as the generic cell rate algorithm (ITU-T I.371): the time at which the
/// bucket will be empty. Refused commands fill it as well, up to twice its size: so a client that goes on regardless
/// is told apart from one that stumbled.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RateMeter {
    empty_at: u64,
}

impl RateMeter {
    pub(super) fn admit(&mut self, now: Timestamp, limit: RateLimit) -> Verdict {
        let now = now.as_millis().saturating_mul(NANOS_PER_MILLI);
        let cost = (NANOS_PER_SEC / u64::from(limit.per_second.get())).max(1);
        let burst = cost.saturating_mul(u64::from(limit.burst.get()));
        let empty_at = self.empty_at.max(now).saturating_add(cost);
        let verdict = match empty_at - now {
            filled if filled <= burst => Verdict::Admit,
            filled if filled <= burst.saturating_mul(2) => Verdict::Refuse,
            _ => return Verdict::Close,
        };
        self.empty_at = empty_at;
        verdict
    }
}
