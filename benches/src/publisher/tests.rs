use tokio::net::TcpListener;

use super::*;
use crate::plan::{Load, Plan, Share};
use crate::run::{Assignment, Clock};
use crate::target::Target;

/// A run that publishes through an API at `address`.
fn run(address: std::net::SocketAddr, load: Load) -> Run {
    let assignment = Assignment {
        id: "1".to_owned(),
        plan: Plan {
            scenario: "fanout".to_owned(),
            load,
            seed: 1,
            prefix: "test-".to_owned(),
        },
        share: Share::WHOLE,
        target: Target {
            apis: vec![format!("http://{address}/api")],
            ..Target::default()
        },
    };
    let (link, _port) = crate::run::pair();
    Run::new(assignment, Clock::new(), Arc::new(link))
}

/// A server that lets everybody in and then does nothing.
async fn dead_server() -> (TcpListener, std::net::SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[tokio::test]
async fn what_a_server_does_not_take_is_given_up_when_the_time_for_answers_is_over() {
    const COUNT: u64 = 2_000;
    let (_server, address) = dead_server().await;
    let run = run(
        address,
        Load {
            rate: 100.0,
            // Far more than sockets hold.
            size: 64 * 1024,
            batch: 16,
            settle: Duration::from_millis(50),
            ..Load::default()
        },
    );
    let mut publisher = Publisher::connect(&run).await.unwrap();
    for _ in 0..COUNT {
        let published = publisher.publish(0, &"channel".into(), run.clock().now()).await;
        published.unwrap();
    }
    let ledger = publisher.finish().await;
    assert_eq!(ledger.accepted(), 0);
    let counters = run.into_recording().counters;
    assert!(counters["publish_unsent"] > 0, "{counters:?}");
    assert_eq!(ledger.total() + counters["publish_unsent"], COUNT);
}

#[tokio::test]
async fn a_server_that_takes_nothing_any_more_ends_the_run() {
    let (_server, address) = dead_server().await;
    let run = run(
        address,
        Load {
            rate: 0.0,
            settle: Duration::ZERO,
            ..Load::default()
        },
    );
    let mut publisher = Publisher::connect(&run).await.unwrap();
    // From here on nothing happens any more, but that time goes by.
    tokio::time::pause();
    let failure = loop {
        if let Err(failure) = publisher.publish(0, &"channel".into(), run.clock().now()).await {
            break failure;
        }
    };
    assert_eq!(failure.exit_code(), 3);
    assert!(
        failure.to_string().contains("has taken no publication"),
        "{failure}"
    );
}

#[tokio::test]
async fn who_stops_publishing_leaves_no_number_out() {
    let (_server, address) = dead_server().await;
    let run = run(
        address,
        Load {
            rate: 0.0,
            settle: Duration::ZERO,
            ..Load::default()
        },
    );
    let mut publisher = Publisher::connect(&run).await.unwrap();
    let feed = Feed {
        schedule: Schedule::new(1_000_000.0, 1),
        ..Feed::to(&run, 1)
    };
    // Whatever has been handed over by then: the next one waits for a place, and is given up.
    while publisher.lanes[0].capacity() > 0 || publisher.sequences.is_empty() {
        let soon = async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            Ok(())
        };
        publisher.drive_while(&feed, Instant::now(), soon).await.unwrap();
    }
    let numbered = publisher.sequences[&0];
    let sent = publisher.finish().await.total();
    let unsent = run.into_recording().counters.get("publish_unsent").copied();
    assert_eq!(sent + unsent.unwrap_or(0), numbered);
}
