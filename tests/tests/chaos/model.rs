//! What has been promised, and whether it was kept: who was told what about which publication.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Display;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Beyond this many, further broken promises say nothing new.
const VIOLATIONS_KEPT: usize = 40;

/// How long after `history_remove` was answered another gateway may not have heard of it.
const REMOVAL_GRACE: Duration = Duration::from_secs(3);

/// A place in a stream, as clients are told it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Place {
    /// The stream's incarnation.
    pub(crate) epoch: String,
    /// The offset in it.
    pub(crate) offset: u64,
}

/// One publication as its publisher made it. Its text is the payload.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Publication {
    /// Who published.
    pub(crate) publisher: String,
    /// The publisher's count for this channel, from 1.
    pub(crate) number: u64,
    /// Whether it was published under an idempotency key, and so perhaps more than once.
    pub(crate) keyed: bool,
}

/// Everything that was seen, by everybody.
#[derive(Default)]
pub(crate) struct Model(Mutex<Record>);

#[derive(Default)]
struct Record {
    content: HashMap<(String, Place), Publication>,
    places: HashMap<(String, Publication), HashSet<Place>>,
    accepted: BTreeMap<(String, String), Vec<Publication>>,
    removed: HashMap<String, Vec<(Instant, Place)>>,
    counts: BTreeMap<&'static str, u64>,
    violations: Vec<String>,
}

impl Publication {
    /// The payload, a JSON string.
    pub(crate) fn payload(&self) -> String {
        format!("\"{} {} {}\"", self.publisher, self.number, self.keyed)
    }

    /// What a payload says.
    pub(crate) fn parse(payload: &[u8]) -> Option<Self> {
        let text: String = serde_json::from_slice(payload).ok()?;
        let mut words = text.split(' ');
        Some(Self {
            publisher: words.next()?.to_owned(),
            number: words.next()?.parse().ok()?,
            keyed: words.next()?.parse().ok()?,
        })
    }
}

impl Model {
    /// Notes a broken promise.
    pub(crate) fn violation(&self, what: impl Display) {
        self.0.lock().violation(what);
    }

    /// Counts something worth knowing afterwards.
    pub(crate) fn count(&self, what: &'static str) {
        self.add(what, 1);
    }

    /// Counts several.
    pub(crate) fn add(&self, what: &'static str, times: u64) {
        *self.0.lock().counts.entry(what).or_default() += times;
    }

    /// A publication was seen at a place of a channel's stream: there is never another one there, and it is never at
    /// another one.
    pub(crate) fn saw(&self, channel: &str, place: &Place, publication: &Publication) {
        let mut record = self.0.lock();
        let key = (channel.to_owned(), place.clone());
        let known = record.content.entry(key).or_insert_with(|| publication.clone());
        if known != publication {
            let known = known.clone();
            record.violation(format!("{channel} {place:?} is {known:?} and {publication:?}"));
        }
        let key = (channel.to_owned(), publication.clone());
        let places = record.places.entry(key).or_default();
        // A key is forgotten with its shard's data, so a retry may be a second publication in another epoch.
        let elsewhere = |other: &&Place| {
            other.offset != place.offset && (!publication.keyed || other.epoch == place.epoch)
        };
        if let Some(other) = places.iter().find(elsewhere).cloned() {
            record.violation(format!(
                "{channel}: {publication:?} is at {other:?} and at {place:?}"
            ));
        } else {
            places.insert(place.clone());
        }
    }

    /// A publisher was told that its publication was accepted.
    pub(crate) fn accepted(&self, channel: &str, publication: &Publication) {
        let mut record = self.0.lock();
        *record.counts.entry("accepted").or_default() += 1;
        let key = (channel.to_owned(), publication.publisher.clone());
        record.accepted.entry(key).or_default().push(publication.clone());
    }

    /// The history of a channel was removed; whoever recovers from now on is not given what it had.
    pub(crate) fn removed(&self, channel: &str, top: Place) {
        let mut record = self.0.lock();
        let removals = record.removed.entry(channel.to_owned()).or_default();
        removals.push((Instant::now(), top));
    }

    /// Whether a publication given to a subscriber that asked at `asked` should have been gone by then.
    pub(crate) fn was_removed(&self, channel: &str, place: &Place, asked: Instant) -> bool {
        let record = self.0.lock();
        record.removed.get(channel).is_some_and(|removals| {
            removals.iter().any(|(at, top)| {
                *at + REMOVAL_GRACE < asked && top.epoch == place.epoch && place.offset <= top.offset
            })
        })
    }

    /// Each publisher's accepted publications are in each epoch in the order in which it published them.
    pub(crate) fn check_order(&self) {
        let mut record = self.0.lock();
        let mut found = Vec::new();
        for ((channel, publisher), publications) in &record.accepted {
            let mut last: HashMap<&str, (u64, u64)> = HashMap::new();
            let mut publications: Vec<_> = publications.iter().collect();
            publications.sort_by_key(|publication| publication.number);
            for publication in publications {
                let key = (channel.clone(), publication.clone());
                for place in record.places.get(&key).into_iter().flatten() {
                    let now = (publication.number, place.offset);
                    let before = last.insert(&place.epoch, now);
                    if let Some(before) = before.filter(|before| before.1 >= now.1) {
                        found.push(format!(
                            "{channel}: {publisher}'s number {} is at {} and number {} at {} of {}",
                            before.0, before.1, now.0, now.1, place.epoch
                        ));
                    }
                }
            }
        }
        found.into_iter().for_each(|what| record.violation(what));
    }

    /// What was counted, and what was broken.
    pub(crate) fn report(&self) -> (String, Vec<String>) {
        let record = self.0.lock();
        let counts = record
            .counts
            .iter()
            .map(|(what, count)| format!("{what} {count}"));
        (counts.collect::<Vec<_>>().join(", "), record.violations.clone())
    }
}

impl Record {
    fn violation(&mut self, what: impl Display) {
        *self.counts.entry("violations").or_default() += 1;
        if self.violations.len() < VIOLATIONS_KEPT {
            self.violations.push(what.to_string());
        }
    }
}
