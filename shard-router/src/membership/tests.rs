//! Registering before reading, going on without the store, and joining anew, on paused time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::*;
use crate::store::{MemoryStore, REGISTRATION_TTL};
use crate::testing::{InterceptedStore, Verdict};
use crate::topology::{Change, OpeningContent, ShardEntry, ShardId, ShardState, ShardUrl};

/// A store that can be cut off.
struct Flaky {
    store: Arc<MemoryStore>,
    cut: Arc<AtomicBool>,
}

impl Flaky {
    fn new() -> Self {
        Self {
            store: Arc::new(MemoryStore::new()),
            cut: Arc::default(),
        }
    }

    fn cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::Relaxed);
    }

    fn join(&self) -> Membership {
        let cut = Arc::clone(&self.cut);
        let verdict = move || {
            if cut.load(Ordering::Relaxed) {
                Verdict::Fail
            } else {
                Verdict::Pass
            }
        };
        Membership::join(
            Arc::new(InterceptedStore::new(self.store.clone(), Arc::new(verdict))),
            me(),
        )
    }
}

fn me() -> GatewayId {
    GatewayId("me".into())
}

fn document(generation: u64) -> Topology {
    let shard = ShardId::new("only");
    let entry = ShardEntry {
        url: ShardUrl::default(),
        address: String::new(),
        weight: 1,
        durable: false,
        state: ShardState::Active,
        incarnation: None,
        admitted: Generation(0),
    };
    let change = Change {
        generation: Generation(generation),
        id: rand::random(),
    };
    let placement = vec![(shard.clone(), OpeningContent::Fresh); 4096];
    Topology::bootstrap(change, BTreeMap::from([(shard, entry)]), placement).unwrap()
}

async fn put(store: &Flaky, topology: &Topology) {
    let present = store.store.read().await.unwrap();
    assert!(
        store
            .store
            .compare_and_set(present.as_ref(), topology)
            .await
            .unwrap()
    );
}

/// The view once it satisfies `wanted`.
async fn view(membership: &Membership, wanted: impl FnMut(&View) -> bool) -> View {
    let mut views = membership.views();
    let found = timeout(Duration::from_secs(60), views.wait_for(wanted)).await;
    found.expect("within a minute").expect("still a member").clone()
}

fn generation(view: &View) -> u64 {
    view.topology.as_ref().map_or(0, |topology| topology.generation.0)
}

