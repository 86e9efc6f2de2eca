//! The page's calls as a browser, and whoever is none, makes them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use bytes::Bytes;
use campanile_common::{ErrorCode, Timestamp};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};
use parking_lot::Mutex;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tower::Service as _;

use super::*;
use crate::api::{ApiError, ChannelReport};
use crate::cluster::Command;
use crate::config::ManagedBy;
use crate::config::options::SecretKey;
use crate::http::{ReadyReport, StoreReport};
use crate::shards::testing::{self, Fake};

const PASSWORD: &str = "correct horse battery staple";
const HOST: &str = "gateway.example:8000";

/// Channels that remember what was published, and of which none is known.
#[derive(Default)]
struct Channels(Mutex<Vec<Bytes>>);

impl ChannelCalls for Channels {
    fn inspect(&self, _: String) -> BoxFuture<'_, Result<ChannelReport, ApiError>> {
        ready(Err(ErrorCode::UnknownChannel.into())).boxed()
    }

    fn publish(&self, params: Bytes) -> BoxFuture<'_, Result<Box<RawValue>, ApiError>> {
        self.0.lock().push(params);
        let result = RawValue::from_string(r#"{"offset":7,"epoch":"e"}"#.to_owned());
        ready(Ok(result.unwrap())).boxed()
    }
}

/// Everything is well.
struct Well;

impl Readiness for Well {
    fn report(&self) -> ReadyReport {
        ReadyReport {
            ready: true,
            complete: true,
            starting: false,
            gateway: "g".to_owned(),
            shutting_down: false,
            generation: Some(7),
            topology: None,
            store: StoreReport {
                reachable: true,
                error: None,
            },
            shards: vec![],
            missing: vec![],
            problems: vec![],
            notes: vec![],
        }
    }
}

fn options() -> AdminOptions {
    AdminOptions {
        prefix: "/admin".to_owned(),
        password: SecretKey::new(PASSWORD.as_bytes()).unwrap(),
        secret: SecretKey::new(b"a secret of some length"),
        session_ttl: Duration::from_secs(3600),
    }
}

/// A gateway with nothing but the page.
struct World {
    admin: Arc<Admin>,
    router: Router,
    channels: Arc<Channels>,
    shards: Arc<Fake>,
}

