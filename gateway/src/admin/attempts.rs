//! How often a password may be tried.
//!
//! Each attempt takes a place, which a right password gives back. Places come back with time: a few at once for whoever mistypes,
//! one in a while for whoever guesses. Strangers have some for each address, and some for all together; while either are used up no
//! stranger gets in. A browser in which somebody has logged in before has places of its own, so that nobody who can reach the page
//! can keep out those who use it. Sessions that there are go on in any case.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::Duration;

use campanile_common::Timestamp;
use parking_lot::Mutex;

use super::session::Browser;

/// Of one address, and of one browser: five at once, then one every ten seconds, which is 8640 a day.
const ONE: Pace = Pace {
    burst: 5,
    each: Duration::from_secs(10),
};

/// Of all strangers together: whoever has many addresses is not worth many times more.
const STRANGERS: Pace = Pace {
    burst: 100,
    each: Duration::from_secs(1),
};

/// Addresses that are remembered, and browsers, some 50 and 100 bytes each. Of further addresses only the bound for all strangers
/// counts; further browsers, which would have to be of as many logins, are strangers.
const MAX_REMEMBERED: usize = 1024;

/// What is remembered of attempts.
#[derive(Debug, Default)]
pub(super) struct Attempts(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    strangers: Places,
    peers: Remembered<IpAddr>,
    browsers: Remembered<Browser>,
}

/// A place that an attempt has taken.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a right password gives it back"]
pub(super) enum Place {
    /// One of a browser's own.
    Browser(Browser),
    /// One of an address.
    Stranger(IpAddr),
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

/// The places of each of some; of those who are not here all are there.
#[derive(Debug)]
struct Remembered<K>(HashMap<K, Places>);

impl<K> Default for Remembered<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash> Remembered<K> {
    fn wait(&self, who: &K, now: Timestamp) -> Duration {
        let places = self.0.get(who).copied().unwrap_or_default();
        places.wait(&ONE, now)
    }

    /// Takes a place of `who`; false: too many are remembered.
    fn take(&mut self, who: K, now: Timestamp) -> bool {
        if self.0.len() >= MAX_REMEMBERED {
            self.0.retain(|_, places| !places.are_all_there(now));
        }
        let has_room = self.0.len() < MAX_REMEMBERED || self.0.contains_key(&who);
        if has_room {
            self.0.entry(who).or_default().take(&ONE, now);
        }
        has_room
    }

    fn give_back(&mut self, who: &K) {
        if let Some(places) = self.0.get_mut(who) {
            places.give_back(&ONE);
        }
    }
}

impl Attempts {
    /// Takes a place for an attempt in `browser`, if it is known, from `peer`; or says how long there will be none.
    pub(super) fn take(
        &self,
        browser: Option<Browser>,
        peer: IpAddr,
        now: Timestamp,
    ) -> Result<Place, Duration> {
        let mut table = self.0.lock();
        if let Some(browser) = browser {
            ready(table.browsers.wait(&browser, now))?;
            if table.browsers.take(browser.clone(), now) {
                return Ok(Place::Browser(browser));
            }
        }
        let peer = network(peer);
        ready(
            table
                .peers
                .wait(&peer, now)
                .max(table.strangers.wait(&STRANGERS, now)),
        )?;
        table.strangers.take(&STRANGERS, now);
        table.peers.take(peer, now);
        Ok(Place::Stranger(peer))
    }

