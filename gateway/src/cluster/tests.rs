use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::ThreadId;
use std::time::Duration;

use bytes::Bytes;
use campanile_common::{ChannelName, Position, Timestamp};
use campanile_shard_router::store::{GatewayId, GatewayReport, MemoryStore, TopologyStore};
use campanile_shard_router::topology::Generation;
use parking_lot::Mutex;

use super::*;
use crate::auth::{SubscriptionOverride, Switch};
use crate::session::ServerCommand;

/// The gateway of that name coordinates.
const LEADER: &str = "leader";

const TIMEOUT: Duration = Duration::from_secs(2);

/// A gateway without connections that remembers what it was asked for.
struct Recorder {
    name: &'static str,
    leads: bool,
    channels: Vec<(ChannelName, usize)>,
    commands: Mutex<Vec<(Target, ServerCommand)>>,
    /// While this is set no look at all channels comes to its end.
    is_shut: AtomicBool,
    /// The threads on which all channels were looked at.
    walkers: Mutex<Vec<ThreadId>>,
}

impl Recorder {
    fn walk(&self) {
        self.walkers.lock().push(std::thread::current().id());
        while self.is_shut.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn shut_door(&self) -> Shut<'_> {
        self.is_shut.store(true, Ordering::Relaxed);
        Shut(&self.is_shut)
    }
}

/// Keeps looks from ending until it is dropped, also by a failure: no thread waits for ever.
struct Shut<'a>(&'a AtomicBool);

impl Drop for Shut<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

impl LocalGateway for Recorder {
    fn command(&self, target: &Target, command: ServerCommand) -> usize {
        self.commands.lock().push((target.clone(), command));
        2
    }

    fn visit_channels(&self, visit: &mut dyn FnMut(Standing)) {
        self.walk();
        for (channel, subscribers) in &self.channels {
            visit(Standing {
                channel: channel.clone(),
                subscribers: *subscribers,
                delivered: None,
            });
        }
    }

    fn info(&self) -> NodeInfo {
        self.walk();
        NodeInfo {
            name: self.name.to_owned(),
            ..NodeInfo::default()
        }
    }

    fn leading(&self) -> Option<Leading> {
        self.leads.then(|| Leading {
            gateway: self.name.to_owned(),
            ..Leading::default()
        })
    }
}

struct Member {
    cluster: Cluster,
    local: Arc<Recorder>,
}

fn id(name: &str) -> GatewayId {
    GatewayId(name.into())
}

async fn member(store: &Arc<dyn TopologyStore>, name: &'static str, channels: &[(&str, usize)]) -> Member {
    let channels = channels.iter();
    let local = Arc::new(Recorder {
        name,
        leads: name == LEADER,
        channels: channels
            .map(|(name, count)| (ChannelName::from_trusted(name), *count))
            .collect(),
        commands: Mutex::default(),
        is_shut: AtomicBool::default(),
        walkers: Mutex::default(),
    });
    let cluster = Cluster::join(id(name), Arc::clone(store), Arc::clone(&local) as _, TIMEOUT);
    // It listens once its task has run; in virtual time that is before anything else happens.
    tokio::time::sleep(Duration::from_millis(1)).await;
    store
        .register(&id(name), &GatewayReport::applied(Generation(1)), false)
        .await
        .unwrap();
    Member { cluster, local }
}

fn store() -> Arc<dyn TopologyStore> {
    Arc::new(MemoryStore::new())
}

fn target(user: &str) -> Target {
    Target {
        user: user.to_owned(),
        ..Target::default()
    }
}

fn disconnect() -> Command {
    Command::Disconnect {
        target: target("ann"),
        code: 3503,
        reason: "force disconnect".to_owned(),
    }
}

#[tokio::test(start_paused = true)]
async fn every_gateway_carries_a_command_out_before_the_caller_is_answered() {
    let store = store();
    let (a, b) = (member(&store, "a", &[]).await, member(&store, "b", &[]).await);
    let answers = a.cluster.ask(disconnect()).await.unwrap();
    assert_eq!(answers.len(), 2);
    assert!(
        answers
            .values()
            .all(|answer| *answer == Answer::Done { connections: 2 })
    );
    for member in [&a, &b] {
        let commands = member.local.commands.lock();
        let [(asked, ServerCommand::Disconnect(disconnect))] = commands.as_slice() else {
            panic!("{}: {commands:?}", member.local.name);
        };
        assert_eq!((asked, disconnect.code), (&target("ann"), 3503));
    }
}

