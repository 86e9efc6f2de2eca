//! What every topology store must do, checked on each of them, and what only the one in Redis can suffer.

#![allow(clippy::unwrap_used)]

#[path = "support/redis_server.rs"]
#[allow(dead_code, unreachable_pub)]
mod redis_server;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use campanile_shard_router::store::{
    GatewayId, GatewayReport, MemoryStore, RedisStore, RedisStoreConfig, StoreError, TopologyStore,
};
use campanile_shard_router::topology::{
    Change, Generation, OpeningContent, ShardEntry, ShardId, ShardState, ShardUrl, Topology,
};
use redis_server::RedisServer;
use tokio::time::{Instant, sleep, timeout};

/// Registrations in these tests last this long.
const TTL: Duration = Duration::from_secs(4);

/// What should happen soon happens within this.
const SOON: Duration = Duration::from_secs(15);

/// Two gateways' ways to one empty store.
struct Stores {
    one: Arc<dyn TopologyStore>,
    two: Arc<dyn TopologyStore>,
    /// Keeps the server running.
    _server: Option<RedisServer>,
}

fn memory() -> Stores {
    let store = Arc::new(MemoryStore::with_registration_ttl(TTL));
    Stores {
        one: store.clone(),
        two: store,
        _server: None,
    }
}

fn redis() -> Stores {
    let server = RedisServer::start();
    let open = || Arc::new(open(&server));
    Stores {
        one: open(),
        two: open(),
        _server: Some(server),
    }
}

fn open(server: &RedisServer) -> RedisStore {
    let mut config = RedisStoreConfig::new(&server.url());
    config.prefix = "{test}:campanile".to_owned();
    config.registration_ttl = TTL;
    config.command_timeout = Duration::from_secs(5);
    RedisStore::open(config).unwrap()
}

fn gateway(name: &str) -> GatewayId {
    GatewayId(name.into())
}

/// Enters or refreshes a gateway that has applied `generation`; whether that was possible.
async fn registers(
    store: &Arc<dyn TopologyStore>,
    gateway: &GatewayId,
    generation: u64,
    must_exist: bool,
) -> bool {
    let report = GatewayReport::applied(Generation(generation));
    store.register(gateway, &report, must_exist).await.unwrap()
}

fn document(generation: u64, change_id: u64) -> Topology {
    let shard = ShardId::new("only");
    let entry = ShardEntry {
        url: ShardUrl::default(),
        address: "127.0.0.1:1".to_owned(),
        weight: 1,
        durable: false,
        state: ShardState::Active,
        incarnation: None,
        admitted: Generation(0),
    };
    let change = Change {
        generation: Generation(generation),
        id: change_id,
    };
    let placement = vec![(shard.clone(), OpeningContent::Fresh); 4096];
    Topology::bootstrap(change, BTreeMap::from([(shard, entry)]), placement).unwrap()
}