/// What was answered.
struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl World {
    async fn new() -> Self {
        let (shards, fake) = testing::admin(ManagedBy::Api);
        // The listener of the cluster begins when it gets its turn.
        tokio::task::yield_now().await;
        while shards.cluster.ask(Command::Info).await.is_err() {}
        let channels = Arc::new(Channels::default());
        let parts = AdminParts {
            channels: Arc::clone(&channels) as _,
            cluster: Arc::clone(&shards.cluster),
            shards,
            readiness: Arc::new(Well),
            clock: Clock::start(),
        };
        let admin = Admin::new(&options(), parts, Meters::register());
        Self {
            router: admin.routes(false),
            admin,
            channels,
            shards: fake,
        }
    }

    /// A request with these headers.
    async fn send(&self, method: &Method, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/admin{path}"))
            .extension(ConnectInfo(SocketAddr::from(([192, 0, 2, 1], 1234))));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let response = self.router.clone().call(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = to_bytes(body, 1 << 20).await.unwrap();
        Reply {
            status: head.status,
            headers: head.headers,
            body: serde_json::from_slice(&body).unwrap_or(Value::Null),
        }
    }

    async fn login(&self, password: &str) -> Reply {
        let body = json!({ "password": password }).to_string();
        self.send(&Method::POST, "/api/login", &PAGE, &body).await
    }

    /// The headers of a call from the page, with a session.
    async fn session(&self) -> Vec<(String, String)> {
        let reply = self.login(PASSWORD).await;
        let cookie = cookie_of(&reply);
        let (pair, _) = cookie.split_once(';').unwrap();
        let csrf = reply.body["csrf"].as_str().unwrap();
        let mut headers: Vec<(String, String)> = owned(&PAGE);
        headers.push(("cookie".to_owned(), format!("theme=dark; {pair}")));
        headers.push((guard::CSRF_HEADER.to_owned(), csrf.to_owned()));
        headers
    }

    async fn call(&self, headers: &[(String, String)], method: &Method, path: &str, body: &Value) -> Reply {
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        self.send(method, path, &headers, &body.to_string()).await
    }
}

/// What a browser adds to a call of the page itself.
const PAGE: [(&str, &str); 3] = [
    ("host", HOST),
    ("origin", "https://gateway.example:8000"),
    ("content-type", "application/json"),
];

fn owned(headers: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = headers.iter();
    owned
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// The same headers with another value for one; `None`: without it.
fn with(headers: &[(String, String)], name: &str, value: Option<&str>) -> Vec<(String, String)> {
    let mut changed = headers.to_vec();
    changed.retain(|(known, _)| known != name);
    changed.extend(value.map(|value| (name.to_owned(), value.to_owned())));
    changed
}

fn cookie_of(reply: &Reply) -> String {
    reply.headers[header::SET_COOKIE].to_str().unwrap().to_owned()
}

/// Every call that needs a session.
const CALLS: [(Method, &str); 8] = [
    (Method::GET, "/api/state"),
    (Method::GET, "/api/channels"),
    (Method::GET, "/api/channel?channel=a"),
    (Method::POST, "/api/logout"),
    (Method::POST, "/api/publish"),
    (Method::POST, "/api/disconnect"),
    (Method::POST, "/api/shards/plan"),
    (Method::POST, "/api/shards/change"),
];

#[tokio::test]
async fn only_the_password_opens() {
    let world = World::new().await;
    for wrong in ["", "correct", "correct horse battery staple "] {
        let reply = world.login(wrong).await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{wrong}");
        assert!(reply.headers.get(header::SET_COOKIE).is_none(), "{wrong}");
    }
    let reply = world.login(PASSWORD).await;
    assert_eq!(reply.status, StatusCode::OK);
    let cookie = cookie_of(&reply);
    for part in [
        "; HttpOnly",
        "; SameSite=Strict",
        "; Path=/admin",
        "; Max-Age=3600",
    ] {
        assert!(cookie.contains(part), "{part}: {cookie}");
    }
    assert!(
        !cookie.contains("Secure"),
        "the browser would not send it: {cookie}"
    );
}

#[tokio::test]
async fn the_cookie_is_for_tls_alone_where_there_is_tls() {
    let world = World::new().await;
    let body = json!({ "password": PASSWORD }).to_string();
    let mut behind_proxy = PAGE.to_vec();
    behind_proxy.push(("x-forwarded-proto", "https, http"));
    let reply = world
        .send(&Method::POST, "/api/login", &behind_proxy, &body)
        .await;
    assert!(cookie_of(&reply).ends_with("; Secure"));
    let world = World {
        router: world.admin.routes(true),
        ..world
    };
    assert!(cookie_of(&world.login(PASSWORD).await).ends_with("; Secure"));
}

#[tokio::test]
async fn without_a_session_nothing_is_told_or_done() {
    let world = World::new().await;
    let session = world.session().await;
    let expired = {
        let expired = world.admin.sessions.begin(Timestamp::from_secs(1));
        format!("{}={}", cookie::NAME, world.admin.sessions.token(&expired))
    };
    let cookies = [
        None,
        Some("campanile_admin="),
        Some("campanile_admin=1.x.9"),
        Some(expired.as_str()),
    ];
    for (method, path) in CALLS {
        for cookie in cookies {
            let headers = with(&session, "cookie", cookie);
            let reply = world
                .call(&headers, &method, path, &json!({ "user": "ann" }))
                .await;
            assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{path} {cookie:?}");
        }
    }
    assert!(world.channels.0.lock().is_empty() && world.shards.asked.lock().is_empty());
    let reply = world.send(&Method::GET, "/api/session", &[], "").await;
    assert_eq!(
        (reply.status, reply.body),
        (StatusCode::OK, Value::Null),
        "nor how to call"
    );
}

#[tokio::test]
async fn what_another_site_asks_for_is_not_done() {
    let world = World::new().await;
    let session = world.session().await;
    let foreign = [
        ("origin", Some("https://evil.example")),
        ("origin", Some("https://gateway.example:8001")),
        ("origin", Some("null")),
        ("origin", None),
        ("sec-fetch-site", Some("cross-site")),
        ("sec-fetch-site", Some("same-site")),
        ("sec-fetch-site", Some("none")),
        (guard::CSRF_HEADER, None),
        (guard::CSRF_HEADER, Some("")),
        (guard::CSRF_HEADER, Some("AAAA")),
    ];
    for (method, path) in CALLS.into_iter().filter(|(method, _)| method == Method::POST) {
        for (name, value) in foreign {
            let headers = with(&session, name, value);
            let reply = world
                .call(&headers, &method, path, &json!({ "user": "ann" }))
                .await;
            assert_eq!(reply.status, StatusCode::FORBIDDEN, "{path} {name}: {value:?}");
        }
        let form = with(
            &session,
            "content-type",
            Some("application/x-www-form-urlencoded"),
        );
        let reply = world.call(&form, &method, path, &json!({})).await;
        assert_eq!(reply.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{path}");
    }
    let foreign = with(&owned(&PAGE), "origin", Some("https://evil.example"));
    let login = json!({ "password": PASSWORD });
    let reply = world.call(&foreign, &Method::POST, "/api/login", &login).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN, "nor may it log in");
    assert!(world.channels.0.lock().is_empty() && world.shards.asked.lock().is_empty());
}

#[tokio::test]
async fn a_proxy_may_give_the_request_another_host() {
    let world = World::new().await;
    let session = world.session().await;
    let rewritten = with(&session, "host", Some("10.0.0.1"));
    let publication = json!({ "channel": "a", "data": 1 });
    let reply = world
        .call(&rewritten, &Method::POST, "/api/publish", &publication)
        .await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    let vouched = with(&rewritten, "sec-fetch-site", Some("same-origin"));
    let reply = world
        .call(&vouched, &Method::POST, "/api/publish", &publication)
        .await;
    assert_eq!(reply.status, StatusCode::OK);
}

#[tokio::test]
async fn who_guesses_has_to_wait_and_who_is_in_does_not() {
    let world = World::new().await;
    let session = world.session().await;
    let refused = loop {
        let reply = world.login("guess").await;
        if reply.status != StatusCode::UNAUTHORIZED {
            break reply;
        }
    };
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    let seconds: u64 = refused.headers[header::RETRY_AFTER]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=10).contains(&seconds));
    assert_eq!(
        world.login(PASSWORD).await.status,
        StatusCode::TOO_MANY_REQUESTS,
        "also the right one: else waiting would be of no use"
    );
    let reply = world
        .call(&session, &Method::GET, "/api/state", &Value::Null)
        .await;
    assert_eq!(reply.status, StatusCode::OK);
}

