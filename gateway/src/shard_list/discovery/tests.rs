use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use campanile_shard_router::coordinator::ManagedBy;
use campanile_shard_router::topology::ShardUrl;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::config::{RecordKind, UrlTemplate};
use crate::shard_list::testing::NameServer;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

struct World {
    coordinator: watch::Sender<CoordinatorStatus>,
    proposals: watch::Receiver<Option<ShardList>>,
    notes: Notes,
    running: JoinHandle<()>,
}

impl World {
    fn start(server: SocketAddr, known: &[&str]) -> Self {
        let coordinator = watch::Sender::new(CoordinatorStatus::default());
        let (lists, _) = Lists::new(ManagedBy::Dns, ShardList::new());
        let notes = Notes::default();
        let known: Arc<[RedisShard]> = known.iter().map(|name| shard(name)).collect();
        let discovery = Discovery {
            options: DnsOptions {
                name: "shards.test.".to_owned(),
                kind: RecordKind::Service,
                url: UrlTemplate::parse("redis://{host}:{port}").unwrap(),
                replica_mark: String::new(),
                durable: false,
                interval: Duration::from_millis(10),
                gone_after: Duration::ZERO,
                server: Some(server),
            },
            coordinator: coordinator.subscribe(),
            known: Box::new(move || known.iter().map(|shard| describe(shard).unwrap()).collect()),
            describe,
            lists: lists.clone(),
            notes: notes.clone(),
        };
        Self {
            coordinator,
            proposals: lists.proposals(),
            notes,
            running: tokio::spawn(discovery.run()),
        }
    }

    fn lead(&self, leading: bool) {
        self.coordinator.send_modify(|status| status.leading = leading);
    }

    /// Waits until exactly these shards are proposed; `None`: until nothing is.
    async fn proposes(&mut self, names: Option<&[&str]>) {
        let proposed = self.proposals.wait_for(|list| match (list, names) {
            (Some(list), Some(names)) => list.keys().map(ShardId::as_str).eq(names.iter().copied()),
            (list, names) => list.is_none() && names.is_none(),
        });
        timeout(PATIENCE, proposed)
            .await
            .expect("it proposes them")
            .unwrap();
    }

    async fn notes_something(&self) -> String {
        let noted = async {
            loop {
                if let Some(note) = self.notes.texts().pop() {
                    return note;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, noted).await.expect("it notes something")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.running.abort();
    }
}

fn describe(shard: &RedisShard) -> anyhow::Result<(ShardId, WantedShard)> {
    let wanted = WantedShard {
        url: ShardUrl::new(shard.url.expose()),
        address: shard.url.to_string(),
        weight: shard.weight,
        durable: shard.durable,
    };
    Ok((shard.id.clone(), wanted))
}

fn shard(name: &str) -> RedisShard {
    let options = UrlTemplate::parse("redis://{host}:{port}").unwrap();
    RedisShard {
        id: ShardId::new(name),
        url: options.fill(name, name, 6379).unwrap(),
        ca_file: None,
        weight: 1,
        durable: false,
    }
}

#[tokio::test]
async fn only_who_coordinates_asks_and_proposes() {
    let server = NameServer::of_services(&["redis-0.test.", "redis-1.test."]).await;
    let mut world = World::start(server.address(), &[]);
    world.proposes(None).await;
    assert_eq!(server.asked(), 0);
    world.lead(true);
    world.proposes(Some(&["redis-0", "redis-1"])).await;
    server.name(&["redis-0.test.", "redis-2.test."]);
    world.proposes(Some(&["redis-0", "redis-2"])).await;
    world.lead(false);
    world.proposes(None).await;
}

#[tokio::test]
async fn an_answer_without_shards_changes_nothing_and_is_noted() {
    let server = NameServer::of_services(&["redis-0.test."]).await;
    let mut world = World::start(server.address(), &[]);
    world.lead(true);
    world.proposes(Some(&["redis-0"])).await;
    server.name(&[]);
    let note = world.notes_something().await;
    assert!(note.starts_with("shards.test. names no shards: "), "{note}");
    world.proposes(Some(&["redis-0"])).await;
    server.name(&["redis-0.test.", "redis-1.test."]);
    world.proposes(Some(&["redis-0", "redis-1"])).await;
    assert!(world.notes.texts().is_empty());
}

#[tokio::test]
async fn nobody_who_answers_is_no_answer() {
    // Bound and closed again: nobody is there.
    let socket = tokio::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .unwrap();
    let address = socket.local_addr().unwrap();
    drop(socket);
    let mut world = World::start(address, &["redis-0"]);
    world.lead(true);
    world.notes_something().await;
    world.proposes(None).await;
}
