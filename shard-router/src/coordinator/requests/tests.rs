//! Requests over a store and servers that can be out of reach, and beside others who change the topology.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::memory::{MemoryServer, MemoryShard};
use crate::partition::Partition;
use crate::shard::{Shard, ShardEvents, ShardOptions};
use crate::store::MemoryStore;
use crate::testing::{Deaf, InterceptedStore, Verdict};
use crate::topology::{DeploymentId, Incarnation, PartitionState, ShardState, ShardUrl};

/// Ways to the servers of these names.
struct Ways(BTreeMap<ShardId, Arc<MemoryServer>>);

impl ShardSource for Ways {
    fn shard(&self, id: &ShardId, _: &ShardUrl) -> Result<Arc<dyn Shard>, String> {
        let server = self.0.get(id).ok_or("no such server")?;
        let events: Arc<dyn ShardEvents> = Arc::new(Deaf);
        let options = ShardOptions::default();
        Ok(Arc::new(MemoryShard::open(
            id.clone(),
            Arc::clone(server),
            &events,
            options,
        )))
    }

    fn open_apart(&self, id: &ShardId, url: &ShardUrl) -> Result<Arc<dyn Shard>, String> {
        self.shard(id, url)
    }
}

struct World {
    store: Arc<MemoryStore>,
    ways: Arc<Ways>,
    requests: ShardRequests,
}

fn id(number: usize) -> ShardId {
    ShardId::new(&format!("s{number}"))
}

fn wanted() -> WantedShard {
    WantedShard {
        url: ShardUrl::new(ShardUrl::MEMORY),
        address: String::new(),
        weight: 1,
        durable: false,
    }
}

fn add(number: usize) -> ShardRequest {
    ShardRequest::Add {
        id: id(number),
        shard: wanted(),
    }
}

impl World {
    /// Shards 1 and 2 share everything; servers 3 and 4 stand by.
    async fn new() -> Self {
        let server = |number| (id(number), Arc::new(MemoryServer::new(1 << 20)));
        let servers: BTreeMap<ShardId, Arc<MemoryServer>> = (1..=4).map(server).collect();
        let entry = |number| ShardEntry {
            incarnation: Some(servers[&id(number)].run()),
            admitted: Generation(4),
            ..wanted().entry()
        };
        let shards = (1..=2).map(|number| (id(number), entry(number))).collect();
        let owner = |at: Partition| PartitionState::Stable(id(1 + at.index() % 2));
        let change = Change {
            generation: Generation(5),
            id: 77,
        };
        let topology = Topology::new(change, shards, Partition::all().map(owner).collect());
        let store = Arc::new(MemoryStore::new());
        assert!(store.compare_and_set(None, &topology).await.unwrap());
        let ways = Arc::new(Ways(servers));
        Self {
            requests: ShardRequests::new(store.clone(), ways.clone()),
            store,
            ways,
        }
    }

    async fn topology(&self) -> Topology {
        self.store.read().await.unwrap().unwrap()
    }

    /// Requests through a store before each of whose first `times` writes somebody else changes the topology.
    fn contended(&self, times: usize) -> ShardRequests {
        let (store, left) = (self.store.clone(), AtomicUsize::new(2 * times));
        let judge = move || {
            // Reads and writes take turns; whoever reads is overtaken before the write.
            let turn = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
            if turn.is_ok_and(|left| left % 2 == 1) {
                raise(&store);
            }
            Verdict::Pass
        };
        let store = InterceptedStore::new(self.store.clone(), Arc::new(judge));
        ShardRequests::new(Arc::new(store), self.ways.clone())
    }
}

