//! What only this scenario knows.

use std::iter::Chain;
use std::ops::Range;
use std::time::Duration;

use crate::Failure;
use crate::plan::{Load, Share};
use crate::scenario::Key;

const AWAY: Key = Key::count("away_ms", "0", "milliseconds for which clients stay away");
const SPREAD: Key = Key::count("spread_ms", "0", "milliseconds over which they return, evenly");
const FRACTION: Key = Key::number("fraction", "1", "part of the clients that are cut off, up to 1");
const WITNESSES: Key = Key::count("witnesses", "100", "clients that stay and receive meanwhile");
const RECOVERABLE: Key = Key::count(
    "recoverable",
    "300",
    "publications that a client may have missed and still be told: client.recovery_max_publication_limit, or history_size if \
     that is less",
);
const NICE: Key = Key::count(
    "nice",
    "19",
    "how far the threads of those who return stand back behind others, from 0 (not at all) to 19",
);

/// All of them.
pub(super) const KEYS: &[Key] = &[AWAY, SPREAD, FRACTION, WITNESSES, RECOVERABLE, NICE];

/// Channels in which only witnesses are.
const OWN: usize = 10;

/// Publications in a channel of witnesses for each one in another channel: there are few of these channels, and a second of
/// storm is to have enough publications to tell their percentiles.
const OFTEN: usize = 10;

/// How the storm is.
#[derive(Clone, Debug)]
pub(super) struct Options {
    connections: usize,
    channels: usize,
    witnesses: usize,
    /// The part of the clients that are cut off.
    fraction: f64,
    /// How many publications a client may have missed and still be told all of them: what the server keeps of a stream, or
    /// what it tells in one answer if that is less.
    pub(super) recoverable: u64,
    /// How long they stay away.
    pub(super) away: Duration,
    /// Over how long they return, evenly.
    pub(super) spread: Duration,
    /// How far the threads of those who return stand back, as `nice` has it.
    pub(super) nice: i32,
}

/// As far as there is.
const NICEST: i32 = 19;

impl Options {
    pub(super) fn of(load: &Load) -> Result<Self, Failure> {
        let milliseconds = |key: Key| Ok::<_, Failure>(Duration::from_millis(key.value(load)?));
        let options = Self {
            connections: load.connections,
            channels: load.channels,
            witnesses: WITNESSES.value(load)?,
            fraction: FRACTION.value(load)?,
            recoverable: RECOVERABLE.value(load)?,
            away: milliseconds(AWAY)?,
            spread: milliseconds(SPREAD)?,
            nice: NICE.value(load)?,
        };
        let wrong = if !load.stream {
            "nothing can be recovered without --stream"
        } else if options.channels == 0 {
            "there must be a channel to come back to"
        } else if options.connections <= options.witnesses {
            "there must be more connections than -o witnesses"
        } else if !(0.0..=1.0).contains(&options.fraction) {
            "-o fraction is a part of the clients: more than 0, and 1 at most"
        } else if options.cut_of(options.connections - options.witnesses) == 0 {
            "-o fraction is so small that nobody is cut off"
        } else if !(0..=NICEST).contains(&options.nice) {
            "-o nice is from 0 (like all others) to 19"
        } else {
            return Ok(options);
        };
        Err(Failure::usage(wrong))
    }

    /// The numbers of a worker's witnesses in channels of their own and in those that others come back to.
    pub(super) fn witnesses(&self, share: Share) -> (Range<usize>, Range<usize>) {
        let (own, same) = (self.witnesses / 2, self.witnesses - self.witnesses / 2);
        let same = share.range(same);
        (share.range(own), own + same.start..own + same.end)
    }

    /// The numbers of a worker's other clients.
    pub(super) fn returning(&self, share: Share) -> Range<usize> {
        let range = share.range(self.connections - self.witnesses);
        self.witnesses + range.start..self.witnesses + range.end
    }

