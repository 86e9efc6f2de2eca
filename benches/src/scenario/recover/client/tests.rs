use super::*;
use crate::check::Fate;
use crate::measure::Recording;
use crate::payload;
use crate::plan::{Load, Plan, Share};
use crate::run::{Assignment, Clock, pair};
use crate::target::Target;

/// Publications that a client may have missed and still be told.
const RECOVERABLE: u64 = 3;

fn run() -> Run {
    let mut load = Load {
        connections: 20,
        stream: true,
        ..Load::default()
    };
    for (key, value) in [
        ("witnesses", "0".to_owned()),
        ("recoverable", RECOVERABLE.to_string()),
    ] {
        load.options.insert(key.to_owned(), value);
    }
    let assignment = Assignment {
        id: "run".to_owned(),
        plan: Plan {
            scenario: "recover".to_owned(),
            load,
            seed: 1,
            prefix: String::new(),
        },
        share: Share::WHOLE,
        target: Target::default(),
    };
    let (link, _) = pair();
    Run::new(assignment, Clock::new(), Arc::new(link))
}

/// A client that has seen the first two publications.
fn client(run: &Run) -> Client {
    let options = Options::of(&run.plan().load).unwrap();
    let mut client = Client::new(run, &options, &Arc::default(), Part::Returns, 0);
    client.subscribed("", Ok(&answer(0, "a")));
    for offset in 1..=2 {
        client.delivered("", &publication(offset));
    }
    client
}

fn answer(offset: u64, epoch: &str) -> SubscribeResult {
    SubscribeResult {
        offset,
        epoch: epoch.into(),
        ..SubscribeResult::default()
    }
}

fn publication(number: u64) -> Publication {
    let label = Label {
        worker: 0,
        channel: 0,
        sequence: number,
        intended: Stamp::default(),
    };
    Publication {
        data: payload::write(&label, 0),
        offset: number,
        ..Publication::default()
    }
}

/// The server answers that something is missing, and its stream stands at `top`.
fn lost(reason: &str, epoch: &str, top: u64) -> SubscribeResult {
    SubscribeResult {
        was_recovering: true,
        recovery_reason: reason.into(),
        ..answer(top, epoch)
    }
}

/// What was published: so many, all accepted but for the third.
fn ledger(last: u64) -> Ledger {
    let mut ledger = Ledger::default();
    ledger.sent(0, 0, last);
    ledger.settled(0, 0, 3, Fate::Unknown);
    ledger
}

/// Which promises were broken for a client that was answered this and got these publications afterwards, of so many.
fn broken(answer: &SubscribeResult, after: &[u64], last: u64) -> (Vec<Promise>, Recording) {
    let run = run();
    let mut client = client(&run);
    client.subscribed("", Ok(answer));
    for offset in after {
        client.delivered("", &publication(*offset));
    }
    client.judge(&ledger(last));
    let recording = run.into_recording();
    let promises = recording.violations.iter().map(|it| it.kind).collect();
    (promises, recording)
}

#[test]
fn who_gets_everything_is_whole() {
    let recovered = SubscribeResult {
        recovered: true,
        was_recovering: true,
        publications: (3..=5).map(publication).collect(),
        ..answer(2, "a")
    };
    let (promises, recording) = broken(&recovered, &[6], 6);
    assert_eq!(promises, []);
    assert!(recording.histograms.contains_key("whole"));
    let (promises, _) = broken(&recovered, &[6], 7);
    assert_eq!(promises, [Promise::NothingLost]);
    let elsewhere = SubscribeResult {
        epoch: "b".into(),
        ..recovered
    };
    let (promises, _) = broken(&elsewhere, &[6], 6);
    assert_eq!(promises, [Promise::HonestRecovery]);
}

#[test]
fn who_is_not_recovered_must_have_missed_too_much() {
    // Up to what can be recovered there is no reason not to.
    for (reason, epoch, missed) in [
        ("limit_exceeded", "a", RECOVERABLE),
        ("position_expired", "a", 0),
        ("", "a", 1),
        ("epoch_changed", "b", 10),
        ("limit_exceeded", "b", 10),
        ("position_ahead", "a", 10),
    ] {
        let top = 2 + missed;
        let (promises, recording) = broken(&lost(reason, epoch, top), &[], top);
        assert_eq!(promises, [Promise::HonestRecovery], "{reason} {epoch} {missed}");
        assert!(!recording.histograms.contains_key("whole"));
    }
    for reason in ["limit_exceeded", "position_expired", ""] {
        let top = 2 + RECOVERABLE + 1;
        let (promises, recording) = broken(&lost(reason, "a", top), &[top + 1, top + 2], top + 2);
        assert_eq!(promises, [], "{reason}");
        assert!(!recording.histograms.contains_key("whole"));
    }
}

#[test]
fn who_begins_anew_must_get_everything_from_there_on() {
    let top = 2 + RECOVERABLE + 1;
    let answer = lost("limit_exceeded", "a", top);
    let (promises, _) = broken(&answer, &[], top + 2);
    assert_eq!(promises, [Promise::NothingLost]);
    let (promises, _) = broken(&answer, &[top + 2], top + 2);
    assert_eq!(promises, [Promise::HonestRecovery], "a hole in the offsets");
}

#[test]
fn what_was_lost_before_is_not_forgotten() {
    let run = run();
    let mut client = client(&run);
    client.delivered("", &publication(5));
    client.subscribed("", Ok(&lost("limit_exceeded", "a", 10)));
    client.judge(&ledger(10));
    let violations = run.into_recording().violations;
    // The third is in doubt, the fourth is not.
    let lost = violations.iter().find(|it| it.kind == Promise::NothingLost);
    let detail = &lost.expect("the fourth is missing").detail;
    assert!(detail.contains(": 1 lost (3..=4"), "{detail}");
}
