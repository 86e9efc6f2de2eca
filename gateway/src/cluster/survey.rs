//! Which channels are the largest and the busiest: what each gateway says, and all of it together.
//!
//! The rate of a channel is how far its stream has grown between two looks. That costs nothing while channels are delivered, counts
//! what everybody has published, and is not known of channels that keep no stream.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use campanile_common::{ChannelName, Position};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::selection::Selection;

/// Streams whose positions are remembered from one look to the next, some 60 bytes each. Of others no rate is known.
const MAX_REMEMBERED: usize = 50_000;

/// Looks that follow each other faster are compared with the one before.
const LEAST_INTERVAL: Duration = Duration::from_secs(1);

/// After this long a look is not worth a comparison: the mean over it says nothing of now.
const MOST_INTERVAL: Duration = Duration::from_secs(60);

/// The largest and the busiest channels.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Survey {
    /// How many channels were looked at, in the gateway that has most of them.
    pub total: usize,
    /// Some of them, the largest first.
    pub channels: Vec<ChannelSample>,
}

/// One channel with subscribers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChannelSample {
    /// Its name.
    pub channel: ChannelName,
    /// How many.
    pub subscribers: usize,
    /// Publications a second; `None`: not known.
    pub rate: Option<f64>,
}

impl Default for ChannelSample {
    fn default() -> Self {
        Self {
            channel: ChannelName::from_trusted(""),
            subscribers: 0,
            rate: None,
        }
    }
}

/// A channel with subscribers, as a gateway has it.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Its name.
    pub channel: ChannelName,
    /// How many subscribers it has here.
    pub subscribers: usize,
    /// The last publication that was delivered, where the channel keeps a stream.
    pub delivered: Option<Position>,
}

/// The positions of some earlier looks. Nothing is remembered of channels before somebody looks.
#[derive(Debug, Default)]
pub(super) struct Looks {
    latest: Look,
    before: Look,
}

#[derive(Debug, Default)]
struct Look {
    /// `None`: never.
    taken: Option<Instant>,
    delivered: HashMap<ChannelName, Position>,
}

/// A look at all channels, one after another.
pub(super) struct Surveying<'a> {
    looks: &'a mut Looks,
    began: Instant,
    /// Whether the next looks are compared with this one.
    remembers: bool,
    selection: Selection,
}

impl Looks {
    /// Begins to look for the `count` largest and the `count` busiest.
    pub(super) fn begin(&mut self, now: Instant, count: usize) -> Surveying<'_> {
        let remembers = self.latest.age(now).is_none_or(|age| age >= LEAST_INTERVAL);
        if remembers {
            let latest = Look {
                taken: Some(now),
                ..Look::default()
            };
            self.before = std::mem::replace(&mut self.latest, latest);
        }
        Surveying {
            looks: self,
            began: now,
            remembers,
            selection: Selection::new(count),
        }
    }

    /// Forgets everything, if nobody has looked for so long that it is of no use.
    pub(super) fn forget_old(&mut self, now: Instant) {
        if self.latest.age(now).is_some_and(|age| age > MOST_INTERVAL) {
            *self = Self::default();
        }
    }
}

impl Surveying<'_> {
    /// Looks at one channel, which is one of those that are looked for or is not.
    pub(super) fn see(&mut self, standing: Standing, is_wanted: bool) {
        if is_wanted {
            self.selection.add(ChannelSample {
                rate: self.looks.before.rate(self.began, &standing),
                channel: standing.channel.clone(),
                subscribers: standing.subscribers,
            });
        }
        let known = &mut self.looks.latest.delivered;
        if let Some(position) = standing.delivered
            && self.remembers
            && known.len() < MAX_REMEMBERED
        {
            known.insert(standing.channel, position);
        }
    }

    /// What was found.
    pub(super) fn finish(self) -> Survey {
        Survey {
            total: self.selection.seen(),
            channels: self.selection.finish(),
        }
    }
}

impl Look {
    fn age(&self, now: Instant) -> Option<Duration> {
        self.taken.map(|taken| now.saturating_duration_since(taken))
    }

    /// Publications a second since this look.
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    fn rate(&self, now: Instant, standing: &Standing) -> Option<f64> {
        let position = standing.delivered.as_ref()?;
        let interval = self.age(now)?;
        if interval.is_zero() || interval > MOST_INTERVAL {
            return None;
        }
        let before = self.delivered.get(&standing.channel)?;
        let grown = position.offset.get().checked_sub(before.offset.get())?;
        (position.epoch == before.epoch).then(|| grown as f64 / interval.as_secs_f64())
    }
}

