use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use crate::bare::{self, Fault};
use crate::execute::{Order, execute};
use crate::measure::Outcome;
use crate::plan::{Load, Plan};
use crate::report::progress::Progress;
use crate::stack::StackOptions;
use crate::target::Target;
use crate::workers::CrewOptions;
use crate::{Promise, scenario};

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

/// Runs a scenario against a server that has this fault: 20 clients, 100 publications before measuring and 100 meanwhile.
async fn run(name: &str, fault: Option<Fault>, settle: Duration) -> Outcome {
    let address = server(fault);
    let load = Load {
        connections: 20,
        rate: 1_000.0,
        burst: 10,
        batch: 10,
        size: 128,
        warm_up: Duration::from_millis(100),
        duration: Duration::from_millis(100),
        settle,
        ..scenario::find(name).unwrap().defaults()
    };
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
    let report = Box::pin(execute(&order, &mut Progress::silent())).await.unwrap();
    report.outcome
}

/// Long enough for whatever is still to come; a run in which nothing is missing does not wait for it.
const LONG: Duration = Duration::from_secs(60);

/// Long enough for all publications to be answered, in a run in which something never comes.
const SHORT: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_arrives_whatever_the_shape_of_the_channels() {
    for name in ["fanout", "rooms", "private"] {
        let outcome = run(name, None, LONG).await;
        assert!(outcome.held(), "{name}: {:?}", outcome.recording.violations);
        let each = match name {
            "fanout" => 20,
            "rooms" => 10,
            _ => 1,
        };
        let arrived = ["delivery_quiet", "delivery"]
            .map(|it| outcome.histogram(it).map_or(0, crate::measure::Histogram::len));
        assert_eq!(arrived[0] + arrived[1], 200 * each, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_breaks_a_promise_is_found_out() {
    for (fault, promise, settle) in [
        (Fault::Lose, Promise::NothingLost, SHORT),
        (Fault::Double, Promise::NothingDoubled, LONG),
        (Fault::Swap, Promise::InOrder, LONG),
    ] {
        let outcome = run("fanout", Some(fault), settle).await;
        let violations = &outcome.recording.violations;
        assert!(
            violations.iter().any(|it| it.kind == promise),
            "{fault:?}: {violations:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_keeps_those_who_do_not_read_is_found_out() {
    let outcome = run("slow", None, SHORT).await;
    let violations = &outcome.recording.violations;
    assert!(
        violations.iter().any(|it| it.kind == Promise::Other),
        "{violations:?}"
    );
}
