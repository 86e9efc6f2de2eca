//! The API on a router with memory shards, as its callers see it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use campanile_common::ChannelName;
use campanile_common::message::ClientInfo;
use campanile_shard_router::audience::{Audience, Event};
use campanile_shard_router::coordinator::{Coordinator, CoordinatorOptions, CoordinatorParts, ShardSource};
use campanile_shard_router::memory::MemoryFactory;
use campanile_shard_router::router::{Router, RouterConfig};
use campanile_shard_router::shard::{Shard, ShardOptions};
use campanile_shard_router::store::{GatewayId, MemoryStore, TopologyStore};
use campanile_shard_router::topology::{ShardId, ShardUrl, WantedShard};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tower::Service as _;

use super::{Api, ChannelCalls as _};
use crate::clock::Clock;
use crate::cluster::{Cluster, Leading, LocalGateway, NodeInfo, Standing, Target};
use crate::config::options::{ChannelOptions, NamespaceOptions, SecretKey};
use crate::config::{ApiAccess, ApiOptions, ErrorMode, ManagedBy};
use crate::session::ServerCommand;
use crate::shards::testing::{self, Fake};

/// Nobody is subscribed anywhere.
struct Nobody;

impl Audience for Nobody {
    type Members = ();

    fn is_empty((): &()) -> bool {
        true
    }

    fn deliver(&self, _: &ChannelName, (): &(), _: &Event) {}
}

struct Shards(Arc<Router<Nobody>>);

impl ShardSource for Shards {
    fn open_apart(&self, shard: &ShardId, url: &ShardUrl) -> Result<Arc<dyn Shard>, String> {
        self.0.open_apart(shard, url)
    }

    fn shard(&self, shard: &ShardId, url: &ShardUrl) -> Result<Arc<dyn Shard>, String> {
        self.0.shard(shard, url)
    }
}

/// Connections that only remember what was done to them.
#[derive(Default)]
struct Connections(Mutex<Vec<(Target, ServerCommand)>>);

impl LocalGateway for Connections {
    fn command(&self, target: &Target, command: ServerCommand) -> usize {
        self.0.lock().push((target.clone(), command));
        1
    }

    fn visit_channels(&self, visit: &mut dyn FnMut(Standing)) {
        for (name, subscribers) in [("chat:1", 2), ("news:1", 5)] {
            visit(Standing {
                channel: ChannelName::from_trusted(name),
                subscribers,
                delivered: None,
            });
        }
    }

    fn info(&self) -> NodeInfo {
        NodeInfo {
            name: "here".to_owned(),
            num_clients: 7,
            ..NodeInfo::default()
        }
    }

    fn leading(&self) -> Option<Leading> {
        None
    }
}

/// A gateway with nothing but its API.
struct World {
    routes: axum::Router,
    api: Arc<Api<Nobody>>,
    connections: Arc<Connections>,
    /// The shards that its methods about shards are about.
    shards: Arc<Fake>,
    _coordinator: Coordinator,
}

const KEY: &str = "the key";

impl World {
    async fn new() -> Self {
        Self::with(ErrorMode::Body).await
    }

    async fn with(error_mode: ErrorMode) -> Self {
        Self::managed(error_mode, ManagedBy::Api).await
    }

