//! How often a password may be tried.
//!
//! Each attempt takes a place, which a right password gives back. Places come back with time: a few at once for whoever mistypes,
//! one in a while for whoever guesses. There is a bound for each address and one for all together; while either is reached nobody
//! new gets in, and sessions that there are go on.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use campanile_common::Timestamp;
use parking_lot::Mutex;

/// Of one address: five at once, then one every ten seconds, which is 8640 a day.
const PEER: Pace = Pace {
    burst: 5,
    each: Duration::from_secs(10),
};

/// Of all addresses together: whoever has many is not worth many times more.
const EVERYBODY: Pace = Pace {
    burst: 100,
    each: Duration::from_secs(1),
};

/// Addresses that are remembered, some 50 bytes each. Beyond, only the bound for all counts.
const MAX_PEERS: usize = 1024;

/// What is remembered of attempts.
#[derive(Debug, Default)]
pub(super) struct Attempts(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    everybody: Places,
    peers: HashMap<IpAddr, Places>,
}

#[derive(Debug)]
struct Pace {
    burst: u32,
    each: Duration,
}

/// When all places will be there again; in the past: they are.
#[derive(Clone, Copy, Debug, Default)]
struct Places(Timestamp);

impl Places {
    /// How long to wait for a place; zero: there is one.
    fn wait(self, pace: &Pace, now: Timestamp) -> Duration {
        let taken = self.0.saturating_since(now);
        (taken + pace.each).saturating_sub(pace.each * pace.burst)
    }

    fn take(&mut self, pace: &Pace, now: Timestamp) {
        self.0 = self.0.max(now) + pace.each;
    }

    fn give_back(&mut self, pace: &Pace) {
        self.0 = self.0 - pace.each;
    }

    fn are_all_there(self, now: Timestamp) -> bool {
        self.0 <= now
    }
}

impl Attempts {
    /// Takes a place for an attempt from `peer`, or says how long there will be none.
    pub(super) fn take(&self, peer: IpAddr, now: Timestamp) -> Result<(), Duration> {
        let mut table = self.0.lock();
        let peer = network(peer);
        let of_peer = table.peers.get(&peer).copied().unwrap_or_default();
        let wait = of_peer
            .wait(&PEER, now)
            .max(table.everybody.wait(&EVERYBODY, now));
        if !wait.is_zero() {
            return Err(wait);
        }
        table.everybody.take(&EVERYBODY, now);
        if table.peers.len() >= MAX_PEERS {
            table.peers.retain(|_, places| !places.are_all_there(now));
        }
        if table.peers.len() < MAX_PEERS || table.peers.contains_key(&peer) {
            table.peers.entry(peer).or_default().take(&PEER, now);
        }
        Ok(())
    }

    /// Gives the place back: the password was right.
    pub(super) fn succeeded(&self, peer: IpAddr) {
        let mut table = self.0.lock();
        table.everybody.give_back(&EVERYBODY);
        if let Some(places) = table.peers.get_mut(&network(peer)) {
            places.give_back(&PEER);
        }
    }
}

/// What one party has of addresses at the least: of IPv6 the upper half is a network's, the rest is its owner's to choose.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_secs(1_000_000);

    fn peer(number: u32) -> IpAddr {
        IpAddr::from(number.to_be_bytes())
    }

    fn after(seconds: u64) -> Timestamp {
        START + Duration::from_secs(seconds)
    }

    #[test]
    fn a_few_attempts_at_once_then_one_in_a_while() {
        let attempts = Attempts::default();
        for _ in 0..5 {
            assert_eq!(attempts.take(peer(1), START), Ok(()));
        }
        assert_eq!(attempts.take(peer(1), START), Err(Duration::from_secs(10)));
        assert_eq!(
            attempts.take(peer(1), after(4)),
            Err(Duration::from_secs(6)),
            "asking does not make it longer"
        );
        assert_eq!(attempts.take(peer(2), START), Ok(()), "another address");
        assert_eq!(attempts.take(peer(1), after(10)), Ok(()));
        assert!(attempts.take(peer(1), after(10)).is_err());
        for _ in 0..5 {
            assert_eq!(attempts.take(peer(1), after(3600)), Ok(()));
        }
    }

    #[test]
    fn a_right_password_costs_nothing() {
        let attempts = Attempts::default();
        for _ in 0..1000 {
            assert_eq!(attempts.take(peer(1), START), Ok(()));
            attempts.succeeded(peer(1));
        }
    }

    #[test]
    fn all_addresses_together_are_bounded_in_number_and_in_memory() {
        let attempts = Attempts::default();
        for number in 0..100 {
            assert_eq!(attempts.take(peer(number), START), Ok(()));
        }
        assert_eq!(attempts.take(peer(100), START), Err(Duration::from_secs(1)));
        for number in 0..3 * u32::try_from(MAX_PEERS).unwrap() {
            let _ = attempts.take(peer(number), after(1000 + u64::from(number)));
        }
        assert!(attempts.0.lock().peers.len() <= MAX_PEERS);
    }

    #[test]
    fn an_owner_of_many_addresses_is_one_party() {
        let attempts = Attempts::default();
        let address = |host: u16| IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, host]);
        for host in 0..5 {
            assert_eq!(attempts.take(address(host), START), Ok(()));
        }
        assert!(attempts.take(address(5), START).is_err());
        let mapped: IpAddr = "::ffff:1.2.3.4".parse().unwrap();
        assert_eq!(network(mapped), IpAddr::from([1, 2, 3, 4]));
    }
}