/// Tries until it holds; fails when it does not hold soon.
async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !holds().await {
        assert!(Instant::now() < deadline, "not soon: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

macro_rules! conformance {
    ($($name:ident),* $(,)?) => {
        mod memory_store {
            $(#[tokio::test] async fn $name() { super::$name(super::memory()).await; })*
        }
        mod redis_store {
            $(#[tokio::test] async fn $name() { super::$name(super::redis()).await; })*
        }
    };
}

conformance![
    a_document_is_read_as_it_was_written,
    only_the_expected_document_is_replaced,
    an_empty_store_is_filled_once,
    of_many_who_compare_and_set_one_succeeds,
    a_change_wakes_every_gateway,
    a_registration_lasts_as_long_as_it_is_refreshed,
    an_expired_registration_is_not_refreshed,
    deregistering_takes_effect_at_once,
    the_lease_has_one_holder_until_it_expires_or_is_released,
    tokens_grow,
    messages_reach_whom_they_are_for,
];

async fn a_document_is_read_as_it_was_written(stores: Stores) {
    assert_eq!(stores.one.read().await.unwrap(), None);
    let document = document(3, u64::MAX);
    assert!(stores.one.compare_and_set(None, &document).await.unwrap());
    assert_eq!(stores.two.read().await.unwrap(), Some(document));
    assert_eq!(stores.two.status(), Ok(()));
}

async fn only_the_expected_document_is_replaced(stores: Stores) {
    let first = document(1, 10);
    let second = document(2, 20);
    assert!(stores.one.compare_and_set(None, &first).await.unwrap());
    let another_change = Topology {
        change_id: 11,
        ..first.clone()
    };
    let another_generation = Topology {
        generation: Generation(2),
        ..first.clone()
    };
    for unexpected in [None, Some(&another_change), Some(&another_generation)] {
        assert!(!stores.two.compare_and_set(unexpected, &second).await.unwrap());
    }
    assert!(stores.two.compare_and_set(Some(&first), &second).await.unwrap());
    assert!(!stores.two.compare_and_set(Some(&first), &second).await.unwrap());
    assert_eq!(stores.one.read().await.unwrap(), Some(second));
}

async fn an_empty_store_is_filled_once(stores: Stores) {
    assert!(
        !stores
            .one
            .compare_and_set(Some(&document(1, 1)), &document(2, 2))
            .await
            .unwrap()
    );
    assert!(stores.one.compare_and_set(None, &document(1, 1)).await.unwrap());
    assert!(!stores.two.compare_and_set(None, &document(1, 2)).await.unwrap());
}

async fn of_many_who_compare_and_set_one_succeeds(stores: Stores) {
    let base = document(1, 1);
    assert!(stores.one.compare_and_set(None, &base).await.unwrap());
    let attempts = (2..12_u64).map(|id| {
        let store = Arc::clone(if id % 2 == 0 { &stores.one } else { &stores.two });
        let base = base.clone();
        tokio::spawn(async move {
            store
                .compare_and_set(Some(&base), &document(2, id))
                .await
                .unwrap()
        })
    });
    let attempts: Vec<_> = attempts.collect();
    let mut won = 0;
    for attempt in attempts {
        won += u32::from(attempt.await.unwrap());
    }
    assert_eq!(won, 1);
}

async fn a_change_wakes_every_gateway(stores: Stores) {
    let mut wakes = [stores.one.changes(), stores.two.changes()];
    let first = document(1, 1);
    assert!(stores.one.compare_and_set(None, &first).await.unwrap());
    for wakes in &mut wakes {
        timeout(SOON, wakes.changed()).await.unwrap().unwrap();
    }
}

async fn a_registration_lasts_as_long_as_it_is_refreshed(stores: Stores) {
    let (a, b) = (gateway("a"), gateway("b"));
    assert!(registers(&stores.one, &a, 0, false).await);
    let report = GatewayReport {
        applied: Generation(4),
        obstacle: Some("waits for \"x\"".to_owned()),
        unreachable: [ShardId::new("only")].into(),
    };
    assert!(stores.two.register(&b, &report, false).await.unwrap());
    let both = vec![(a.clone(), GatewayReport::default()), (b.clone(), report)];
    let mut found = stores.one.gateways().await.unwrap();
    found.sort_by_key(|(id, _)| id.clone());
    assert_eq!(found, both);
    let end = Instant::now() + 3 * TTL;
    while Instant::now() < end {
        sleep(TTL / 10).await;
        assert!(registers(&stores.one, &a, 7, true).await);
    }
    assert_eq!(
        stores.two.gateways().await.unwrap(),
        vec![(a, GatewayReport::applied(Generation(7)))]
    );
}

async fn an_expired_registration_is_not_refreshed(stores: Stores) {
    let a = gateway("a");
    assert!(!registers(&stores.one, &a, 1, true).await);
    assert!(registers(&stores.one, &a, 1, false).await);
    eventually("the registration expires", async || {
        stores.two.gateways().await.unwrap().is_empty()
    })
    .await;
    assert!(!registers(&stores.one, &a, 1, true).await);
    assert!(registers(&stores.one, &a, 0, false).await);
    assert_eq!(
        stores.two.gateways().await.unwrap(),
        vec![(a, GatewayReport::applied(Generation(0)))]
    );
}

async fn deregistering_takes_effect_at_once(stores: Stores) {
    let a = gateway("a");
    assert!(registers(&stores.one, &a, 1, false).await);
    stores.one.deregister(&a).await.unwrap();
    assert_eq!(stores.two.gateways().await.unwrap(), vec![]);
    assert!(!registers(&stores.one, &a, 1, true).await);
}

async fn the_lease_has_one_holder_until_it_expires_or_is_released(stores: Stores) {
    let (a, b) = (gateway("a"), gateway("b"));
    assert!(stores.one.hold_lease(&a).await.unwrap());
    assert!(stores.one.hold_lease(&a).await.unwrap());
    assert!(!stores.two.hold_lease(&b).await.unwrap());
    stores.two.release_lease(&b).await.unwrap();
    assert!(!stores.two.hold_lease(&b).await.unwrap());
    stores.one.release_lease(&a).await.unwrap();
    assert!(stores.two.hold_lease(&b).await.unwrap());
    let taken = Instant::now();
    eventually("the lease expires", async || {
        stores.one.hold_lease(&a).await.unwrap()
    })
    .await;
    assert!(taken.elapsed() >= TTL / 2);
    assert!(!stores.two.hold_lease(&b).await.unwrap());
}

async fn tokens_grow(stores: Stores) {
    let mut last = stores.one.next_token().await.unwrap();
    for _ in 0..5 {
        for store in [&stores.one, &stores.two] {
            let token = store.next_token().await.unwrap();
            assert!(token > last);
            last = token;
        }
    }
}

async fn messages_reach_whom_they_are_for(stores: Stores) {
    let (a, b) = (gateway("a"), gateway("b"));
    let mut to_a = stores.one.listen(&a).await.unwrap();
    let mut to_b = stores.two.listen(&b).await.unwrap();
    stores
        .one
        .send(&b, Bytes::from_static(b"for b \xff"))
        .await
        .unwrap();
    stores
        .two
        .broadcast(Bytes::from_static(b"for all"))
        .await
        .unwrap();
    stores.two.send(&a, Bytes::from_static(b"for a")).await.unwrap();
    stores
        .one
        .send(&gateway("nobody"), Bytes::from_static(b"for nobody"))
        .await
        .unwrap();
    let mut at_a = [receive(&mut to_a).await, receive(&mut to_a).await];
    let mut at_b = [receive(&mut to_b).await, receive(&mut to_b).await];
    at_a.sort();
    at_b.sort();
    assert_eq!(at_a, [&b"for a"[..], b"for all"]);
    assert_eq!(at_b, [&b"for all"[..], b"for b \xff"]);
    assert!(to_a.try_recv().is_err() && to_b.try_recv().is_err());
}

async fn receive(messages: &mut tokio::sync::mpsc::Receiver<Bytes>) -> Bytes {
    timeout(SOON, messages.recv()).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_store_that_is_gone_is_an_error_in_time_and_comes_back_by_itself() {
    // Killed, not unplugged: what was written is there again, and no answer waits for the disk.
    let mut server = RedisServer::start_with(&["--appendonly", "yes", "--appendfsync", "no"]);
    let store = open(&server);
    let first = document(1, 1);
    assert!(store.compare_and_set(None, &first).await.unwrap());
    let mut messages = store.listen(&gateway("a")).await.unwrap();

    server.kill();
    let asked = Instant::now();
    let refused = store.read().await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    assert!(asked.elapsed() < SOON, "took {:?}", asked.elapsed());
    assert!(store.status().is_err());

    server.restart();
    eventually("the store answers", async || store.read().await.is_ok()).await;
    assert_eq!(store.read().await.unwrap(), Some(first));
    assert_eq!(store.status(), Ok(()));
    // The subscription has come back as well.
    eventually("a message arrives", async || {
        store.broadcast(Bytes::from_static(b"again")).await.unwrap();
        timeout(Duration::from_millis(200), messages.recv()).await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn a_store_that_hangs_is_an_error_in_time() {
    let server = RedisServer::start();
    let store = open(&server);
    assert_eq!(store.read().await.unwrap(), None);
    server.pause();
    let asked = Instant::now();
    assert!(matches!(store.read().await, Err(StoreError::Unavailable(_))));
    assert!(asked.elapsed() < SOON, "took {:?}", asked.elapsed());
    assert!(store.status().is_err());
    server.resume();
    eventually("the store answers", async || store.read().await.is_ok()).await;
}

#[tokio::test]
async fn a_store_that_was_never_there_may_come() {
    let mut server = RedisServer::start();
    server.kill();
    let store = open(&server);
    assert!(matches!(store.read().await, Err(StoreError::Unavailable(_))));
    assert!(store.status().is_err());
    server.restart();
    eventually("the store answers", async || store.read().await.is_ok()).await;
}

#[tokio::test]
async fn a_lost_notification_costs_seconds() {
    let server = RedisServer::start();
    let store = open(&server);
    assert!(store.compare_and_set(None, &document(1, 1)).await.unwrap());
    let mut changes = store.changes();
    // The wakes of the connection and of the document above.
    while timeout(Duration::from_secs(3), changes.changed()).await.is_ok() {}
    let mut connection = ::redis::Client::open(server.url())
        .unwrap()
        .get_multiplexed_async_connection()
        .await
        .unwrap();
    let next = document(2, 2);
    ::redis::cmd("HSET")
        .arg("{test}:campanile:topology")
        .arg(&["generation", "2", "change_id", "2", "document"])
        .arg(next.encode())
        .exec_async(&mut connection)
        .await
        .unwrap();
    timeout(SOON, changes.changed()).await.unwrap().unwrap();
    assert_eq!(store.read().await.unwrap(), Some(next));
}

#[tokio::test]
async fn a_document_of_another_format_is_named_and_not_overwritten() {
    let server = RedisServer::start();
    let store = open(&server);
    let mut connection = ::redis::Client::open(server.url())
        .unwrap()
        .get_multiplexed_async_connection()
        .await
        .unwrap();
    ::redis::cmd("HSET")
        .arg("{test}:campanile:topology")
        .arg(&["generation", "2", "change_id", "2", "document", r#"{"format":9}"#])
        .exec_async(&mut connection)
        .await
        .unwrap();
    let error = store.read().await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Malformed(words) if words.contains("format is 9")),
        "{error}"
    );
    assert!(!store.compare_and_set(None, &document(1, 1)).await.unwrap());
}

#[test]
fn a_url_that_is_none_is_refused() {
    assert!(RedisStore::open(RedisStoreConfig::new("nonsense://x")).is_err());
}