    async fn managed(error_mode: ErrorMode, managed_by: ManagedBy) -> Self {
        let gateway = GatewayId("here".into());
        let store: Arc<dyn TopologyStore> = Arc::new(MemoryStore::new());
        let factory = MemoryFactory::embedded(2, 64 << 20, ShardOptions::default());
        let configured = factory
            .servers()
            .keys()
            .map(|id| (id.clone(), configured()))
            .collect();
        let connections = Arc::new(Connections::default());
        let cluster = Cluster::join(
            gateway.clone(),
            Arc::clone(&store),
            Arc::clone(&connections) as _,
            Duration::from_secs(2),
        );
        let router = Router::start(
            RouterConfig::default(),
            Arc::new(Nobody),
            Arc::clone(&store),
            Arc::new(factory),
            gateway.clone(),
        );
        let coordinator = Coordinator::start(CoordinatorParts {
            gateway,
            configured,
            options: CoordinatorOptions::default(),
            store,
            shards: Arc::new(Shards(Arc::clone(&router))),
        });
        while router.topology().is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let (shards, fake) = testing::admin(managed_by);
        let api = Arc::new(Api::new(
            router,
            Arc::new(cluster),
            shards,
            channels(),
            Clock::start(),
        ));
        let options = ApiOptions {
            prefix: "/api".to_owned(),
            access: ApiAccess::Key(SecretKey::new(KEY.as_bytes()).unwrap()),
            error_mode,
            body_limit: 64 * 1024,
        };
        Self {
            routes: api.routes(&options, options.access.clone().into()),
            api,
            connections,
            shards: fake,
            _coordinator: coordinator,
        }
    }

