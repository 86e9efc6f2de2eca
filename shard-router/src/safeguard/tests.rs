//! Experiments stay where they are made.

use super::*;

#[test]
fn a_rule_is_away_during_an_experiment_and_on_its_thread_alone() {
    without(Safeguard::Barrier, || {
        assert!(!holds(Safeguard::Barrier));
        assert!(holds(Safeguard::HoldBack));
        let elsewhere = std::thread::spawn(|| holds(Safeguard::Barrier));
        assert!(elsewhere.join().unwrap());
    });
    assert!(holds(Safeguard::Barrier));
}
