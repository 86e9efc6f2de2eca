use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::*;

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(1_000_000 + millis)
}

/// All that is due up to `now`.
fn due(wheel: &mut Wheel<u32>, now: Timestamp) -> Vec<u32> {
    std::iter::from_fn(|| wheel.turn(now)).flatten().collect()
}

#[test]
fn nothing_is_due_before_its_time() {
    let mut wheel = Wheel::new(at(0));
    wheel.insert(at(250), 1);
    wheel.insert(at(300), 2);
    wheel.insert(at(301), 3);
    assert!(due(&mut wheel, at(299)).is_empty());
    assert_eq!(due(&mut wheel, at(300)), [1, 2]);
    assert!(due(&mut wheel, at(399)).is_empty());
    assert_eq!(due(&mut wheel, at(400)), [3]);
}

#[test]
fn what_is_overdue_comes_with_the_next_tick() {
    let mut wheel = Wheel::new(at(0));
    assert!(due(&mut wheel, at(1000)).is_empty());
    wheel.insert(at(10), 1);
    assert!(due(&mut wheel, at(1099)).is_empty());
    assert_eq!(due(&mut wheel, at(1100)), [1]);
}

#[test]
fn what_is_beyond_the_reach_comes_early_and_not_at_once() {
    let mut wheel = Wheel::new(at(0));
    assert_eq!(wheel.insert(at(50_001), 0), at(50_001));
    assert_eq!(wheel.insert(at(86_400_000), 1), at(51_100));
    assert_eq!(wheel.insert(Timestamp::from_millis(u64::MAX), 2), at(51_100));
    assert_eq!(due(&mut wheel, at(50_100)), [0]);
    assert!(due(&mut wheel, at(51_000)).is_empty());
    assert_eq!(due(&mut wheel, at(51_100)), [1, 2]);
}

#[test]
fn a_long_pause_loses_nothing_and_keeps_the_order() {
    let mut wheel = Wheel::new(at(0));
    for key in 0..500 {
        wheel.insert(at(u64::from(key) * 100), key);
    }
    assert_eq!(due(&mut wheel, at(10_000_000)), (0..500).collect::<Vec<_>>());
    wheel.insert(at(10_000_050), 7);
    assert_eq!(due(&mut wheel, at(10_000_100)), [7]);
}

struct Woken(AtomicU64);

impl Sleeper for Woken {
    fn wake_up(self: Arc<Self>, now: Timestamp) {
        self.0.store(now.as_millis(), Ordering::Relaxed);
    }
}

#[tokio::test(start_paused = true)]
async fn sleepers_wake_in_time_and_dead_ones_do_not() {
    let clock = Clock::start();
    let timers = Arc::new(Timers::new(clock));
    let turning = tokio::spawn({
        let timers = Arc::clone(&timers);
        async move { timers.run().await }
    });
    let sleeper = Arc::new(Woken(AtomicU64::new(0)));
    let dead = Arc::new(Woken(AtomicU64::new(0)));
    let wish = clock.now() + Duration::from_secs(3);
    timers.wake_at(wish, &sleeper);
    timers.wake_at(wish, &dead);
    drop(dead);
    tokio::time::sleep(Duration::from_millis(2_900)).await;
    assert_eq!(sleeper.0.load(Ordering::Relaxed), 0);
    tokio::time::sleep(Duration::from_millis(400)).await;
    let woken = Timestamp::from_millis(sleeper.0.load(Ordering::Relaxed));
    assert!(woken >= wish && woken.saturating_since(wish) <= 2 * TICK);
    turning.abort();
}