    async fn send(&self, request: Request<Body>) -> (StatusCode, Value) {
        let response = self.routes.clone().call(request).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    async fn post(&self, method: &str, body: impl Into<Body>) -> (StatusCode, Value) {
        let request = Request::post(format!("/api/{method}")).header("X-API-Key", KEY);
        self.send(request.body(body.into()).unwrap()).await
    }

    async fn ok(&self, method: &str, params: Value) -> Value {
        let (status, reply) = self.post(method, params.to_string()).await;
        assert_eq!(
            (status, reply.get("error")),
            (StatusCode::OK, None),
            "{method} {params}"
        );
        reply["result"].clone()
    }

    async fn error(&self, method: &str, params: Value) -> u64 {
        let (status, reply) = self.post(method, params.to_string()).await;
        assert_eq!(status, StatusCode::OK);
        reply["error"]["code"]
            .as_u64()
            .unwrap_or_else(|| panic!("{method} {params}: {reply}"))
    }
}

fn configured() -> WantedShard {
    WantedShard {
        url: ShardUrl::new(ShardUrl::MEMORY),
        address: "memory".to_owned(),
        weight: 1,
        durable: false,
    }
}

fn channels() -> ChannelOptions {
    let mut options = ChannelOptions::default();
    options.namespaces.insert(
        "chat".to_owned(),
        NamespaceOptions {
            presence: true,
            history_size: 3,
            history_ttl: Duration::from_secs(60),
            ..NamespaceOptions::default()
        },
    );
    options
        .namespaces
        .insert("plain".to_owned(), NamespaceOptions::default());
    options
}

#[tokio::test(start_paused = true)]
async fn what_is_published_is_in_the_history() {
    let world = World::new().await;
    let first = world
        .ok(
            "publish",
            json!({"channel": "chat:1", "data": {"n": 1}, "tags": {"a": "b"}}),
        )
        .await;
    world
        .ok("publish", json!({"channel": "chat:1", "b64data": "eyJuIjogMn0="}))
        .await;
    assert_eq!(first["offset"], 1);
    let all = world
        .ok("history", json!({"channel": "chat:1", "limit": -1}))
        .await;
    assert_eq!((&all["offset"], &all["epoch"]), (&json!(2), &first["epoch"]));
    assert_eq!(all["publications"][0]["data"], json!({"n": 1}));
    assert_eq!(all["publications"][0]["tags"], json!({"a": "b"}));
    assert_eq!(all["publications"][1]["data"], json!({"n": 2}));
    let since = json!({"channel": "chat:1", "limit": 10, "since": {"offset": 1, "epoch": first["epoch"]}});
    assert_eq!(
        world.ok("history", since).await["publications"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let position = world.ok("history", json!({"channel": "chat:1"})).await;
    assert_eq!(
        (&position["offset"], &position["publications"]),
        (&json!(2), &json!([]))
    );
    let newest = world
        .ok(
            "history",
            json!({"channel": "chat:1", "limit": 1, "reverse": true}),
        )
        .await;
    assert_eq!(newest["publications"][0]["offset"], 2);
    world.ok("history_remove", json!({"channel": "chat:1"})).await;
    let removed = world
        .ok("history", json!({"channel": "chat:1", "limit": -1}))
        .await;
    assert_eq!(
        (&removed["offset"], &removed["publications"]),
        (&json!(2), &json!([]))
    );
}

#[tokio::test(start_paused = true)]
async fn payloads_are_kept_as_they_were_written() {
    let world = World::new().await;
    let body = r#"{"channel": "chat:1", "data": {"z":1.10, "a":  18446744073709551616}}"#;
    world.post("publish", body).await;
    let request = Request::post("/api/history").header("Authorization", format!("apikey {KEY}"));
    let request = request
        .body(Body::from(r#"{"channel": "chat:1", "limit": 1}"#))
        .unwrap();
    let response = world.routes.clone().call(request).await.unwrap();
    let text = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let text = String::from_utf8(text.to_vec()).unwrap();
    assert!(
        text.contains(r#""data":{"z":1.10, "a":  18446744073709551616}"#),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn repeated_outdated_and_unkept_publications_say_so() {
    let world = World::new().await;
    let keyed = json!({"channel": "chat:1", "data": 1, "idempotency_key": "k"});
    let first = world.ok("publish", keyed.clone()).await;
    assert_eq!(world.ok("publish", keyed).await, first);
    world
        .ok("publish", json!({"channel": "chat:2", "data": 1, "version": 5}))
        .await;
    world
        .ok("publish", json!({"channel": "chat:2", "data": 2, "version": 4}))
        .await;
    let kept = world
        .ok("history", json!({"channel": "chat:2", "limit": -1}))
        .await;
    assert_eq!(kept["publications"].as_array().unwrap().len(), 1);
    let unkept = world
        .ok(
            "publish",
            json!({"channel": "chat:3", "data": 1, "skip_history": true}),
        )
        .await;
    assert_eq!(unkept, json!({}));
    assert_eq!(
        world
            .ok("publish", json!({"channel": "plain:1", "data": 1}))
            .await,
        json!({})
    );
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_answers_for_each_channel() {
    let world = World::new().await;
    let channels = json!(["chat:1", "nowhere:1", "", "plain:1"]);
    let result = world
        .ok("broadcast", json!({"channels": channels, "data": {}}))
        .await;
    let responses = result["responses"].as_array().unwrap();
    assert_eq!(responses[0]["result"]["offset"], 1);
    assert_eq!(responses[1]["error"]["code"], 102);
    assert_eq!(responses[2]["error"]["code"], 107);
    assert_eq!(responses[3]["result"], json!({}));
    assert_eq!(
        world.error("broadcast", json!({"channels": [], "data": 1})).await,
        107
    );
}

#[tokio::test(start_paused = true)]
async fn presence_of_an_empty_channel_is_empty() {
    let world = World::new().await;
    assert_eq!(
        world.ok("presence", json!({"channel": "chat:1"})).await,
        json!({"presence": {}})
    );
    let stats = world.ok("presence_stats", json!({"channel": "chat:1"})).await;
    assert_eq!(stats, json!({"num_clients": 0, "num_users": 0}));
}

#[tokio::test(start_paused = true)]
async fn who_looks_at_a_crowded_channel_is_told_of_some_and_of_how_many() {
    let world = World::new().await;
    let channel = ChannelName::from_trusted("chat:1");
    let look = async || {
        let report = world.api.inspect(channel.as_str().to_owned()).await.unwrap();
        serde_json::to_value(report).unwrap()["presence"]["read"].clone()
    };
    for number in 0..150 {
        let info = ClientInfo {
            client: format!("client-{number:03}"),
            user: format!("user-{}", number % 7),
            ..ClientInfo::default()
        };
        world.api.router.enter(&channel, Arc::new(info)).await.unwrap();
    }
    let crowd = look().await;
    assert_eq!(
        (&crowd["clients"], &crowd["users"], &crowd["most"]),
        (&json!(150), &Value::Null, &json!(100))
    );
    assert_eq!(crowd["shown"].as_array().unwrap().len(), 100);
    for number in 0..60 {
        let client = format!("client-{number:03}");
        world.api.router.leave(&channel, &client).await.unwrap();
    }
    let rest = look().await;
    assert_eq!((&rest["clients"], &rest["users"]), (&json!(90), &json!(7)));
    assert_eq!(rest["shown"].as_array().unwrap().len(), 90);
}

#[tokio::test(start_paused = true)]
async fn commands_reach_the_connections() {
    let world = World::new().await;
    world
        .ok("disconnect", json!({"user": "ann", "whitelist": ["c1"]}))
        .await;
    world
        .ok(
            "disconnect",
            json!({"client": "c2", "disconnect": {"code": 4001, "reason": "bye"}}),
        )
        .await;
    world
        .ok("unsubscribe", json!({"user": "ann", "channel": "chat:1"}))
        .await;
    world
        .ok(
            "subscribe",
            json!({"user": "ann", "channel": "chat:1", "b64info": "e30=", "expire_at": 9,
        "recover_since": {"offset": 3, "epoch": "e"}, "override": {"presence": {"value": true}}}),
        )
        .await;
    world.ok("refresh", json!({"user": "ann", "expired": true})).await;
    let commands = world.connections.0.lock();
    let [first, second, third, fourth, fifth] = commands.as_slice() else {
        panic!("{commands:?}");
    };
    assert!(
        matches!(first, (target, ServerCommand::Disconnect(why)) if target.whitelist == ["c1"] && why.code == 3503)
    );
    assert!(
        matches!(second, (target, ServerCommand::Disconnect(why)) if target.client == "c2" && why.code == 4001)
    );
    assert!(matches!(&third.1, ServerCommand::Unsubscribe { unsubscribe, .. } if unsubscribe.code == 2000));
    let ServerCommand::Subscribe(subscribe) = &fourth.1 else {
        panic!("{fourth:?}");
    };
    assert_eq!(subscribe.settings.info, "{}");
    assert_eq!(subscribe.settings.expires_at.unwrap().as_secs(), 9);
    assert_eq!(subscribe.recover_since.as_ref().unwrap().offset.get(), 3);
    assert!(subscribe.settings.overrides.presence.unwrap().value);
    assert!(matches!(&fifth.1, ServerCommand::Refresh(refresh) if refresh.expired));
}

#[tokio::test(start_paused = true)]
async fn the_cluster_is_asked_for_channels_and_gateways() {
    let world = World::new().await;
    let channels = world.ok("channels", json!({"pattern": "chat:*"})).await;
    assert_eq!(channels, json!({"channels": {"chat:1": {"num_clients": 2}}}));
    let nodes = world.ok("info", json!({})).await;
    assert_eq!(
        (&nodes["nodes"][0]["name"], &nodes["nodes"][0]["num_clients"]),
        (&json!("here"), &json!(7))
    );
}

#[tokio::test(start_paused = true)]
async fn a_batch_answers_each_call() {
    let world = World::new().await;
    for parallel in [false, true] {
        let commands = json!([
            {"publish": {"channel": "chat:1", "data": 1}},
            {"presence": {"channel": "plain:1"}},
            {"batch": {"commands": []}},
            {"nonsense": {}},
            {},
            {"publish": {"channel": "chat:1", "data": 2}},
        ]);
        let (_, reply) = world
            .post(
                "batch",
                json!({"commands": commands, "parallel": parallel}).to_string(),
            )
            .await;
        let replies = reply["replies"].as_array().unwrap();
        assert!(
            replies[0]["publish"]["offset"].as_u64() < replies[5]["publish"]["offset"].as_u64(),
            "{reply}"
        );
        let codes: Vec<u64> = replies[1..5]
            .iter()
            .map(|reply| reply["error"]["code"].as_u64().unwrap())
            .collect();
        assert_eq!(codes, [108, 104, 104, 107]);
    }
}

#[tokio::test(start_paused = true)]
async fn publications_of_a_batch_keep_the_order_of_each_channel() {
    let world = World::new().await;
    for parallel in [false, true] {
        let publish = |number: u64| {
            let channel = format!("chat:{}", (number / 5) % 2);
            json!({"publish": {"channel": channel, "data": number}})
        };
        let commands: Vec<_> = (0..100).map(publish).collect();
        let batch = json!({"commands": commands, "parallel": parallel});
        let (_, reply) = world.post("batch", batch.to_string()).await;
        let replies = reply["replies"].as_array().unwrap();
        for channel in 0..2 {
            let offsets: Vec<u64> = (0..100)
                .filter(|number: &usize| (number / 5) % 2 == channel)
                .map(|number| replies[number]["publish"]["offset"].as_u64().unwrap())
                .collect();
            assert_eq!(offsets.len(), 50);
            assert!(offsets.is_sorted_by(|one, next| one + 1 == *next), "{offsets:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_makes_no_sense_is_answered_with_its_code() {
    let world = World::new().await;
    let cases = [
        ("publish", json!({"data": 1}), 107),
        ("publish", json!({"channel": "chat:1"}), 107),
        ("publish", json!({"channel": "chat:1", "b64data": "*"}), 107),
        ("publish", json!({"channel": 7, "data": 1}), 107),
        ("publish", json!({"channel": "c".repeat(256), "data": 1}), 107),
        ("publish", json!(["chat:1", [], 1]), 107),
        ("publish", json!({"channel": "nowhere:1", "data": 1}), 102),
        ("presence", json!({"channel": "plain:1"}), 108),
        ("history", json!({"channel": "plain:1"}), 108),
        (
            "history",
            json!({"channel": "chat:1", "since": {"offset": 1, "epoch": "another"}}),
            112,
        ),
        ("history", json!({"channel": "chat:1", "since": 1}), 107),
        ("history_remove", json!({"channel": "plain:1"}), 108),
        ("disconnect", json!({}), 107),
        (
            "disconnect",
            json!({"user": "ann", "disconnect": {"code": 1000}}),
            107,
        ),
        ("unsubscribe", json!({"user": "ann"}), 107),
        ("subscribe", json!({"channel": "chat:1"}), 107),
        ("subscribe", json!({"channel": "nowhere:1", "user": "ann"}), 102),
        ("refresh", json!({"expire_at": 1}), 107),
        ("batch", json!({"commands": 1}), 107),
        ("batch", json!({"commands": vec![json!({}); 10_001]}), 106),
        ("rpc", json!({"method": "x"}), 104),
        ("nonsense", json!({}), 104),
    ];
    for (method, params, code) in cases {
        assert_eq!(
            world.error(method, params.clone()).await,
            code,
            "{method} {params}"
        );
    }
    let (_, reply) = world
        .post("publish", "{\"channel\": \"chat:1\", \"data\": ")
        .await;
    assert_eq!(reply["error"], json!({"code": 107, "message": "bad request"}));
    assert!(world.connections.0.lock().is_empty());
}

#[tokio::test(start_paused = true)]
async fn nobody_calls_without_the_key() {
    let world = World::new().await;
    let headers = [
        None,
        Some(("X-API-Key", "another")),
        Some(("X-API-Key", "")),
        Some(("Authorization", "Bearer the key")),
        Some(("Authorization", "the key")),
    ];
    for header in headers {
        let mut request = Request::post("/api/info");
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        let (status, _) = world.send(request.body(Body::from("{}")).unwrap()).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{header:?}");
    }
    let request = Request::post("/api/info").header("Authorization", format!("apikey {KEY}"));
    assert_eq!(
        world.send(request.body(Body::empty()).unwrap()).await.0,
        StatusCode::OK
    );
}

#[tokio::test(start_paused = true)]
async fn a_body_is_bounded_in_size_and_time() {
    let world = World::new().await;
    let (status, _) = world.post("publish", vec![b' '; 65 * 1024]).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    let endless = futures_util::stream::pending::<Result<bytes::Bytes, std::io::Error>>();
    let (status, _) = world.post("publish", Body::from_stream(endless)).await;
    assert_eq!(status, StatusCode::REQUEST_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn errors_become_statuses_where_that_is_asked_for() {
    let expected: BTreeMap<&str, (Value, u16)> = BTreeMap::from([
        ("publish", (json!({"channel": "nowhere:1", "data": 1}), 404)),
        (
            "history",
            (
                json!({"channel": "chat:1", "since": {"offset": 1, "epoch": "x"}}),
                416,
            ),
        ),
        ("presence", (json!({"channel": "plain:1"}), 400)),
        ("rpc", (json!({}), 404)),
    ]);
    let by_configuration = World::with(ErrorMode::Transport).await;
    let by_header = World::new().await;
    for (method, (params, status)) in expected {
        assert_eq!(
            by_configuration.post(method, params.to_string()).await.0,
            status,
            "{method}"
        );
        let request = Request::post(format!("/api/{method}"))
            .header("X-API-Key", KEY)
            .header("X-Centrifugo-Error-Mode", "transport");
        let (found, body) = by_header
            .send(request.body(params.to_string().into()).unwrap())
            .await;
        assert_eq!(found, status, "{method}");
        assert!(body["error"]["code"].is_u64(), "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn shards_are_listed_planned_and_changed() {
    let world = World::new().await;
    let list = world.ok("shards/list", json!({})).await;
    assert_eq!(
        (&list["shards"][1]["name"], &list["managed_by"]),
        (&json!("b"), &json!("api"))
    );
    assert_eq!(world.ok("shards/status", json!({})).await["moves"], Value::Null);
    assert_eq!(world.ok("shards/plan", json!({})).await["partitions"], 0);
    let drain = json!({"drain": {"name": "a"}});
    assert_eq!(world.ok("shards/plan", drain).await["minimum"], 1000);
    assert!(world.shards.asked.lock().is_empty());

    for (command, params) in [
        ("add", json!({"name": "c", "url": "redis://u:secret@h"})),
        ("drain", json!({"name": "a"})),
        ("remove", json!({"name": "a"})),
        ("weight", json!({"name": "a", "weight": 2})),
    ] {
        let plan = world.ok(&format!("shards/{command}"), params).await;
        assert_eq!(
            (&plan["generation"], &plan["partitions"]),
            (&json!(8), &json!(1025))
        );
        let asked = world.shards.asked.lock().pop().unwrap();
        assert_eq!(asked.command(), command);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_change_says_what_to_do() {
    let world = World::new().await;
    let (_, reply) = world.post("shards/drain", r#"{"name": "nowhere"}"#).await;
    assert_eq!(
        reply["error"],
        json!({"code": 300, "message": "there is no shard nowhere"})
    );
    let (_, reply) = world.post("shards/drain", r#"{"nme": "a"}"#).await;
    let message = reply["error"]["message"].as_str().unwrap();
    assert!(
        reply["error"]["code"] == 107 && message.contains("nme"),
        "{message}"
    );
    assert_eq!(world.error("shards/nonsense", json!({})).await, 104);

    let elsewhere = World::managed(ErrorMode::Transport, ManagedBy::File).await;
    let (status, reply) = elsewhere.post("shards/drain", r#"{"name": "a"}"#).await;
    assert_eq!(
        (status, &reply["error"]["code"]),
        (StatusCode::FORBIDDEN, &json!(305))
    );
    assert!(elsewhere.shards.asked.lock().is_empty());
    let request = Request::post("/api/shards/list").body(Body::empty()).unwrap();
    assert_eq!(world.send(request).await.0, StatusCode::UNAUTHORIZED);
}