async fn registered(store: &Flaky) -> Vec<(GatewayId, Generation)> {
    let live = store.store.gateways().await.unwrap().into_iter();
    live.map(|(id, report)| (id, report.applied)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_gateway_is_registered_by_the_time_it_sees_a_topology() {
    let store = Flaky::new();
    put(&store, &document(5)).await;
    let membership = store.join();
    let seen = view(&membership, |view| view.topology.is_some()).await;
    assert_eq!((seen.joined, generation(&seen)), (1, 5));
    assert_eq!(registered(&store).await, vec![(me(), Generation(0))]);

    membership.applied(1, Generation(5));
    sleep(Duration::from_millis(1)).await;
    assert_eq!(registered(&store).await, vec![(me(), Generation(5))]);
    sleep(3 * REGISTRATION_TTL).await;
    assert_eq!(registered(&store).await, vec![(me(), Generation(5))]);

    membership.leave().await;
    assert_eq!(registered(&store).await, vec![]);
}

#[tokio::test(start_paused = true)]
async fn what_a_gateway_reports_is_told_soon_but_not_too_often() {
    let told = async |store: &Flaky| store.store.gateways().await.unwrap().remove(0).1;
    let store = Flaky::new();
    put(&store, &document(5)).await;
    let membership = store.join();
    view(&membership, |view| view.topology.is_some()).await;
    membership.applied(1, Generation(5));
    sleep(Duration::from_millis(1)).await;
    let lost = BTreeSet::from([ShardId::new("s1")]);
    membership.report(Some("waits".to_owned()), lost.clone());
    sleep(Duration::from_millis(1)).await;
    assert_eq!(
        told(&store).await,
        GatewayReport::applied(Generation(5)),
        "not so soon again"
    );
    // What changes while it waits is told with it.
    membership.report(Some("waits for s1".to_owned()), lost.clone());
    sleep(Duration::from_millis(250)).await;
    let full = GatewayReport {
        applied: Generation(5),
        obstacle: Some("waits for s1".to_owned()),
        unreachable: lost,
    };
    assert_eq!(told(&store).await, full);
    // An acknowledgement waits for nothing, and is told with the rest.
    membership.applied(1, Generation(6));
    sleep(Duration::from_millis(1)).await;
    let acknowledged = GatewayReport {
        applied: Generation(6),
        ..full
    };
    assert_eq!(told(&store).await, acknowledged);
    membership.report(None, BTreeSet::new());
    sleep(Duration::from_millis(250)).await;
    assert_eq!(told(&store).await, GatewayReport::applied(Generation(6)));
}

#[tokio::test(start_paused = true)]
async fn topologies_are_followed_from_an_empty_store_on() {
    let store = Flaky::new();
    let membership = store.join();
    let seen = view(&membership, |view| view.joined == 1).await;
    assert_eq!(seen.topology, None);
    for generation in [1, 2, 9] {
        put(&store, &document(generation)).await;
        view(&membership, |view| self::generation(view) == generation).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_for_a_while_changes_nothing() {
    let store = Flaky::new();
    put(&store, &document(5)).await;
    let membership = store.join();
    let before = view(&membership, |view| view.topology.is_some()).await;
    store.cut(true);
    sleep(REGISTRATION_TTL * 7 / 10).await;
    assert_eq!(*membership.views().borrow(), before);
    store.cut(false);
    sleep(Duration::from_secs(5)).await;
    assert_eq!(*membership.views().borrow(), before);
    assert_eq!(registered(&store).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_expired_gateway_joins_anew_as_one_that_has_applied_nothing() {
    let store = Flaky::new();
    put(&store, &document(5)).await;
    let membership = store.join();
    view(&membership, |view| view.topology.is_some()).await;
    membership.applied(1, Generation(5));
    store.cut(true);
    sleep(2 * REGISTRATION_TTL).await;
    assert_eq!(registered(&store).await, vec![]);
    assert_eq!(membership.views().borrow().joined, 1);
    put(&store, &document(6)).await;
    store.cut(false);
    let after = view(&membership, |view| view.joined == 2).await;
    assert_eq!(generation(&after), 6);
    assert_eq!(registered(&store).await, vec![(me(), Generation(0))]);
    // What is said of the former membership is not taken for this one.
    membership.applied(1, Generation(5));
    sleep(REGISTRATION_TTL).await;
    assert_eq!(registered(&store).await, vec![(me(), Generation(0))]);
    membership.applied(2, Generation(6));
    sleep(Duration::from_millis(1)).await;
    assert_eq!(registered(&store).await, vec![(me(), Generation(6))]);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_has_gone_back_is_raised_and_no_gateway_goes_back() {
    let store = Flaky::new();
    put(&store, &document(20)).await;
    let membership = store.join();
    view(&membership, |view| generation(view) == 20).await;
    let mut older = document(13);
    older
        .shards
        .values_mut()
        .for_each(|entry| entry.address = "elsewhere".to_owned());
    put(&store, &older).await;
    let after = view(&membership, |view| generation(view) != 20).await;
    let topology = after.topology.unwrap();
    assert_eq!(topology.generation, Generation(21));
    assert_eq!(topology.shards, older.shards);
    assert_eq!(store.store.read().await.unwrap().as_ref(), Some(&*topology));
}

#[tokio::test(start_paused = true)]
async fn an_unreachable_store_is_said_and_waited_for() {
    let store = Flaky::new();
    store.cut(true);
    let membership = store.join();
    sleep(Duration::from_secs(3)).await;
    assert_eq!(membership.views().borrow().joined, 0);
    assert_eq!(
        membership.status(),
        Err("the topology store cannot be reached: cut".to_owned())
    );
    store.cut(false);
    view(&membership, |view| view.joined == 1).await;
    assert_eq!(membership.status(), Ok(()));
}