/// Changes nothing but the generation.
fn raise(store: &MemoryStore) {
    use futures_util::FutureExt as _;
    let now = |answer: Option<_>| answer.expect("a memory store answers at once");
    let present: Topology = now(store.read().now_or_never()).unwrap().unwrap();
    let raised = present.raised(next_change(&present)).unwrap();
    let written = store.compare_and_set(Some(&present), &raised).now_or_never();
    assert!(written.unwrap().unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_plan_changes_nothing_and_a_request_carries_the_same_out() {
    let world = World::new().await;
    let planned = world.requests.plan(Some(&add(3))).await.unwrap();
    assert_eq!(planned.generation, Generation(5));
    assert_eq!(world.topology().await.generation, Generation(5));
    let done = world.requests.submit(&add(3)).await.unwrap();
    assert_eq!(
        (done.generation, &done.summary),
        (Generation(6), &planned.summary)
    );
    let topology = world.topology().await;
    assert_eq!(topology.generation, Generation(6));
    assert_eq!(topology.plan.len(), planned.summary.total());
    assert!(topology.plan.len() > 1200 && topology.shards.contains_key(&id(3)));
    let left = world.requests.plan(None).await.unwrap();
    assert_eq!(left.summary, planned.summary);
    assert_eq!(left.generation, Generation(6));
}

#[tokio::test(start_paused = true)]
async fn a_plan_says_about_how_much_it_moves_as_far_as_shards_say_it() {
    let world = World::new().await;
    let planned = world.requests.plan(Some(&add(3))).await.unwrap();
    assert!(planned.bytes_of(&id(1), 2).is_some() && planned.bytes_of(&id(2), 2).is_some());
    world.ways.0[&id(2)].stop();
    let planned = world.requests.plan(Some(&add(3))).await.unwrap();
    assert_eq!(planned.bytes_of(&id(2), 2), None);
}

#[tokio::test(start_paused = true)]
async fn what_the_topology_refuses_is_refused_with_its_words() {
    let world = World::new().await;
    let refusal = world.requests.submit(&add(1)).await.unwrap_err();
    assert!(refusal.is_refusal());
    assert_eq!(
        refusal.to_string(),
        "there is a shard s1 already; choose another name"
    );
    assert_eq!(world.topology().await.generation, Generation(5));
}

#[tokio::test(start_paused = true)]
async fn a_server_is_looked_at_before_it_is_added() {
    let world = World::new().await;
    let refused = async |request: ShardRequest| {
        let error = world.requests.submit(&request).await.unwrap_err();
        assert!(error.is_refusal(), "{error}");
        let SubmitError::Unfit(unfit) = error else {
            panic!("{error}");
        };
        unfit
    };
    assert!(matches!(refused(add(9)).await, Unfit::NoWay(..)));
    world.ways.0[&id(3)].stop();
    assert!(matches!(refused(add(3)).await, Unfit::Unreachable(..)));

    let foreign = world.ways.shard(&id(4), &ShardUrl::default()).unwrap();
    let run = world.ways.0[&id(4)].run();
    foreign
        .note_admitted(&run, Generation(3), DeploymentId(8))
        .await
        .unwrap();
    assert!(matches!(
        refused(add(4)).await,
        Unfit::Foreign(_, DeploymentId(8))
    ));
    foreign
        .note_admitted(&run, Generation(3), DeploymentId(77))
        .await
        .unwrap();
    world.requests.submit(&add(4)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_server_is_not_two_shards() {
    let mut world = World::new().await;
    let mut ways = world.ways.0.clone();
    ways.insert(id(3), Arc::clone(&ways[&id(1)]));
    world.requests = ShardRequests::new(world.store.clone(), Arc::new(Ways(ways)));
    let error = world.requests.submit(&add(3)).await.unwrap_err();
    assert!(
        matches!(error, SubmitError::Unfit(Unfit::SameServer(..))),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_others_change_meanwhile_is_looked_at_again() {
    let world = World::new().await;
    let done = world.contended(3).submit(&add(3)).await.unwrap();
    assert_eq!(done.generation, Generation(5 + 3 + 1));
    assert!(world.topology().await.shards.contains_key(&id(3)));
    let contended = world
        .contended(ATTEMPTS)
        .submit(&ShardRequest::Weight(id(1), 2))
        .await;
    assert!(matches!(
        contended,
        Err(SubmitError::Refused(RequestError::UnderWay(_)))
    ));
}

#[tokio::test(start_paused = true)]
async fn one_who_is_always_overtaken_gives_up() {
    let world = World::new().await;
    let error = world.contended(ATTEMPTS).submit(&add(3)).await.unwrap_err();
    assert!(matches!(error, SubmitError::Contended) && !error.is_refusal());
    assert!(!world.topology().await.shards.contains_key(&id(3)));
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_was_seen_is_carried_out_or_none() {
    let world = World::new().await;
    let seen = world.requests.plan(Some(&add(3))).await.unwrap();
    raise(&world.store);
    let late = world.requests.submit_planned(&add(3), seen.generation).await;
    assert!(matches!(late, Err(SubmitError::Outdated)), "{late:?}");
    let seen = world.requests.plan(Some(&add(3))).await.unwrap();
    // Somebody comes between the reading of the document and the writing.
    let overtaken = world.contended(1).submit_planned(&add(3), seen.generation).await;
    assert!(matches!(overtaken, Err(SubmitError::Outdated)), "{overtaken:?}");
    assert!(!world.topology().await.shards.contains_key(&id(3)));

    let seen = world.requests.plan(Some(&add(3))).await.unwrap();
    let done = world
        .requests
        .submit_planned(&add(3), seen.generation)
        .await
        .unwrap();
    assert_eq!(
        (done.generation, &done.summary),
        (seen.generation.next(), &seen.summary)
    );
    assert!(world.topology().await.shards.contains_key(&id(3)));
}

#[tokio::test(start_paused = true)]
async fn a_list_is_noted_once_and_given_up_for_a_request() {
    let world = World::new().await;
    let list = BTreeMap::from([(id(1), wanted()), (id(2), wanted()), (id(3), wanted())]);
    assert!(world.requests.propose_list(&list).await.unwrap());
    assert!(!world.requests.propose_list(&list).await.unwrap());
    let topology = world.topology().await;
    assert_eq!(
        (topology.generation, topology.wanted.as_ref()),
        (Generation(6), Some(&list))
    );
    assert!(topology.plan.is_empty() && !topology.shards.contains_key(&id(3)));
    world
        .requests
        .submit(&ShardRequest::Weight(id(1), 2))
        .await
        .unwrap();
    assert_eq!(world.topology().await.wanted, None);
    let nobody = world.requests.propose_list(&BTreeMap::new()).await.unwrap_err();
    assert!(nobody.is_refusal());
}

#[tokio::test(start_paused = true)]
async fn without_a_topology_there_is_nothing_to_change() {
    let store: Arc<MemoryStore> = Arc::default();
    let requests = ShardRequests::new(store, Arc::new(Ways(BTreeMap::new())));
    let error = requests.submit(&add(1)).await.unwrap_err();
    assert!(matches!(error, SubmitError::NoTopology) && !error.is_refusal());
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_moves_to_another_address_must_be_the_same() {
    let world = World::new().await;
    let update = ShardRequest::Update {
        id: id(1),
        shard: WantedShard {
            url: ShardUrl::new("memory:elsewhere"),
            ..wanted()
        },
    };
    world.requests.submit(&update).await.unwrap();
    let topology = world.topology().await;
    assert_eq!(topology.shards[&id(1)].url, ShardUrl::new("memory:elsewhere"));
    assert_eq!(topology.shards[&id(1)].state, ShardState::Active);
    let mut another = topology.clone();
    another.generation = topology.generation.next();
    let entry = another.shards.get_mut(&id(1)).unwrap();
    entry.incarnation = Some(Incarnation::new("before"));
    entry.url = ShardUrl::default();
    assert!(
        world
            .store
            .compare_and_set(Some(&topology), &another)
            .await
            .unwrap()
    );
    let error = world.requests.submit(&update).await.unwrap_err();
    assert!(
        matches!(error, SubmitError::Unfit(Unfit::AnotherServer(_))),
        "{error}"
    );
}
