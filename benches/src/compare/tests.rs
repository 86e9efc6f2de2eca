use super::{Comparison, Ratio, Side, Spread};
use crate::execute::Order;
use crate::plan::{Plan, PublishVia};
use crate::report::Report;
use crate::report::example::report;
use crate::scenario::{self, Better, Figure, Scenario, Unit};
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
    assert_eq!(side("bare").unwrap(), Side::Bare(1));
    assert_eq!(side("bare:32").unwrap(), Side::Bare(32));
    assert_eq!(
        side("stack:/old/campanile").unwrap(),
        Side::Stack("/old/campanile".into())
    );
    let server = side("ws://user:password@host:8000/ws").unwrap();
    assert_eq!(server.name(), "ws://***@host:8000/ws");
    for text in ["host", "bare:0", "bare:many"] {
        let refused = side(text).unwrap_err().to_string();
        assert!(refused.starts_with(&format!("{text}: neither")), "{refused}");
    }
}

/// An order of this scenario with its defaults, on a local stack.
fn order(scenario: &dyn Scenario) -> Order {
    Order {
        plan: Plan {
            scenario: scenario.name().to_owned(),
            load: scenario.defaults(),
            seed: 1,
            prefix: String::new(),
        },
        target: None,
        stack: StackOptions::default(),
        crew: CrewOptions::default(),
    }
}

#[test]
fn what_the_bare_loop_cannot_do_is_refused_before_anything_is_measured() {
    for scenario in scenario::ALL {
        let fits = ["fanout", "rooms", "private", "connect", "idle", "churn"].contains(&scenario.name());
        let checked = Side::Bare(1).check(*scenario, &order(*scenario));
        assert_eq!(checked.is_ok(), fits, "{}", scenario.name());
    }
    let scenario = scenario::find("publish").unwrap();
    let mut without_streams = order(scenario);
    without_streams.plan.load.stream = false;
    assert_eq!(Side::Bare(1).check(scenario, &without_streams), Ok(()));
}

#[test]
fn the_other_server_gets_no_publications_of_the_first_ones_api() {
    let scenario = scenario::find("fanout").unwrap();
    let mut order = order(scenario);
    let mut other = Target {
        urls: vec!["ws://second/".to_owned()],
        ..Target::default()
    };
    let check = |other: &Target, order: &Order| Side::Server(Box::new(other.clone())).check(scenario, order);
    assert!(check(&other, &order).is_err());
    other.apis = vec!["http://second/api".to_owned()];
    assert_eq!(check(&other, &order), Ok(()));
    other.apis.clear();
    order.plan.load.publish_via = PublishVia::Client;
    assert_eq!(check(&other, &order), Ok(()));
}
