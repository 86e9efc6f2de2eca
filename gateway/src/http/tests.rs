//! What listens, and what is served to whom.

mod demo;

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
use axum::http::Method;
use axum::routing::get;

use super::*;

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

#[tokio::test]
async fn readiness_is_a_status_and_says_why() {
    for (ready, status) in [(true, StatusCode::OK), (false, StatusCode::SERVICE_UNAVAILABLE)] {
        let readiness: Arc<dyn Readiness> = Arc::new(testing::Ready(ready));
        let visitor = testing::Visitor {
            router: Router::new().route("/ready", get(ready::handler).with_state(readiness)),
            from: [192, 0, 2, 1],
        };
        let reply = visitor.send(&Method::GET, "/ready", &[], "").await;
        assert_eq!((reply.status, &reply.json()["generation"]), (status, &json!(7)));
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
const CROWD: usize = 100;

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