impl Survey {
    /// What several gateways said, together: each counts its own subscribers, and sees all publications of its channels. Where one
    /// of them lists a channel and another does not, the latter's subscribers are missing in the sum.
    #[must_use]
    pub fn merge(surveys: impl IntoIterator<Item = Self>, count: usize) -> Self {
        let mut total = 0;
        let mut merged: BTreeMap<ChannelName, ChannelSample> = BTreeMap::new();
        for survey in surveys {
            total = total.max(survey.total);
            for sample in survey.channels {
                let known = merged.entry(sample.channel.clone()).or_default();
                known.channel = sample.channel;
                known.subscribers += sample.subscribers;
                known.rate = match (known.rate, sample.rate) {
                    (Some(one), Some(other)) => Some(one.max(other)),
                    (one, other) => one.or(other),
                };
            }
        }
        let mut selection = Selection::new(count);
        merged.into_values().for_each(|sample| selection.add(sample));
        Self {
            total: total.max(selection.seen()),
            channels: selection.finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use campanile_common::{Epoch, Offset};

    use super::*;

    fn standing(channel: &str, subscribers: usize, offset: Option<u64>) -> Standing {
        Standing {
            channel: ChannelName::from_trusted(channel),
            subscribers,
            delivered: offset.map(|offset| Position {
                epoch: Epoch::new("e"),
                offset: Offset(offset),
            }),
        }
    }

    /// So long after the tests began.
    fn at(millis: u64) -> Instant {
        static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
        *BEGAN + Duration::from_millis(millis)
    }

    /// Looks at all of them.
    fn survey<'a>(
        looks: &mut Looks,
        now: Instant,
        standings: impl IntoIterator<Item = &'a Standing>,
        count: usize,
    ) -> Survey {
        let mut survey = looks.begin(now, count);
        for standing in standings {
            survey.see(standing.clone(), true);
        }
        survey.finish()
    }

    fn names(survey: &Survey) -> Vec<&str> {
        survey.channels.iter().map(|it| it.channel.as_str()).collect()
    }

    fn rate(survey: &Survey, channel: &str) -> Option<f64> {
        let found = survey.channels.iter().find(|it| it.channel.as_str() == channel);
        found.and_then(|sample| sample.rate)
    }

    #[test]
    fn a_rate_is_how_far_a_stream_has_grown_between_two_looks() {
        let mut looks = Looks::default();
        let look = |looks: &mut Looks, now, offset| {
            let standings = [standing("a", 1, Some(offset)), standing("b", 1, None)];
            survey(looks, now, &standings, 10)
        };
        let first = look(&mut looks, at(0), 100);
        assert_eq!(rate(&first, "a"), None, "there is nothing to compare with");
        assert_eq!(rate(&look(&mut looks, at(2000), 120), "a"), Some(10.0));
        let early = look(&mut looks, at(2500), 125);
        assert_eq!(
            rate(&early, "a"),
            Some(10.0),
            "since the first look, not the second"
        );
        let third = look(&mut looks, at(4000), 128);
        assert_eq!(rate(&third, "a"), Some(4.0));
        assert_eq!(rate(&third, "b"), None, "it keeps no stream");
        let late = look(&mut looks, at(100_000), 9000);
        assert_eq!(rate(&late, "a"), None, "the last look is too long ago");
    }

    #[test]
    fn a_new_epoch_is_not_compared_with_an_old_one() {
        let mut looks = Looks::default();
        survey(&mut looks, at(0), &[standing("a", 1, Some(7))], 10);
        let mut renewed = standing("a", 1, Some(9));
        renewed.delivered.as_mut().unwrap().epoch = Epoch::new("f");
        let told = survey(&mut looks, at(1000), &[renewed], 10);
        assert_eq!(rate(&told, "a"), None);
        survey(&mut looks, at(2000), &[standing("a", 1, Some(9))], 10);
        let told = survey(&mut looks, at(3000), &[standing("a", 1, Some(3))], 10);
        assert_eq!(rate(&told, "a"), None, "it went back");
    }

    #[test]
    fn the_largest_come_first_then_the_busiest_of_the_rest() {
        let mut looks = Looks::default();
        let standings = |grown: u64| {
            [
                standing("small", 1, None),
                standing("busy", 1, Some(grown * 50)),
                standing("large", 9, None),
                standing("larger", 10, None),
                standing("quiet", 2, Some(1)),
                standing("chatty", 1, Some(grown * 5)),
            ]
        };
        survey(&mut looks, at(0), &standings(0), 2);
        let told = survey(&mut looks, at(1000), &standings(1), 2);
        assert_eq!(names(&told), ["larger", "large", "busy", "chatty"]);
        assert_eq!(told.total, 6);
        let mut quiet = looks.begin(at(2000), 2);
        for standing in standings(1) {
            let is_wanted = standing.channel.as_str().contains('q');
            quiet.see(standing, is_wanted);
        }
        let told = quiet.finish();
        assert_eq!((names(&told), told.total), (vec!["quiet"], 1));
        let told = survey(&mut looks, at(3000), &standings(2), 2);
        assert_eq!(rate(&told, "busy"), Some(50.0), "also of what was not looked for");
    }

    #[test]
    fn gateways_add_their_subscribers_up_and_see_the_same_publications() {
        let sample = |channel: &str, subscribers, rate| ChannelSample {
            channel: ChannelName::from_trusted(channel),
            subscribers,
            rate,
        };
        let one = Survey {
            total: 5,
            channels: vec![sample("a", 3, Some(2.0)), sample("b", 2, None)],
        };
        let other = Survey {
            total: 3,
            channels: vec![sample("b", 2, Some(1.0)), sample("a", 1, Some(2.5))],
        };
        let merged = Survey::merge([one, other], 10);
        let expected = vec![sample("a", 4, Some(2.5)), sample("b", 4, Some(1.0))];
        assert_eq!((merged.channels, merged.total), (expected, 5));
    }

    #[test]
    fn nothing_is_remembered_when_nobody_looks_any_more() {
        let mut looks = Looks::default();
        survey(&mut looks, at(0), &[standing("a", 1, Some(7))], 10);
        looks.forget_old(at(1000));
        assert_eq!(looks.latest.delivered.len(), 1);
        looks.forget_old(at(61_000));
        assert_eq!(looks.latest.delivered.len(), 0);
    }
}
