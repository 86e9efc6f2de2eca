use super::*;

#[test]
fn doubtful_ones_are_found_where_they_are() {
    let mut ledger = Ledger::default();
    ledger.sent(0, 1, 9);
    for sequence in [7, 3, 3, 5] {
        ledger.settled(0, 1, sequence, Fate::Refused);
    }
    ledger.settled(0, 1, 4, Fate::Accepted);
    assert_eq!((ledger.total(), ledger.accepted()), (9, 6));
    let (_, entry) = ledger.channel(0).next().unwrap();
    let counts = [1..=9, 3..=5, 4..=4, 8..=9, 6..=7].map(|it| entry.doubtful_in(&it));
    assert_eq!(counts, [3, 2, 0, 0, 1]);
}

#[test]
fn too_many_doubtful_ones_are_counted_and_not_kept() {
    let most = MOST_DOUBTFUL as u64;
    let mut ledger = Ledger::default();
    ledger.sent(0, 1, most + 2);
    for sequence in 1..=most {
        ledger.settled(0, 1, sequence, Fate::Unknown);
    }
    let mut ledger = ledger.complete().unwrap();
    let mut other = Ledger::default();
    other.sent(0, 2, 1);
    other.settled(0, 2, 1, Fate::Unknown);
    ledger.add(other);
    assert_eq!(ledger.accepted(), 2);
    let mut merged = Ledger::default();
    merged.add(ledger);
    let refused = merged.complete().unwrap_err().to_string();
    assert!(
        refused.starts_with(&format!("{} publications", most + 1)),
        "{refused}"
    );
}

#[test]
fn a_ledger_in_which_nothing_was_accepted_is_no_result() {
    assert!(Ledger::default().complete().is_ok());
    let mut ledger = Ledger::default();
    ledger.sent(0, 1, 2);
    ledger.settled(0, 1, 1, Fate::Refused);
    ledger.explain("unauthorized (101)");
    ledger.explain("another reason");
    let doubt = ledger.doubt().unwrap();
    assert!(
        doubt.contains("1 of 2") && doubt.ends_with(": unauthorized (101)"),
        "{doubt}"
    );
    assert_eq!(
        (ledger.refused(), ledger.accepted_in(0), ledger.accepted_in(1)),
        (1, 1, 0)
    );
    assert!(ledger.clone().complete().is_ok());
    ledger.settled(0, 1, 2, Fate::Unknown);
    let mut merged = Ledger::default();
    merged.add(ledger);
    let failure = merged.complete().unwrap_err();
    assert_eq!(failure.exit_code(), 3);
    let line = failure.to_string();
    assert_eq!(
        line,
        "none of the 2 publications was accepted: unauthorized (101)"
    );
}