    /// Gives a place back: the password was right.
    pub(super) fn give_back(&self, place: &Place) {
        let mut table = self.0.lock();
        match place {
            Place::Browser(browser) => table.browsers.give_back(browser),
            Place::Stranger(peer) => {
                table.strangers.give_back(&STRANGERS);
                table.peers.give_back(peer);
            }
        }
    }
}

fn ready(wait: Duration) -> Result<(), Duration> {
    if wait.is_zero() { Ok(()) } else { Err(wait) }
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

    /// An attempt in a browser that is not known.
    fn try_from(attempts: &Attempts, peer: IpAddr, now: Timestamp) -> Result<(), Duration> {
        attempts.take(None, peer, now).map(drop)
    }

    /// One in a browser that is known.
    fn try_in(attempts: &Attempts, browser: &Browser, now: Timestamp) -> Result<Place, Duration> {
        attempts.take(Some(browser.clone()), peer(1), now)
    }

    #[test]
    fn a_few_attempts_at_once_then_one_in_a_while() {
        let attempts = Attempts::default();
        for _ in 0..5 {
            assert_eq!(try_from(&attempts, peer(1), START), Ok(()));
        }
        let wait = try_from(&attempts, peer(1), START);
        assert_eq!(wait, Err(Duration::from_secs(10)));
        let wait = try_from(&attempts, peer(1), after(4));
        assert_eq!(
            wait,
            Err(Duration::from_secs(6)),
            "asking does not make it longer"
        );
        assert_eq!(try_from(&attempts, peer(2), START), Ok(()), "another address");
        assert_eq!(try_from(&attempts, peer(1), after(10)), Ok(()));
        assert!(try_from(&attempts, peer(1), after(10)).is_err());
        for _ in 0..5 {
            assert_eq!(try_from(&attempts, peer(1), after(3600)), Ok(()));
        }
    }

    #[test]
    fn a_right_password_costs_nothing() {
        let attempts = Attempts::default();
        let browser = Browser::new();
        for _ in 0..1000 {
            for place in [
                attempts.take(None, peer(1), START),
                try_in(&attempts, &browser, START),
            ] {
                attempts.give_back(&place.unwrap());
            }
        }
    }

    #[test]
    fn all_addresses_together_are_bounded_in_number_and_in_memory() {
        let attempts = Attempts::default();
        for number in 0..100 {
            assert_eq!(try_from(&attempts, peer(number), START), Ok(()));
        }
        let wait = try_from(&attempts, peer(100), START);
        assert_eq!(wait, Err(Duration::from_secs(1)));
        for number in 0..3 * u32::try_from(MAX_REMEMBERED).unwrap() {
            let _ = try_from(&attempts, peer(number), after(1000 + u64::from(number)));
        }
        assert!(attempts.0.lock().peers.0.len() <= MAX_REMEMBERED);
    }

    #[test]
    fn strangers_use_up_nothing_of_a_browser_that_is_known() {
        let attempts = Attempts::default();
        while try_from(&attempts, peer(1), START).is_ok() {}
        for number in 2.. {
            if try_from(&attempts, peer(number), START).is_err() {
                break;
            }
        }
        let (one, other) = (Browser::new(), Browser::new());
        for _ in 0..5 {
            let place = try_in(&attempts, &one, START);
            assert_eq!(place, Ok(Place::Browser(one.clone())), "from the same address");
        }
        assert_eq!(
            try_in(&attempts, &one, START),
            Err(Duration::from_secs(10)),
            "its own are bounded too"
        );
        assert!(try_in(&attempts, &other, START).is_ok());
        assert!(try_in(&attempts, &one, after(10)).is_ok());
    }

    #[test]
    fn what_is_remembered_of_browsers_is_bounded() {
        let attempts = Attempts::default();
        for _ in 0..MAX_REMEMBERED {
            assert!(try_in(&attempts, &Browser::new(), START).is_ok());
        }
        let one_more = try_in(&attempts, &Browser::new(), START);
        assert_eq!(one_more, Ok(Place::Stranger(peer(1))));
        assert_eq!(attempts.0.lock().browsers.0.len(), MAX_REMEMBERED);
        let later = Browser::new();
        let place = try_in(&attempts, &later, after(10));
        assert_eq!(
            place,
            Ok(Place::Browser(later)),
            "places that are back need no memory"
        );
        assert_eq!(attempts.0.lock().browsers.0.len(), 1);
    }

    #[test]
    fn an_owner_of_many_addresses_is_one_party() {
        let attempts = Attempts::default();
        let address = |host: u16| IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, host]);
        for host in 0..5 {
            assert_eq!(try_from(&attempts, address(host), START), Ok(()));
        }
        assert!(try_from(&attempts, address(5), START).is_err());
        let mapped: IpAddr = "::ffff:1.2.3.4".parse().unwrap();
        assert_eq!(network(mapped), IpAddr::from([1, 2, 3, 4]));
    }
}