#[tokio::test(start_paused = true)]
async fn a_gateway_on_its_own_is_a_cluster_of_one() {
    let store = store();
    let alone = member(&store, "a", &[("chat:1", 3)]).await;
    let pattern = "chat:*".to_owned();
    let all = Command::Channels { pattern, largest: 0 };
    let answers = alone.cluster.ask(all).await.unwrap();
    assert_eq!(
        answers[&id("a")],
        Answer::Channels([("chat:1".to_owned(), 3)].into())
    );
}

#[tokio::test(start_paused = true)]
async fn who_does_not_answer_is_named() {
    let store = store();
    let a = member(&store, "a", &[]).await;
    let b = member(&store, "b", &[]).await;
    b.cluster.listener.abort();
    let error = tokio::join!(a.cluster.ask(Command::Info), async {
        tokio::time::sleep(TIMEOUT / 2).await;
        store
            .register(&id("b"), &GatewayReport::applied(Generation(1)), true)
            .await
            .unwrap();
    });
    let Err(ClusterError::Unanswered(missing)) = error.0 else {
        panic!("{:?}", error.0);
    };
    assert_eq!(missing, [id("b")].into());
    assert_eq!(a.cluster.shared.pending.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_can_use_the_answers_of_some_gets_them() {
    let store = store();
    let a = member(&store, "a", &[]).await;
    let b = member(&store, "b", &[]).await;
    b.cluster.listener.abort();
    let (answers, silent) = a.cluster.gather(Command::Info).await.unwrap();
    assert_eq!(answers.into_keys().collect::<Vec<_>>(), [id("a")]);
    assert_eq!(silent, [id("b")].into());
}

#[tokio::test(start_paused = true)]
async fn the_largest_channels_of_each_gateway_are_told() {
    let store = store();
    let channels = [("chat:1", 3), ("chat:2", 9), ("chat:3", 5), ("news", 100)];
    let a = member(&store, "a", &channels).await;
    let command = Command::Channels {
        pattern: "chat:*".to_owned(),
        largest: 2,
    };
    let answers = a.cluster.ask(command).await.unwrap();
    let Answer::Survey(survey) = &answers[&id("a")] else {
        panic!("{answers:?}");
    };
    let told: Vec<_> = survey
        .channels
        .iter()
        .map(|it| (it.channel.as_str(), it.subscribers))
        .collect();
    assert_eq!((told, survey.total), (vec![("chat:2", 9), ("chat:3", 5)], 3));
}

/// Everything that looks at all channels.
fn walks() -> [Command; 3] {
    let channels = |largest| Command::Channels {
        pattern: String::new(),
        largest,
    };
    [channels(0), channels(2), Command::Info]
}

#[tokio::test(start_paused = true)]
async fn no_thread_that_serves_connections_looks_at_all_channels() {
    let store = store();
    let a = member(&store, "a", &[("chat:1", 3)]).await;
    for command in walks() {
        a.cluster.ask(command).await.unwrap();
    }
    let walkers = a.local.walkers.lock();
    assert_eq!(walkers.len(), 3);
    assert!(!walkers.contains(&std::thread::current().id()));
}

/// Waits, in the time of this machine: what is waited for happens on another thread.
async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let began = std::time::Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(60), "{what}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_looks_at_all_channels_holds_nothing_else_up_and_waits_for_a_turn() {
    let store = store();
    let a = member(&store, "a", &[("chat:1", 3)]).await;
    let walked = || a.local.walkers.lock().len();
    let request = Envelope::Request {
        id: 0,
        from: id("nobody"),
        command: Command::Info,
    };
    let shut = a.local.shut_door();
    store.broadcast(request.encode()).await.unwrap();
    eventually("one is under way", || walked() == 1).await;
    // As many as may wait, and some more.
    for _ in 0..20 {
        store.broadcast(request.encode()).await.unwrap();
    }
    let done = a.cluster.ask(disconnect()).await.unwrap();
    assert_eq!(done[&id("a")], Answer::Done { connections: 2 });
    drop(shut);
    eventually("those that waited had their turn", || walked() == 1 + 16).await;
    assert!(a.cluster.ask(Command::Info).await.is_ok());
    assert_eq!(walked(), 1 + 16 + 1, "the others were dropped");
}

#[test]
fn a_release_that_knows_no_largest_channels_is_understood() {
    #[derive(serde::Serialize)]
    enum Earlier {
        Request {
            id: u64,
            from: &'static str,
            command: EarlierCommand,
        },
    }
    #[derive(serde::Serialize)]
    enum EarlierCommand {
        Channels { pattern: &'static str },
    }
    let mut bytes = vec![1];
    let request = Earlier::Request {
        id: 7,
        from: "a",
        command: EarlierCommand::Channels { pattern: "p" },
    };
    rmp_serde::encode::write_named(&mut bytes, &request).unwrap();
    let expected = Envelope::Request {
        id: 7,
        from: id("a"),
        command: Command::Channels {
            pattern: "p".to_owned(),
            largest: 0,
        },
    };
    assert_eq!(Envelope::decode(&bytes).unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn who_leaves_meanwhile_is_not_waited_for() {
    let store = store();
    let a = member(&store, "a", &[]).await;
    let b = member(&store, "b", &[]).await;
    b.cluster.listener.abort();
    let (answers, ()) = tokio::join!(a.cluster.ask(Command::Info), async {
        tokio::time::sleep(TIMEOUT / 2).await;
        store.deregister(&id("b")).await.unwrap();
    });
    assert_eq!(answers.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn whoever_coordinates_answers_for_all() {
    let store = store();
    let (a, b) = (member(&store, "a", &[]).await, member(&store, "b", &[]).await);
    assert_eq!(a.cluster.leading().await, None, "nobody does");
    let leader = member(&store, LEADER, &[]).await;
    for member in [&a, &b, &leader] {
        assert_eq!(member.cluster.leading().await.unwrap().gateway, LEADER);
    }
    leader.cluster.listener.abort();
    assert_eq!(a.cluster.leading().await, None, "it does not hear");
    assert_eq!(a.cluster.shared.pending.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_message_of_another_release_disturbs_nobody() {
    let store = store();
    let a = member(&store, "a", &[]).await;
    for garbage in [&b""[..], b"\x02later", b"\x01\xc1"] {
        store.broadcast(Bytes::copy_from_slice(garbage)).await.unwrap();
    }
    assert!(a.cluster.ask(Command::Info).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn commands_under_way_are_bounded() {
    let store = store();
    let a = member(&store, "a", &[]).await;
    let held: Vec<_> = std::iter::from_fn(|| a.cluster.shared.pending.begin()).collect();
    assert!(matches!(
        a.cluster.ask(Command::Info).await,
        Err(ClusterError::Overloaded)
    ));
    drop(held);
    assert!(a.cluster.ask(Command::Info).await.is_ok());
}

#[test]
fn messages_survive_the_wire() {
    let commands = [
        disconnect(),
        Command::Subscribe {
            target: Target {
                whitelist: vec!["c".to_owned()],
                ..target("")
            },
            subscription: Subscription {
                channel: ChannelName::from_trusted("chat:1"),
                info: Bytes::from_static(b"{\"a\": 1}"),
                data: Bytes::from_static(&[0xff, 0]),
                expires_at: Some(Timestamp::from_secs(7)),
                overrides: SubscriptionOverride {
                    presence: Some(Switch { value: false }),
                    ..SubscriptionOverride::default()
                },
                recover_since: Some(Position::new("e".into(), 3.into())),
            },
        },
        Command::Refresh {
            target: target("ann"),
            refresh: Refresh {
                expired: false,
                expires_at: None,
                info: Some(Bytes::new()),
            },
        },
        Command::Info,
    ];
    for command in commands {
        let envelope = Envelope::Request {
            id: 7,
            from: id("a"),
            command,
        };
        assert_eq!(Envelope::decode(&envelope.encode()).unwrap(), envelope);
    }
}
