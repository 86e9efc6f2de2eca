use super::{Counters, Readings, Scraper, Sums};

const BEFORE: &str = "\
# HELP campanile_shard_requests_total operations
# TYPE campanile_shard_requests_total counter
campanile_shard_requests_total{shard=\"a\",operation=\"history\",outcome=\"ok\"} 10
campanile_shard_requests_total{shard=\"a\",operation=\"publish\",outcome=\"ok\"} 7

# TYPE campanile_connections gauge
campanile_connections{transport=\"websocket\"} 5

# TYPE campanile_api_call_seconds histogram
campanile_api_call_seconds_bucket{method=\"publish\",le=\"0.1\"} 3
campanile_api_call_seconds_count{method=\"publish\"} 3
";
const AFTER: &str = "\
# TYPE campanile_shard_requests_total counter
campanile_shard_requests_total{shard=\"a\",operation=\"history\",outcome=\"ok\"} 14
campanile_shard_requests_total{shard=\"b\",operation=\"history\",outcome=\"ok\"} 2
campanile_shard_requests_total{shard=\"a\",operation=\"publish\",outcome=\"ok\"} 7
# TYPE campanile_connections gauge
campanile_connections{transport=\"websocket\"} 500
# TYPE campanile_api_call_seconds histogram
campanile_api_call_seconds_bucket{method=\"publish\",le=\"0.1\"} 1
campanile_api_call_seconds_count{method=\"publish\"} 1
";

fn grown(name: &str, labels: &[(&str, &str)]) -> f64 {
    Counters::parse(AFTER).grown_since(&Counters::parse(BEFORE), name, labels)
}

#[test]
fn what_grew_is_told_by_sample_and_added_up_by_label() {
    let reads = |labels| grown("campanile_shard_requests_total", labels);
    assert_eq!(reads(&[("operation", "history")]), 6.0);
    assert_eq!(reads(&[("operation", "history"), ("shard", "b")]), 2.0);
    assert_eq!(reads(&[("operation", "publish")]), 0.0);
    assert_eq!(reads(&[]), 6.0);
    let (before, after) = (Counters::parse(BEFORE), Counters::parse(AFTER));
    // Those of history on both shards, and the two of the histogram.
    assert_eq!(after.growth_since(&before).count(), 4);
}

#[test]
fn gauges_are_no_counters() {
    assert_eq!(grown("campanile_connections", &[]), 0.0);
}

#[test]
fn a_counter_that_a_restart_has_reset_counts_from_zero() {
    assert_eq!(grown("campanile_api_call_seconds_count", &[]), 1.0);
}

fn moved(partitions: u32) -> Option<Counters> {
    let text = format!("# TYPE moved counter\nmoved {partitions}\n");
    Some(Counters::parse(&text))
}

#[test]
fn one_gateway_that_begins_anew_or_does_not_answer_leaves_the_others_as_they_are() {
    let before = Readings(vec![moved(1_000), moved(500)]);
    for (now, grown) in [
        ([moved(1_010), moved(3)], 13.0),
        ([moved(1_010), None], 10.0),
        ([None, moved(500)], 0.0),
    ] {
        let now = Readings(now.to_vec());
        assert_eq!(now.growth_since(&before).sum("moved", &[]), grown, "{now:?}");
    }
}

#[test]
fn sums_go_on_over_marks_at_which_a_gateway_did_not_answer() {
    let mut sums = Sums::default();
    for (mark, readings) in [
        ("setup", [moved(10), moved(20)]),
        ("measure", [moved(11), None]),
        ("settle", [moved(11), moved(25)]),
        // The second one begins anew.
        ("done", [moved(12), moved(1)]),
    ] {
        sums.add(mark.to_owned(), Readings(readings.to_vec()));
    }
    let marks: Vec<_> = sums
        .marks
        .iter()
        .map(|(mark, counters)| (mark.as_str(), counters.sum("moved", &[])))
        .collect();
    assert_eq!(marks, [("setup", 30.0), ("settle", 36.0), ("done", 38.0)]);
}

#[test]
fn a_histogram_has_buckets_of_all_labels_together() {
    let text = "# TYPE pause histogram\n\
        pause_bucket{shard=\"a\",le=\"0.01\"} 3\n\
        pause_bucket{shard=\"a\",le=\"0.5\"} 5\n\
        pause_bucket{shard=\"a\",le=\"+Inf\"} 6\n\
        pause_bucket{shard=\"b\",le=\"0.01\"} 1\n\
        pause_bucket{shard=\"b\",le=\"0.5\"} 1\n\
        pause_bucket{shard=\"b\",le=\"+Inf\"} 1\n\
        pause_count{shard=\"a\"} 6\n";
    let buckets = Counters::parse(text).buckets("pause");
    assert_eq!(buckets, [(0.01, 4.0), (0.5, 2.0), (f64::INFINITY, 1.0)]);
    assert!(Counters::parse(text).buckets("other").is_empty());
}

#[test]
fn counters_of_several_gateways_add_up() {
    let mut sum = Counters::parse(BEFORE);
    sum.merge(Counters::parse(BEFORE));
    let nothing = Counters::default();
    let history = [("operation", "history")];
    assert_eq!(
        sum.grown_since(&nothing, "campanile_shard_requests_total", &history),
        20.0
    );
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_told_with_its_address() {
    let mut scraper = Scraper::new(vec!["http://127.0.0.1:1/metrics".to_owned()]);
    scraper.mark("measure");
    let (read, missing) = scraper.finish().await;
    assert!(read.is_empty());
    assert_eq!(
        missing,
        ["metrics at measure: http://127.0.0.1:1/metrics cannot be read"]
    );
}
