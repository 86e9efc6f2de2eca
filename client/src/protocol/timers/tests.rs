use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn timers_come_in_their_order_and_once() {
    let now = Instant::now();
    let mut timers = Timers::default();
    timers.set(Timer::Refresh, now, 3 * SECOND);
    timers.set(Timer::Silence, now, SECOND);
    timers.set(Timer::Silence, now, 2 * SECOND);
    timers.set(Timer::Attempt, now, SECOND);
    timers.cancel(Timer::Attempt);
    assert_eq!(timers.next(), Some(now + 2 * SECOND));
    assert_eq!(timers.pop(now + SECOND), None);
    assert_eq!(timers.pop(now + 9 * SECOND), Some(Timer::Silence));
    assert_eq!(timers.pop(now + 9 * SECOND), Some(Timer::Refresh));
    assert_eq!(timers.pop(now + 9 * SECOND), None);
    assert_eq!(timers.len(), 0);
}

#[test]
fn no_wait_is_too_long() {
    let mut timers = Timers::default();
    timers.set(Timer::Refresh, Instant::now(), Duration::MAX);
    assert!(timers.next().is_some());
}