#[tokio::test]
async fn bodies_are_bounded() {
    let world = World::new().await;
    let long = world.login(&"a".repeat(5000)).await;
    assert_eq!(long.status, StatusCode::PAYLOAD_TOO_LARGE);
    let session = world.session().await;
    let publication = json!({ "channel": "a", "data": "a".repeat(300_000) });
    let long = world
        .call(&session, &Method::POST, "/api/publish", &publication)
        .await;
    assert_eq!(long.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_session_holds_on_every_gateway_with_its_secret_and_password() {
    let now = Timestamp::from_secs(1_000_000);
    let one = Sessions::new(&options());
    let token = one.token(&one.begin(now));
    let session = one.recognise(&token, now).unwrap();
    let other = Sessions::new(&options());
    assert_eq!(other.recognise(&token, now), Some(session.clone()));
    assert!(other.is_csrf(&session, one.csrf(&session).as_bytes()));
    let end = now + Duration::from_secs(3600);
    assert_eq!(
        one.recognise(&token, end - Duration::from_millis(1)),
        Some(session)
    );
    assert_eq!(one.recognise(&token, end), None, "it is over");

    let secret = |secret: Option<&[u8]>| AdminOptions {
        secret: secret.and_then(SecretKey::new),
        ..options()
    };
    let password = AdminOptions {
        password: SecretKey::new(b"another password").unwrap(),
        ..options()
    };
    for others in [secret(Some(b"another secret")), secret(None), password] {
        assert_eq!(Sessions::new(&others).recognise(&token, now), None);
    }
    let made_up = Sessions::new(&secret(None));
    let token = made_up.token(&made_up.begin(now));
    assert_eq!(Sessions::new(&secret(None)).recognise(&token, now), None);
}

#[test]
fn a_session_cannot_be_made_out_of_anything_else() {
    let now = Timestamp::from_secs(1_000_000);
    let sessions = Sessions::new(&options());
    let session = sessions.begin(now);
    let token = sessions.token(&session);
    for place in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[place] = if bytes[place] == b'1' { b'2' } else { b'1' };
        let changed = String::from_utf8(bytes).unwrap();
        assert_eq!(sessions.recognise(&changed, now), None, "{changed}");
    }
    let (content, _) = token.rsplit_once('.').unwrap();
    let csrf = sessions.csrf(&session);
    for forged in [
        String::new(),
        ".".to_owned(),
        "....".to_owned(),
        content.to_owned(),
        format!("{content}."),
        format!("{content}.{csrf}"),
        token.repeat(10),
    ] {
        assert_eq!(sessions.recognise(&forged, now), None, "{forged}");
    }
    assert!(
        !sessions.is_csrf(&sessions.begin(now), csrf.as_bytes()),
        "another session's"
    );
}

#[tokio::test]
async fn the_end_takes_the_cookie_away() {
    let world = World::new().await;
    let session = world.session().await;
    let reply = world
        .call(&session, &Method::POST, "/api/logout", &json!({}))
        .await;
    let cookie = cookie_of(&reply);
    assert!(
        cookie.starts_with("campanile_admin=; ") && cookie.contains("Max-Age=0"),
        "{cookie}"
    );
}

#[tokio::test]
async fn the_state_is_told_to_whoever_is_in() {
    let world = World::new().await;
    let session = world.session().await;
    let reply = world
        .call(&session, &Method::GET, "/api/state", &Value::Null)
        .await;
    assert_eq!(reply.status, StatusCode::OK);
    let state = reply.body;
    assert_eq!(state["readiness"]["gateway"], "g");
    assert_eq!(state["shards"]["shards"][0]["name"], "a");
    assert_eq!(
        state["shards"]["partitions"]["owners"],
        json!([[0, 2048], [1, 2048]])
    );
    let load = json!({ "bytes": 2 << 20, "keys": 300, "operations": 40 });
    assert_eq!(state["loads"], json!({ "a": load }));
    assert_eq!(
        (state["gateways"].as_array().map(Vec::len), &state["silent"]),
        (Some(1), &json!([]))
    );
    let again = world
        .call(&session, &Method::GET, "/api/state?since=7", &Value::Null)
        .await;
    assert!(
        again.body["shards"].get("partitions").is_none(),
        "the page has them"
    );
    assert!(
        !state.to_string().contains("secret"),
        "credentials of shards stay inside"
    );
}

#[tokio::test]
async fn a_change_is_made_only_of_the_plan_that_was_seen() {
    let world = World::new().await;
    let session = world.session().await;
    let post = |path: &'static str, body: Value| {
        let (world, session) = (&world, &session);
        async move { world.call(session, &Method::POST, path, &body).await }
    };
    let drain = json!({ "drain": { "name": "a" } });
    let plan = post("/api/shards/plan", drain.clone()).await;
    assert_eq!(
        (plan.status, &plan.body["partitions"]),
        (StatusCode::OK, &json!(1025))
    );
    assert!(world.shards.asked.lock().is_empty(), "a plan changes nothing");

    let confirm = |generation: u64, change: &Value| json!({ "generation": generation, "change": change });
    let late = post("/api/shards/change", confirm(6, &drain)).await;
    assert_eq!(late.status, StatusCode::PRECONDITION_FAILED);
    for nonsense in [json!({}), json!({ "drain": { "nam": "a" } })] {
        let reply = post("/api/shards/change", confirm(7, &nonsense)).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{nonsense}");
    }
    assert!(world.shards.asked.lock().is_empty());

    let planned_on = plan.body["generation"].as_u64().unwrap();
    // What the fake plans is of the generation after its topology's.
    let done = post("/api/shards/change", confirm(planned_on - 1, &drain)).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.body);
    assert_eq!(world.shards.asked.lock().len(), 1);

    let unknown = post("/api/shards/plan", json!({ "drain": { "name": "nowhere" } })).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    assert_eq!(unknown.body["error"]["message"], "there is no shard nowhere");
}

