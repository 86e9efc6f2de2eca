use super::{Comparison, Ratio, Side, Spread};
use crate::compare::Server;
use crate::execute::Order;
use crate::plan::{Load, Plan, PublishVia};
use crate::report::Report;
use crate::report::example::report;
use crate::scenario::{Better, Figure, Unit};
use crate::stack::StackOptions;
use crate::target::Target;
use crate::workers::CrewOptions;
use crate::{Promise, Violation};

fn with_figures(figures: &[(&str, f64)]) -> Report {
    let mut report = report(1.0);
    let figure = |(name, value): &(&str, f64)| Figure::new(*name, *value, Unit::Count, Better::Lower);
    report.figures = figures.iter().map(figure).collect();
    report
}

fn compared(rounds: Vec<[Report; 2]>) -> Comparison {
    Comparison::new(["a".to_owned(), "b".to_owned()], rounds)
}

#[test]
fn ratios_are_of_neighbours_and_the_median_is_of_ratios() {
    let rounds = [(10.0, 5.0), (12.0, 8.0), (40.0, 10.0)];
    let rounds = rounds.map(|(first, second)| {
        [
            with_figures(&[("cost", first)]),
            with_figures(&[("cost", second)]),
        ]
    });
    let comparison = compared(rounds.to_vec());
    let [ratio] = comparison.ratios.try_into().unwrap();
    let spread = Spread {
        lowest: 1.5,
        median: 2.0,
        highest: 4.0,
    };
    assert_eq!(ratio.spread, spread);
    assert_eq!(ratio.medians, [12.0, 8.0]);
    assert_eq!(ratio.says(), "B was better each time");
}

#[test]
fn of_an_even_number_the_median_is_between_the_middle_two() {
    let spread = Spread::of(vec![4.0, 1.0, 2.0, 9.0]).unwrap();
    assert_eq!((spread.lowest, spread.median, spread.highest), (1.0, 3.0, 9.0));
    assert_eq!(Spread::of(Vec::new()), None);
    assert_eq!(Spread::of(vec![1.0, f64::INFINITY]), None);
}

#[test]
fn a_figure_that_a_run_does_not_have_or_that_is_zero_has_no_ratio() {
    let left = with_figures(&[("both", 2.0), ("first only", 1.0), ("zero", 1.0)]);
    let right = with_figures(&[("both", 4.0), ("second only", 1.0), ("zero", 0.0)]);
    let ratios = compared(vec![[left, right]]).ratios;
    let named: Vec<_> = ratios
        .iter()
        .map(|ratio| (ratio.name.as_str(), ratio.spread.median))
        .collect();
    assert_eq!(named, [("both", 0.5)]);
}

#[test]
fn a_difference_is_told_only_where_all_rounds_agree() {
    let says = |better, lowest, highest| {
        let spread = Spread {
            lowest,
            median: f64::midpoint(lowest, highest),
            highest,
        };
        let ratio = Ratio {
            name: String::new(),
            unit: Unit::Count,
            better,
            medians: [1.0, 1.0],
            spread,
        };
        ratio.says()
    };
    assert_eq!(says(Better::Lower, 0.8, 1.1), "no clear difference");
    assert_eq!(says(Better::Lower, 0.8, 0.9), "A was better each time");
    assert_eq!(says(Better::Lower, 1.1, 1.2), "B was better each time");
    assert_eq!(says(Better::Higher, 1.1, 1.2), "A was better each time");
    assert_eq!(says(Better::Higher, 0.8, 0.9), "B was better each time");
    assert_eq!(says(Better::Neither, 0.8, 0.9), "differed each time");
}

#[test]
fn a_promise_that_one_run_broke_is_broken() {
    let mut broken = report(1.0);
    broken
        .outcome
        .recording
        .violation(Violation::new(Promise::NothingLost, "7"));
    assert!(compared(vec![[report(1.0), report(1.0)]]).held());
    assert!(!compared(vec![[report(1.0), report(1.0)], [report(1.0), broken]]).held());
}

#[test]
fn the_other_side_is_named_in_words() {
    let side = |text: &str| text.parse::<Side>();
    assert_eq!(side("bare").unwrap(), Side::Bare);
    assert_eq!(
        side("stack:/old/campanile").unwrap(),
        Side::Stack("/old/campanile".into())
    );
    assert!(
        matches!(side("ws://host:8000/ws").unwrap(), Side::Server(server) if server.url == "ws://host:8000/ws")
    );
    assert!(side("host").unwrap_err().to_string().starts_with("host: neither"));
}

#[test]
fn the_other_server_gets_no_publications_of_the_first_ones_api() {
    let first = Target {
        urls: vec!["ws://first/".to_owned()],
        apis: vec!["http://first/api".to_owned()],
        api_key: "key".to_owned(),
        metrics: vec!["http://first/metrics".to_owned()],
        ..Target::default()
    };
    let mut order = Order {
        plan: Plan {
            scenario: "fanout".to_owned(),
            load: Load::default(),
            seed: 1,
            prefix: String::new(),
        },
        target: Some(first),
        stack: StackOptions::default(),
        crew: CrewOptions::default(),
    };
    order.plan.load.publish_via = PublishVia::Api;
    let mut other = Server {
        url: "ws://second/".to_owned(),
        ..Server::default()
    };
    assert!(other.target(&order).is_err());
    other.api = Some("http://second/api".to_owned());
    let target = other.target(&order).unwrap();
    assert_eq!(target.urls, ["ws://second/"]);
    assert_eq!(target.apis, ["http://second/api"]);
    assert_eq!(target.api_key, "key");
    assert!(target.metrics.is_empty());
}
