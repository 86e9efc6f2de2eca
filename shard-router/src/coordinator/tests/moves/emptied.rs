//! Shards that are emptied and stopped: who gives them up says that nothing is lost.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicU64;

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

use super::*;

/// Counts evictions, of all shards together.
#[derive(Default)]
struct Evictions(Arc<AtomicU64>);

impl Recorder for Evictions {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        match key.name() {
            "campanile_shard_evictions_total" => Counter::from_arc(Arc::clone(&self.0)),
            _ => Counter::noop(),
        }
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

/// Stops shard 1 and waits until it is given up.
async fn give_up_the_first(cluster: &Cluster, down: &parking_lot::Mutex<BTreeSet<ShardId>>) {
    cluster.server(1).stop();
    down.lock().insert(shard(1));
    let lost = until(cluster, "eviction", |topology| {
        topology.shards[&shard(1)].state == ShardState::Lost
    });
    lost.await;
    // What is counted is counted right after that.
    sleep(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn an_eviction_is_counted_where_something_is_lost() {
    for (emptied, expected) in [(true, 0), (false, 1)] {
        let evictions = Evictions::default();
        // The runtime of this test has one thread, so that this counts for every task.
        let _guard = metrics::set_default_local_recorder(&evictions);
        let cluster = Cluster::new(3);
        let _coordinator = keep(&cluster, "one", 3);
        let down = Arc::new(parking_lot::Mutex::new(BTreeSet::new()));
        let seen = Arc::clone(&down);
        let _gateway = Follower::with(&cluster, "witness", move |topology| GatewayReport {
            unreachable: seen.lock().clone(),
            ..GatewayReport::applied(topology.generation)
        });
        at_rest(&cluster).await;
        if emptied {
            request(&cluster, ShardRequest::Drain(shard(1))).await;
            let empty = until(&cluster, "emptying", |topology| {
                topology.shares()[&shard(1)] == 0 && is_at_rest(topology)
            });
            empty.await;
        }
        give_up_the_first(&cluster, &down).await;
        assert_eq!(
            evictions.0.load(Ordering::Relaxed),
            expected,
            "emptied: {emptied}"
        );
    }
}
