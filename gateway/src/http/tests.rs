use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use axum::Router;
use axum::routing::get;

use super::*;
use crate::clock::Clock;
use crate::config::ManagedBy;
use crate::config::options::SecretKey;
use crate::shards::{Change, testing};

/// A server of `router` on a port of its own.
struct Served {
    address: SocketAddr,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// Plain HTTP; clients connect at `/`.
fn service(router: Router) -> Service {
    Service {
        router,
        tls: None,
        clients: Some("/".to_owned()),
    }
}

impl Served {
    async fn start(router: Router) -> Self {
        let bound = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = bound.address();
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(bound.serve(service(router), stop.clone(), tasks.clone()));
        Self { address, stop, tasks }
    }

    /// What is answered to `head`, until the server closes.
    async fn ask(&self, head: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    async fn get(&self, path: &str, host: &str) -> String {
        self.ask(&format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        ))
        .await
    }
}

fn demo() -> Router {
    let key = SecretKey::new(b"a key of this test").unwrap();
    page(
        Some(Demo::new(key, Clock::start(), testing::admin(ManagedBy::Api).0)),
        None,
    )
}

struct Reachable(bool);

impl Readiness for Reachable {
    fn report(&self) -> ReadyReport {
        ReadyReport {
            ready: self.0,
            complete: self.0,
            starting: false,
            gateway: "g".into(),
            shutting_down: false,
            generation: Some(3),
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

#[tokio::test]
async fn the_demo_token_is_for_this_machine_alone() {
    let served = Served::start(demo()).await;
    for host in ["localhost:8000", "127.0.0.1", "[::1]:8000"] {
        let answer = served.get("/demo/token?name=ann", host).await;
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.contains("{\"token\":\"ey"),
            "{host}: {answer}"
        );
    }
    for host in ["evil.example", "localhost.evil.example:8000", "[::2]", ""] {
        let answer = served.get("/demo/token?name=ann", host).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{host}: {answer}");
    }
    let nameless = served.get("/demo/token?name=", "localhost").await;
    assert!(nameless.starts_with("HTTP/1.1 400"), "{nameless}");
}

/// What is answered to a call about shards with these headers.
async fn about_shards(served: &Served, method: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    served
        .ask(&format!(
            "POST /demo/shards/{method} HTTP/1.1\r\n{headers}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        ))
        .await
}

#[tokio::test]
async fn shards_are_for_whoever_has_a_token_of_this_machine() {
    let served = Served::start(demo()).await;
    let answer = served.get("/demo/token?name=ann", "localhost").await;
    let token = answer.split('"').nth(3).unwrap();
    let with_token = format!("Host: localhost\r\nAuthorization: Bearer {token}");
    let answer = about_shards(&served, "status", &with_token, r#"{"partitions": true}"#).await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains(r#""owners":[[0,2048],[1,2048]]"#),
        "{answer}"
    );
    for (headers, status) in [
        ("Host: localhost".to_owned(), "401"),
        ("Host: localhost\r\nAuthorization: Bearer x".to_owned(), "401"),
        (format!("Host: localhost\r\nAuthorization: {token}"), "401"),
        (
            format!("Host: evil.example\r\nAuthorization: Bearer {token}"),
            "403",
        ),
    ] {
        for method in ["status", "add", "drain", "remove"] {
            let answer = about_shards(&served, method, &headers, r#"{"name": "a"}"#).await;
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status}")),
                "{headers}: {answer}"
            );
        }
    }
    let long = format!(r#"{{"name": "{}"}}"#, "a".repeat(2000));
    let answer = about_shards(&served, "add", &with_token, &long).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn visitors_add_and_drain_shards_of_this_process_alone() {
    let (admin, fake) = testing::admin(ManagedBy::Api);
    let key = SecretKey::new(b"a key of this test").unwrap();
    let served = Served::start(page(Some(Demo::new(key, Clock::start(), admin)), None)).await;
    let answer = served.get("/demo/token?name=ann", "localhost").await;
    let headers = format!(
        "Host: localhost\r\nAuthorization: Bearer {}",
        answer.split('"').nth(3).unwrap()
    );
    for (method, body) in [
        ("add", r#"{"name": "c", "url": "redis://elsewhere"}"#),
        ("add", r#"{"name": "c", "weight": 1000}"#),
        ("drain", r#"{"name": "nowhere"}"#),
    ] {
        let answer = about_shards(&served, method, &headers, body).await;
        assert!(answer.contains(r#"{"error":{"code":"#), "{answer}");
    }
    fake.asked.lock().clear();
    for (method, body) in [
        ("add", r#"{"name": "c"}"#),
        ("drain", r#"{"name": "a"}"#),
        ("remove", r#"{"name": "a"}"#),
    ] {
        let answer = about_shards(&served, method, &headers, body).await;
        assert!(answer.contains(r#""partitions":1025"#), "{answer}");
    }
    let asked = std::mem::take(&mut *fake.asked.lock());
    assert_eq!(asked.len(), 3);
    assert!(
        matches!(&asked[0], Change::Add(add) if add.url.is_empty() && add.weight == 1),
        "{asked:?}"
    );
    fake.edit(|topology| {
        let entry = topology.shards[&testing::id("a")].clone();
        let more = (0..14).map(|number| (testing::id(&format!("memory-{number}")), entry.clone()));
        topology.shards.extend(more);
    });
    let answer = about_shards(&served, "add", &headers, r#"{"name": "c"}"#).await;
    assert!(answer.contains("\"code\":306"), "{answer}");
    assert!(fake.asked.lock().is_empty());
}

#[tokio::test]
async fn without_a_made_up_key_there_are_no_tokens() {
    let served = Served::start(page(None, None)).await;
    assert!(served.get("/", "localhost").await.contains("<!doctype html>"));
    assert!(
        served
            .get("/demo/token?name=ann", "localhost")
            .await
            .starts_with("HTTP/1.1 404")
    );
}

#[tokio::test]
async fn readiness_is_a_status_and_says_why() {
    for (ready, status) in [(true, "HTTP/1.1 200"), (false, "HTTP/1.1 503")] {
        let readiness: Arc<dyn Readiness> = Arc::new(Reachable(ready));
        let router = Router::new().route("/ready", get(ready::handler).with_state(readiness));
        let answer = Served::start(router).await.get("/ready", "h").await;
        assert!(
            answer.starts_with(status) && answer.contains("\"generation\":3"),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn a_head_without_end_is_refused() {
    let served = Served::start(Router::new()).await;
    let answer = served
        .ask(&format!("GET /{} HTTP/1.1\r\n", "a".repeat(64 * 1024)))
        .await;
    assert!(
        answer.starts_with("HTTP/1.1 431") || answer.starts_with("HTTP/1.1 414"),
        "{answer}"
    );
}

#[tokio::test]
async fn stopping_ends_silent_connections_and_the_listener() {
    let served = Served::start(Router::new()).await;
    let mut silent = TcpStream::connect(served.address).await.unwrap();
    served.get("/", "h").await;
    served.stop.cancel();
    served.tasks.close();
    served.tasks.wait().await;
    assert_eq!(silent.read(&mut [0]).await.unwrap(), 0);
    assert!(TcpStream::connect(served.address).await.is_err());
}

/// How many more come than begin in one turn.
const CROWD: usize = 200;

#[tokio::test]
async fn who_has_connected_before_the_end_is_answered_although_it_is_the_end() {
    let bound = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = bound.address();
    let mut crowd = Vec::new();
    for _ in 0..CROWD {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            .await
            .unwrap();
        crowd.push(stream);
    }
    // They are in the system's queue, then in the waiting room; at no time is any of them served before the end.
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    stop.cancel();
    let router = Router::new().route(
        "/",
        get(|| async { (StatusCode::SERVICE_UNAVAILABLE, "elsewhere") }),
    );
    tasks.spawn(bound.serve(service(router), stop, tasks.clone()));
    tasks.close();
    for stream in &mut crowd {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("no reset");
        assert!(
            answer.starts_with("HTTP/1.1 503") && answer.ends_with("elsewhere"),
            "{answer}"
        );
    }
    tasks.wait().await;
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn what_is_under_way_is_answered_at_the_end_and_half_a_request_is_not_waited_for() {
    let (asked, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let slow = {
        let (asked, go) = (Arc::clone(&asked), Arc::clone(&go));
        || async move {
            asked.notify_one();
            go.notified().await;
            "done"
        }
    };
    let served = Served::start(Router::new().route("/slow", get(slow))).await;
    let mut half = TcpStream::connect(served.address).await.unwrap();
    half.write_all(b"GET / HTTP/1.1\r\nHost:").await.unwrap();
    let answered = async {
        let answer = served.get("/slow", "h").await;
        assert!(answer.ends_with("done"), "{answer}");
    };
    let ended = async {
        asked.notified().await;
        served.stop.cancel();
        served.tasks.close();
        assert_eq!(
            half.read(&mut [0]).await.unwrap(),
            0,
            "closed, while the other one is waited for"
        );
        go.notify_one();
        served.tasks.wait().await;
    };
    let both = async { tokio::join!(answered, ended) };
    timeout(Duration::from_secs(15), both)
        .await
        .expect("it ends before the head times out");
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let first = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let error = bind(first.address()).await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot listen on {}", first.address()));
}
