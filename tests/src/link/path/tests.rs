use super::*;

const DELAY: Duration = Duration::from_millis(25);

/// The numbers of those of `count` packets, offered at once, that arrive, in their order.
fn arrivals(conditions: Conditions, direction: u64, count: u8) -> Vec<u8> {
    let start = Instant::now();
    let mut path = Path::new(conditions, direction);
    (0..count).for_each(|number| path.offer(&[number], start));
    let end = start + 2 * conditions.delay;
    std::iter::from_fn(|| path.arrived(end)).map(|it| it[0]).collect()
}

#[test]
fn a_packet_arrives_after_the_delay_and_not_before() {
    let start = Instant::now();
    let mut path = Path::new(
        Conditions {
            delay: DELAY,
            ..Conditions::default()
        },
        0,
    );
    path.offer(b"packet", start);
    assert_eq!(path.next_arrival(), Some(start + DELAY));
    assert_eq!(path.arrived(start + DELAY - Duration::from_nanos(1)), None);
    assert_eq!(path.arrived(start + DELAY), Some(b"packet".to_vec()));
    assert_eq!(path.next_arrival(), None);
}

#[test]
fn the_same_seed_loses_the_same_packets_and_another_direction_others() {
    let conditions = Conditions {
        loss: 0.5,
        seed: 7,
        ..Conditions::default()
    };
    let arrived = arrivals(conditions, 0, 200);
    assert!((60..140).contains(&arrived.len()), "{arrived:?}");
    assert_eq!(arrivals(conditions, 0, 200), arrived);
    assert_ne!(arrivals(conditions, 1, 200), arrived);
    assert_ne!(
        arrivals(
            Conditions {
                seed: 8,
                ..conditions
            },
            0,
            200
        ),
        arrived
    );
}

#[test]
fn later_packets_overtake_late_ones_and_none_is_gone() {
    let conditions = Conditions {
        delay: DELAY,
        late: 0.3,
        ..Conditions::default()
    };
    let arrived = arrivals(conditions, 0, 200);
    assert!(!arrived.is_sorted());
    let mut sorted = arrived;
    sorted.sort_unstable();
    assert!(sorted.into_iter().eq(0..200));
}

#[test]
fn packets_arrive_in_order_where_none_is_late() {
    assert!(arrivals(Conditions::default(), 0, 200).into_iter().eq(0..200));
}

#[test]
fn what_is_too_long_or_blocked_vanishes_and_is_counted() {
    let mut path = Path::new(
        Conditions {
            mtu: 100,
            blocks_udp: true,
            ..Conditions::default()
        },
        0,
    );
    let now = Instant::now();
    let mut udp = [0; 20];
    udp[PROTOCOL] = UDP;
    path.offer(&udp, now);
    path.offer(&[0; 101], now);
    path.offer(&[0; 100], now);
    let counts = Counts {
        carried: 1,
        oversized: 1,
        blocked: 1,
        ..Counts::default()
    };
    assert_eq!(path.counts(), counts);
    assert_eq!(path.arrived(now), Some(vec![0; 100]));
}

#[test]
fn no_more_packets_are_under_way_than_there_is_room_for() {
    let now = Instant::now();
    let mut path = Path::new(Conditions::default(), 0);
    (0..=CAPACITY).for_each(|_| path.offer(b"", now));
    assert_eq!(path.counts().overflown, 1);
}
