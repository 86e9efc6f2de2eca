use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use crate::bare::{self, Fault};
use crate::execute::{Order, execute};
use crate::measure::{Histogram, Outcome};
use crate::plan::{Load, Plan, PublishVia};
use crate::report::progress::Progress;
use crate::stack::StackOptions;
use crate::target::Target;
use crate::workers::CrewOptions;
use crate::{Failure, Promise, Violation, scenario};

/// A bare server in a thread of its own; it runs until the tests end.
fn server(fault: Option<Fault>) -> SocketAddr {
    let options = bare::Options {
        listen: ([127, 0, 0, 1], 0).into(),
        coalesce: 1,
        fault,
    };
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    thread::spawn(move || bare::serve(options, |address| tell.send(address).unwrap()));
    told.recv().unwrap()
}

/// 20 clients, 100 publications before measuring and 100 meanwhile; stragglers are waited for as long as `settle`.
fn load(name: &str, settle: Duration) -> Load {
    Load {
        connections: 20,
        rate: 1_000.0,
        burst: 10,
        batch: 10,
        size: 128,
        warm_up: Duration::from_millis(100),
        duration: Duration::from_millis(100),
        settle,
        ..scenario::find(name).unwrap().defaults()
    }
}

/// Runs a scenario against a server that has this fault.
async fn run(name: &str, fault: Option<Fault>, load: Load) -> Result<Outcome, Failure> {
    let address = server(fault);
    let order = Order {
        plan: Plan {
            scenario: name.to_owned(),
            load,
            seed: 1,
            prefix: "test-".to_owned(),
        },
        target: Some(Target {
            urls: vec![format!("ws://{address}/connection/websocket")],
            apis: vec![format!("http://{address}/api")],
            namespace: "bench".to_owned(),
            ..Target::default()
        }),
        stack: StackOptions::default(),
        crew: CrewOptions::default(),
    };
    let report = Box::pin(execute(&order, &mut Progress::silent())).await?;
    Ok(report.outcome)
}

/// What was broken.
fn broken(outcome: &Outcome) -> BTreeSet<Promise> {
    outcome.recording.violations.iter().map(|it| it.kind).collect()
}

/// Long enough for whatever is still to come; a run in which nothing is missing does not wait for it.
const LONG: Duration = Duration::from_secs(60);

/// Long enough for all publications to be answered, in a run in which something never comes.
const SHORT: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_arrives_whatever_the_shape_of_the_channels() {
    for name in ["fanout", "rooms", "private"] {
        let outcome = run(name, None, load(name, LONG)).await.unwrap();
        assert!(outcome.held(), "{name}: {:?}", outcome.recording.violations);
        let each = match name {
            "fanout" => 20,
            "rooms" => 10,
            _ => 1,
        };
        let arrived =
            ["delivery_quiet", "delivery"].map(|it| outcome.histogram(it).map_or(0, Histogram::len));
        assert_eq!(arrived[0] + arrived[1], 200 * each, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_breaks_a_promise_is_found_out() {
    for (name, fault, promise, settle) in [
        ("fanout", Fault::Lose, Promise::NothingLost, SHORT),
        ("fanout", Fault::Double, Promise::NothingDoubled, LONG),
        ("fanout", Fault::Swap, Promise::InOrder, LONG),
        ("private", Fault::Swap, Promise::InOrder, SHORT),
        ("connect", Fault::Double, Promise::NothingDoubled, LONG),
    ] {
        let mut load = load(name, settle);
        if name == "private" {
            // More than one in each channel.
            load.connections = 4;
        }
        let outcome = run(name, Some(fault), load).await.unwrap();
        assert!(
            broken(&outcome).contains(&promise),
            "{name} {fault:?}: {:?}",
            outcome.recording.violations
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_mixes_up_channels_is_found_out_though_all_numbers_fit() {
    for name in ["rooms", "private"] {
        let mut load = load(name, SHORT);
        load.publishers = 1;
        if name == "private" {
            // So that each channel has some publications, of which one in seven is led astray.
            load.connections = 2;
        }
        let outcome = run(name, Some(Fault::Misroute), load).await.unwrap();
        let broken = broken(&outcome);
        assert!(broken.contains(&Promise::RightChannel), "{name}: {broken:?}");
        let others = [Promise::NothingDoubled, Promise::InOrder];
        assert!(others.iter().all(|it| !broken.contains(it)), "{name}: {broken:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_keeps_those_who_do_not_read_is_found_out() {
    let outcome = run("slow", None, load("slow", SHORT)).await.unwrap();
    let violations = &outcome.recording.violations;
    assert!(broken(&outcome).contains(&Promise::Other), "{violations:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_accepts_nothing_is_no_server_to_measure() {
    for publish_via in [PublishVia::Api, PublishVia::Client] {
        let load = Load {
            publish_via,
            ..load("fanout", SHORT)
        };
        let failure = run("fanout", Some(Fault::Refuse), load).await.unwrap_err();
        assert_eq!(failure.exit_code(), 3);
        let line = failure.to_string();
        assert_eq!(
            line,
            "none of the 200 publications was accepted: permission denied (103)"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_refused_for_now_asks_again_and_has_not_arrived_before() {
    let mut load = load("connect", LONG);
    load.connect_rate = 1_000.0;
    let outcome = run("connect", Some(Fault::Busy), load).await.unwrap();
    assert!(outcome.held(), "{:?}", outcome.recording.violations);
    assert!(outcome.counter("subscribe_again") > 0);
    let arrived = outcome.histogram("arrival").map_or(0, Histogram::len);
    // Everybody arrives once.
    assert_eq!(arrived, 20);
    let longest = outcome.histogram("arrival").map(Histogram::max);
    assert!(longest >= Some(Duration::from_millis(100)), "{longest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_visitors_miss_is_found_and_what_cannot_be_checked_is_said() {
    let mut load = load("churn", SHORT);
    load.connect_rate = 20.0;
    load.options.insert("stay".to_owned(), "0.5".to_owned());
    let outcome = run("churn", Some(Fault::Lose), load).await.unwrap();
    // The first 20 stay.
    let visitor = |violation: &&Violation| {
        let number = violation
            .detail
            .strip_prefix("client ")
            .and_then(|it| it.split(':').next());
        let number: Option<usize> = number.and_then(|it| it.parse().ok());
        violation.kind == Promise::NothingLost && number.is_some_and(|it| it >= 20)
    };
    let recording = &outcome.recording;
    assert!(
        recording.violations.iter().any(|it| visitor(&it)),
        "{:?}",
        recording.violations
    );
    for words in ["fall silent", "left behind"] {
        assert!(
            outcome.unseen.iter().any(|it| it.contains(words)),
            "{:?}",
            outcome.unseen
        );
    }
}

#[tokio::test]
async fn clients_that_never_come_to_connect_are_missed() {
    let mut load = load("fanout", SHORT);
    load.connect_rate = 0.0;
    let failure = run("fanout", None, load).await.unwrap_err().to_string();
    assert!(failure.contains("20 clients never come to connect"), "{failure}");
}
