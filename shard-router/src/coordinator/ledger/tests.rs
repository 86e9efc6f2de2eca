//! What others have changed is looked at again before anything is written.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::store::MemoryStore;
use crate::testing::{InterceptedStore, Verdict};
use crate::topology::{OpeningContent, ShardId, ShardUrl, WantedShard};

fn raise(topology: &Topology, change: Change) -> Result<Topology, TransitionError> {
    topology.raised(change)
}

/// A document in which nothing but the marks matters.
fn document(generation: u64, id: u64) -> Topology {
    let shard = ShardId::new("only");
    let configured = WantedShard {
        url: ShardUrl::new(ShardUrl::MEMORY),
        address: String::new(),
        weight: 1,
        durable: false,
    };
    let placement = vec![(shard.clone(), OpeningContent::Fresh); 4096];
    let change = Change {
        generation: Generation(generation),
        id,
    };
    Topology::bootstrap(change, BTreeMap::from([(shard, configured.entry())]), placement).unwrap()
}

async fn generation(store: &MemoryStore) -> Generation {
    store.read().await.unwrap().unwrap().generation
}

#[tokio::test]
async fn a_decision_is_written_above_all_that_was_seen() {
    let store = Arc::new(MemoryStore::new());
    let ledger = Ledger::new(store.clone());
    assert!(matches!(ledger.refresh().await.unwrap().content, Content::Empty));
    ledger.found(document(5, 5)).await.unwrap();
    let page = ledger.pages().borrow().clone();
    ledger.commit(&page, Generation(1), raise).await.unwrap();
    assert_eq!(generation(&store).await, Generation(6));
    // Its own changes do not make a decision stale.
    ledger.commit(&page, Generation(30), raise).await.unwrap();
    assert_eq!(generation(&store).await, Generation(30));
    assert_eq!(ledger.refresh().await.unwrap().foreign, page.foreign);
}

#[tokio::test]
async fn a_decision_on_what_others_have_changed_since_is_not_written() {
    let store = Arc::new(MemoryStore::new());
    let first = document(5, 5);
    assert!(store.compare_and_set(None, &first).await.unwrap());
    let ledger = Ledger::new(store.clone());
    let page = ledger.refresh().await.unwrap();
    let second = document(6, 6);
    assert!(store.compare_and_set(Some(&first), &second).await.unwrap());
    // Once because the store says so, and from then on because the ledger knows.
    for _ in 0..2 {
        let lost = ledger.commit(&page, Generation(1), raise).await;
        assert!(matches!(lost, Err(CommitError::Lost)));
        assert_eq!(store.read().await.unwrap().as_ref(), Some(&second));
    }
    let page = ledger.refresh().await.unwrap();
    ledger.commit(&page, Generation(1), raise).await.unwrap();
    assert_eq!(generation(&store).await, Generation(7));
}

#[tokio::test]
async fn after_a_write_without_an_answer_nothing_is_known_until_read() {
    let store = Arc::new(MemoryStore::new());
    let cut = Arc::new(AtomicBool::new(false));
    let judge = {
        let cut = Arc::clone(&cut);
        Arc::new(move || {
            if cut.load(Ordering::Relaxed) {
                Verdict::Fail
            } else {
                Verdict::Pass
            }
        })
    };
    let ledger = Ledger::new(Arc::new(InterceptedStore::new(store.clone(), judge)));
    ledger.refresh().await.unwrap();
    ledger.found(document(5, 5)).await.unwrap();
    let page = ledger.pages().borrow().clone();
    cut.store(true, Ordering::Relaxed);
    assert!(matches!(
        ledger.commit(&page, Generation(1), raise).await,
        Err(CommitError::Store(_))
    ));
    cut.store(false, Ordering::Relaxed);
    assert!(matches!(
        ledger.commit(&page, Generation(1), raise).await,
        Err(CommitError::Lost)
    ));
    let read = ledger.refresh().await.unwrap();
    assert!(read.foreign > page.foreign);
    assert!(matches!(
        ledger.commit(&page, Generation(1), raise).await,
        Err(CommitError::Lost)
    ));
    ledger.commit(&read, Generation(1), raise).await.unwrap();
    assert_eq!(generation(&store).await, Generation(6));
}

#[tokio::test]
async fn what_no_gateway_could_read_is_not_written() {
    let store = Arc::new(MemoryStore::new());
    let ledger = Ledger::new(store.clone());
    ledger.refresh().await.unwrap();
    ledger.found(document(5, 5)).await.unwrap();
    let page = ledger.pages().borrow().clone();
    let lose_the_shard = |topology: &Topology, change: Change| {
        let mut next = topology.raised(change)?;
        next.shards.clear();
        Ok(next)
    };
    let refused = ledger.commit(&page, Generation(1), lose_the_shard).await;
    assert!(matches!(refused, Err(CommitError::Invalid(_))), "{refused:?}");
    assert_eq!(generation(&store).await, Generation(5));
}
