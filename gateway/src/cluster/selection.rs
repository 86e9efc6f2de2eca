//! The largest and the busiest of any number of channels, found without keeping the others.

use std::cmp::Ordering;
use std::collections::HashSet;

use super::survey::ChannelSample;

type Order = fn(&ChannelSample, &ChannelSample) -> Ordering;

/// The `count` with the most subscribers, and of the rest the `count` with the highest rates.
pub(super) struct Selection {
    count: usize,
    seen: usize,
    largest: First,
    /// Twice as many: the largest may be among them.
    busiest: First,
}

/// The first ones by an order. Some more are held, so that not each addition sorts.
struct First {
    count: usize,
    order: Order,
    held: Vec<ChannelSample>,
}

/// Held at least before the surplus is dropped.
const SURPLUS: usize = 256;

impl Selection {
    /// None yet.
    pub(super) fn new(count: usize) -> Self {
        Self {
            count,
            seen: 0,
            largest: First::new(count, by_size),
            busiest: First::new(count.saturating_mul(2), by_rate),
        }
    }

    pub(super) fn add(&mut self, sample: ChannelSample) {
        self.seen += 1;
        if rate(&sample) > 0.0 {
            self.busiest.add(sample.clone());
        }
        self.largest.add(sample);
    }

    /// How many were added.
    pub(super) fn seen(&self) -> usize {
        self.seen
    }

    /// The largest, then the busiest of the rest.
    pub(super) fn finish(self) -> Vec<ChannelSample> {
        let mut chosen = self.largest.sorted();
        let names: HashSet<_> = chosen.iter().map(|sample| sample.channel.clone()).collect();
        let busiest = self.busiest.sorted().into_iter();
        let rest = busiest.filter(|sample| !names.contains(&sample.channel));
        chosen.extend(rest.take(self.count));
        chosen
    }
}

impl First {
    fn new(count: usize, order: Order) -> Self {
        Self {
            count,
            order,
            held: Vec::new(),
        }
    }

    fn add(&mut self, sample: ChannelSample) {
        self.held.push(sample);
        if self.held.len() >= self.count.saturating_mul(2).max(SURPLUS) {
            self.drop_surplus();
        }
    }

    fn drop_surplus(&mut self) {
        if self.held.len() > self.count {
            self.held.select_nth_unstable_by(self.count, self.order);
            self.held.truncate(self.count);
        }
    }

    fn sorted(mut self) -> Vec<ChannelSample> {
        self.drop_surplus();
        self.held.sort_unstable_by(self.order);
        self.held
    }
}

fn by_size(one: &ChannelSample, other: &ChannelSample) -> Ordering {
    let by_size = other.subscribers.cmp(&one.subscribers);
    by_size.then_with(|| by_name(one, other))
}

fn by_rate(one: &ChannelSample, other: &ChannelSample) -> Ordering {
    let by_rate = rate(other).total_cmp(&rate(one));
    by_rate.then_with(|| by_name(one, other))
}

/// Equal ones by name, so that lists do not flicker.
fn by_name(one: &ChannelSample, other: &ChannelSample) -> Ordering {
    one.channel.cmp(&other.channel)
}

fn rate(sample: &ChannelSample) -> f64 {
    sample.rate.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use campanile_common::ChannelName;

    use super::*;

    #[test]
    fn the_first_of_many_are_found_and_the_many_are_not_kept() {
        let mut selection = Selection::new(3);
        // In no order: 7919 has no factor in common with their number.
        for number in (0..10_000).map(|number| number * 7919 % 10_000) {
            selection.add(ChannelSample {
                channel: ChannelName::from_trusted(&format!("{number:04}")),
                subscribers: number / 2,
                rate: (number % 2 == 0).then_some(f64::from(u16::try_from(10_000 - number).unwrap())),
            });
            assert!(selection.largest.held.len() <= SURPLUS && selection.busiest.held.len() <= SURPLUS);
        }
        assert_eq!(selection.seen(), 10_000);
        let found = selection.finish();
        let names: Vec<&str> = found.iter().map(|sample| sample.channel.as_str()).collect();
        assert_eq!(names, ["9998", "9999", "9996", "0000", "0002", "0004"]);
    }
}