#[tokio::test]
async fn publishing_and_disconnecting_say_what_came_of_them() {
    let world = World::new().await;
    let session = world.session().await;
    let publication = json!({ "channel": "a", "data": { "n": 1 } });
    let reply = world
        .call(&session, &Method::POST, "/api/publish", &publication)
        .await;
    assert_eq!(reply.body, json!({ "offset": 7, "epoch": "e" }));
    assert_eq!(world.channels.0.lock().as_slice(), [publication.to_string()]);
    let reply = world
        .call(
            &session,
            &Method::POST,
            "/api/disconnect",
            &json!({ "user": "ann" }),
        )
        .await;
    assert_eq!(reply.body, json!({ "connections": 0 }));
    for nobody in [
        json!({}),
        json!({ "user": "" }),
        json!({ "user": "a", "client": "b" }),
    ] {
        let reply = world
            .call(&session, &Method::POST, "/api/disconnect", &nobody)
            .await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{nobody}");
    }
    let reply = world
        .call(&session, &Method::GET, "/api/channel?channel=x", &Value::Null)
        .await;
    assert_eq!(reply.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_page_and_all_answers_are_protected() {
    let world = World::new().await;
    let session = world.session().await;
    for path in [
        "",
        "/",
        "/app.js",
        "/style.css",
        "/bell.svg",
        "/api/session",
        "/api/state",
    ] {
        let reply = world.call(&session, &Method::GET, path, &Value::Null).await;
        assert_eq!(reply.status, StatusCode::OK, "{path}");
        let value = |name: header::HeaderName| reply.headers[name].to_str().unwrap().to_owned();
        assert_eq!(value(header::CACHE_CONTROL), "no-store", "{path}");
        let policy = value(header::CONTENT_SECURITY_POLICY);
        assert!(
            policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"),
            "{path}"
        );
    }
    let refused = world.send(&Method::GET, "/api/state", &[], "").await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert_eq!(refused.headers[header::CACHE_CONTROL], "no-store");
}
