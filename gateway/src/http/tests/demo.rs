//! What visitors of the page may do without a key.

use std::sync::Arc;

use axum::Router;
use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::clock::Clock;
use crate::config::ManagedBy;
use crate::config::options::SecretKey;
use crate::http::testing::{Reply, Visitor};
use crate::http::{Demo, page};
use crate::shards::{Change, testing};

fn here(router: Router) -> Visitor {
    Visitor {
        router,
        from: [127, 0, 0, 1],
    }
}

/// Somebody at this machine, and the deployment whose page it is.
fn demo() -> (Visitor, Arc<testing::Fake>) {
    let (admin, fake) = testing::admin(ManagedBy::Api);
    let key = SecretKey::new(b"a key of this test").unwrap();
    (
        here(page(Some(Demo::new(key, Clock::start(), admin)), None)),
        fake,
    )
}

/// Asks for a token with the page's address being `host`.
async fn ask_token(visitor: &Visitor, host: &str, name: &str) -> Reply {
    let path = format!("/demo/token?name={name}");
    visitor.send(&Method::GET, &path, &[("host", host)], "").await
}

/// The header that somebody with a token sends.
async fn authorization(visitor: &Visitor) -> String {
    let reply = ask_token(visitor, "localhost", "ann").await;
    format!("Bearer {}", reply.json()["token"].as_str().unwrap())
}

/// Calls a method about shards.
async fn about_shards(visitor: &Visitor, method: &str, headers: &[(&str, &str)], body: &Value) -> Reply {
    let path = format!("/demo/shards/{method}");
    visitor
        .send(&Method::POST, &path, headers, &body.to_string())
        .await
}

#[tokio::test]
async fn the_demo_token_is_for_this_machine_alone() {
    let (visitor, _fake) = demo();
    for host in ["localhost:8000", "127.0.0.1", "[::1]:8000"] {
        let reply = ask_token(&visitor, host, "ann").await;
        assert!(reply.status.is_success(), "{host}");
        assert!(
            reply.json()["token"].as_str().unwrap().starts_with("ey"),
            "{host}"
        );
    }
    for host in ["evil.example", "localhost.evil.example:8000", "[::2]", ""] {
        let reply = ask_token(&visitor, host, "ann").await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN, "{host}");
    }
    let nameless = ask_token(&visitor, "localhost", "").await;
    assert_eq!(nameless.status, StatusCode::BAD_REQUEST);
    let elsewhere = Visitor {
        from: [192, 0, 2, 1],
        ..visitor
    };
    let reply = ask_token(&elsewhere, "localhost", "ann").await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn shards_are_for_whoever_has_a_token_of_this_machine() {
    let (visitor, _fake) = demo();
    let bearer = authorization(&visitor).await;
    let with_token = [("host", "localhost"), ("authorization", &*bearer)];
    let reply = about_shards(&visitor, "status", &with_token, &json!({ "partitions": true })).await;
    assert_eq!(reply.status, StatusCode::OK);
    let told = reply.json();
    assert_eq!(
        told["result"]["partitions"]["owners"],
        json!([[0, 2048], [1, 2048]])
    );
    let bare = bearer.trim_start_matches("Bearer ");
    let unauthorized = StatusCode::UNAUTHORIZED;
    for (headers, status) in [
        (vec![("host", "localhost")], unauthorized),
        (
            vec![("host", "localhost"), ("authorization", "Bearer x")],
            unauthorized,
        ),
        (vec![("host", "localhost"), ("authorization", bare)], unauthorized),
        (
            vec![("host", "evil.example"), ("authorization", &*bearer)],
            StatusCode::FORBIDDEN,
        ),
    ] {
        for method in ["status", "add", "drain", "remove"] {
            let reply = about_shards(&visitor, method, &headers, &json!({ "name": "a" })).await;
            assert_eq!(reply.status, status, "{method} {headers:?}");
        }
    }
    let long = json!({ "name": "a".repeat(2000) });
    let reply = about_shards(&visitor, "add", &with_token, &long).await;
    assert_eq!(reply.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn visitors_add_and_drain_shards_of_this_process_alone() {
    let (visitor, fake) = demo();
    let bearer = authorization(&visitor).await;
    let headers = [("host", "localhost"), ("authorization", &*bearer)];
    for (method, body) in [
        ("add", json!({ "name": "c", "url": "redis://elsewhere" })),
        ("add", json!({ "name": "c", "weight": 1000 })),
        ("drain", json!({ "name": "nowhere" })),
    ] {
        let reply = about_shards(&visitor, method, &headers, &body).await;
        assert!(reply.json()["error"]["code"].is_u64(), "{method} {body}");
    }
    fake.asked.lock().clear();
    for (method, body) in [
        ("add", json!({ "name": "c" })),
        ("drain", json!({ "name": "a" })),
        ("remove", json!({ "name": "a" })),
    ] {
        let reply = about_shards(&visitor, method, &headers, &body).await;
        assert_eq!(reply.json()["result"]["partitions"], 1025, "{method}");
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
    let reply = about_shards(&visitor, "add", &headers, &json!({ "name": "c" })).await;
    assert_eq!(reply.json()["error"]["code"], 306);
    assert!(fake.asked.lock().is_empty());
}

#[tokio::test]
async fn without_a_made_up_key_there_are_no_tokens() {
    let visitor = here(page(None, None));
    let shown = visitor
        .send(&Method::GET, "/", &[("host", "localhost")], "")
        .await;
    assert!(shown.text().contains("<!doctype html>"));
    let reply = ask_token(&visitor, "localhost", "ann").await;
    assert_eq!(reply.status, StatusCode::NOT_FOUND);
}
