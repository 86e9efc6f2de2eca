use clap::Parser as _;

use super::{Cli, MeasureArguments};
use crate::Failure;
use crate::compare::Side;
use crate::execute::Order;
use crate::plan::PublishVia;
use crate::target::Target;

fn measure(words: &str) -> MeasureArguments {
    let words = std::iter::once("campanile-bench").chain(words.split_whitespace());
    Cli::try_parse_from(words).unwrap().measure
}

fn order(words: &str) -> Result<Order, Failure> {
    measure(words).order()
}

/// The other server of a comparison.
fn other(words: &str) -> Result<Target, Failure> {
    let arguments = measure(words);
    match arguments.comparison(&arguments.order()?)? {
        Some((Side::Server(target), _)) => Ok(*target),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_other_server_has_what_was_said_of_both_even_if_the_first_one_is_a_stack() {
    for first in ["", "--url ws://a/ws --certificate ff --metrics http://a/metrics"] {
        let common = "--namespace chat --token-secret s --codec json --publish-via client";
        let target = other(&format!(
            "fanout {first} {common} --compare ws://b/ws --compare-metrics http://b/metrics --compare-pid gateway-1=7"
        ));
        let target = target.unwrap();
        assert_eq!(target.urls, ["ws://b/ws"]);
        assert_eq!(
            (target.namespace.as_str(), target.stream_namespace.as_str()),
            ("chat", "stream")
        );
        assert_eq!(target.token_secret.as_deref(), Some("s"));
        assert_eq!(target.metrics, ["http://b/metrics"]);
        assert_eq!(target.certificate, None, "that is the first one's");
        assert_eq!(target.processes[0].pid, 7);
    }
}

#[test]
fn a_comparison_that_cannot_be_made_is_refused() {
    for words in [
        "fanout --compare ws://b/ws",
        "reshard --compare bare",
        "fanout --compare bare --rounds 0",
        "fanout --compare bare --compare-certificate ff",
    ] {
        let arguments = measure(words);
        let order = arguments.order().unwrap();
        assert_eq!(
            arguments.comparison(&order).unwrap_err().exit_code(),
            2,
            "{words}"
        );
    }
}

#[test]
fn without_an_api_clients_publish_and_it_is_said_so() {
    let order = |words| order(words).map(|order| order.plan.load.publish_via);
    assert_eq!(order("fanout"), Ok(PublishVia::Api));
    assert_eq!(order("fanout --url ws://a/ws"), Ok(PublishVia::Client));
    assert_eq!(
        order("fanout --url ws://a/ws --api http://a"),
        Ok(PublishVia::Api)
    );
    assert!(order("fanout --url ws://a/ws --publish-via api").is_err());
}

#[test]
fn names_of_channels_are_the_same_again_but_where_an_earlier_run_may_have_left_some() {
    let prefix = |words: &str| order(words).unwrap().plan.prefix;
    assert_eq!(prefix("fanout"), "bench-");
    assert_eq!(prefix("fanout --compare stack:/other"), "bench-");
    for words in [
        "fanout --url ws://a/ws",
        "fanout --compare ws://b/ws --publish-via client",
    ] {
        assert_ne!(prefix(words), "bench-", "{words}");
        assert_ne!(prefix(words), prefix(words), "{words}");
        assert_eq!(prefix(&format!("{words} --prefix mine-")), "mine-");
    }
}

#[test]
fn a_load_that_makes_no_sense_is_refused_in_words() {
    for (words, why) in [
        ("fanout --rate=-1", "--rate must not be negative"),
        ("fanout --rate nan", "--rate must be a number"),
        ("fanout --connect-rate inf", "--connect-rate must be a number"),
        ("fanout --connect-rate 0", "--connect-rate must be more than 0"),
        ("fanout --size 10", "--size must be at least 61"),
        (
            "fanout -o members=3",
            "-o members: fanout has no options of its own",
        ),
        ("fanout --url ws://a --api https://a/api", "TLS is not spoken"),
    ] {
        let refused = order(words).unwrap_err().to_string();
        assert!(refused.contains(why), "{refused}");
    }
    assert!(order("publish --rate 0").is_ok());
}