    /// The numbers of all clients of a worker.
    pub(super) fn clients(&self, share: Share) -> impl Iterator<Item = usize> + use<> {
        let (own, same) = self.witnesses(share);
        own.chain(same).chain(self.returning(share))
    }

    /// The channel of the client with this number.
    pub(super) fn channel_of(&self, number: usize) -> usize {
        let own = self.witnesses / 2;
        match number.checked_sub(own) {
            None => self.channels + number % OWN,
            Some(after) if number < self.witnesses => after % self.channels,
            Some(_) => (number - self.witnesses) % self.channels,
        }
    }

    /// The channels to publish in, in turns.
    pub(super) fn feed(&self) -> Chain<Range<usize>, impl Iterator<Item = usize> + use<>> {
        let channels = self.channels;
        (0..channels).chain((0..OWN * OFTEN).map(move |turn| channels + turn % OWN))
    }

    /// How many of so many clients are cut off.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a part of a small number"
    )]
    pub(super) fn cut_of(&self, clients: usize) -> usize {
        ((clients as f64 * self.fraction).round() as usize).min(clients)
    }

    /// How long after a worker's first one its client of this number returns.
    pub(super) fn delay(&self, share: Share, client: usize) -> Duration {
        let all = self.returning(share);
        let cut = self.cut_of(all.len());
        let index = client.checked_sub(all.start).filter(|index| *index < cut);
        index.map_or(Duration::ZERO, |index| self.delay_of(index, cut))
    }

    /// How long after the first one a client returns.
    pub(super) fn delay_of(&self, index: usize, of: usize) -> Duration {
        let part = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        self.spread * part(index) / part(of).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(change: impl FnOnce(&mut Load)) -> Result<Options, Failure> {
        let mut load = Load {
            connections: 20,
            channels: 4,
            stream: true,
            ..Load::default()
        };
        load.options.insert("witnesses".to_owned(), "6".to_owned());
        change(&mut load);
        Options::of(&load)
    }

    fn set(key: &str, value: &str) -> impl FnOnce(&mut Load) {
        move |load| drop(load.options.insert(key.to_owned(), value.to_owned()))
    }

    #[test]
    fn all_workers_together_have_every_client_once() {
        let options = options(|_| ()).unwrap();
        let mut numbers = Vec::new();
        for index in 0..3 {
            let share = Share { index, of: 3 };
            let (own, same) = options.witnesses(share);
            assert!(
                own.clone()
                    .all(|number| options.channel_of(number) >= options.channels)
            );
            assert!(
                same.clone()
                    .all(|number| options.channel_of(number) < options.channels)
            );
            numbers.extend(options.clients(share));
        }
        numbers.sort_unstable();
        assert_eq!(numbers, (0..20).collect::<Vec<_>>());
    }

    #[test]
    fn every_channel_of_a_client_is_published_in() {
        let options = options(|_| ()).unwrap();
        let feed: Vec<_> = options.feed().collect();
        assert!((0..20).all(|number| feed.contains(&options.channel_of(number))));
    }

    #[test]
    fn a_part_of_the_clients_is_cut_off_and_returns_evenly() {
        let options = options(|load| {
            set("fraction", "0.25")(load);
            set("spread_ms", "400")(load);
        });
        let options = options.unwrap();
        assert_eq!(options.cut_of(14), 4);
        assert_eq!(options.delay_of(1, 4), Duration::from_millis(100));
        let delays = [0, 6, 7, 9, 10].map(|client| options.delay(Share::WHOLE, client).as_millis());
        assert_eq!(delays, [0, 0, 100, 300, 0]);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        assert!(options(|_| ()).is_ok());
        assert!(options(|load| load.stream = false).is_err());
        assert!(options(|load| load.channels = 0).is_err());
        assert!(options(set("fraction", "2")).is_err());
        assert!(options(set("fraction", "0")).is_err());
        assert!(options(set("witnesses", "20")).is_err());
        assert!(options(set("away_ms", "soon")).is_err());
        assert!(options(set("nice", "-1")).is_err());
    }
}
