//! The page's calls as a browser, and whoever is none, makes them.

mod access;
mod calls;

use std::sync::Arc;
use std::time::Duration;

use axum::http::{Method, StatusCode, header};
use bytes::Bytes;
use campanile_common::{ErrorCode, Timestamp};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};
use parking_lot::Mutex;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::*;
use crate::api::{ApiError, ChannelReport};
use crate::cluster::Command;
use crate::config::ManagedBy;
use crate::config::options::SecretKey;
use crate::http::testing::{Ready, Reply, Visitor};
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
    visitor: Visitor,
    channels: Arc<Channels>,
    shards: Arc<Fake>,
}

/// The headers of a request.
type Headers = Vec<(String, String)>;

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
            readiness: Arc::new(Ready(true)),
            clock: Clock::start(),
        };
        let admin = Admin::new(&options(), parts, Meters::register());
        Self {
            visitor: visitor(&admin, false),
            admin,
            channels,
            shards: fake,
        }
    }

    async fn call(&self, headers: &[(String, String)], method: &Method, path: &str, body: &Value) -> Reply {
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let path = format!("/admin{path}");
        self.visitor
            .send(method, &path, &headers, &body.to_string())
            .await
    }

    async fn get(&self, headers: &[(String, String)], path: &str) -> Reply {
        self.call(headers, &Method::GET, path, &Value::Null).await
    }

    async fn post(&self, headers: &[(String, String)], path: &str, body: &Value) -> Reply {
        self.call(headers, &Method::POST, path, body).await
    }

    /// Tries a password on the page, with these headers.
    async fn login_with(&self, headers: &[(String, String)], password: &str) -> Reply {
        let body = json!({ "password": password });
        self.post(headers, "/api/login", &body).await
    }

    async fn login(&self, password: &str) -> Reply {
        self.login_with(&page(), password).await
    }

    /// The headers of a call from the page, with a session.
    async fn session(&self) -> Headers {
        let reply = self.login(PASSWORD).await;
        let cookies = cookies_of(&reply);
        let session = pair(&cookies[0]);
        let mut headers = with(&page(), "cookie", Some(&format!("theme=dark; {session}")));
        let csrf = reply.json()["csrf"].as_str().unwrap().to_owned();
        headers.push((guard::CSRF_HEADER.to_owned(), csrf));
        headers
    }
}

/// Somebody who visits the page, on a port that speaks TLS or does not.
fn visitor(admin: &Arc<Admin>, tls: bool) -> Visitor {
    Visitor {
        router: admin.routes(tls),
        from: [192, 0, 2, 1],
    }
}

/// What a browser adds to a call of the page itself.
fn page() -> Headers {
    let headers = [
        ("host", HOST),
        ("origin", "https://gateway.example:8000"),
        ("content-type", "application/json"),
    ];
    headers
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

/// The same headers with another value for one; `None`: without it.
fn with(headers: &[(String, String)], name: &str, value: Option<&str>) -> Headers {
    let mut changed = headers.to_vec();
    changed.retain(|(known, _)| known != name);
    changed.extend(value.map(|value| (name.to_owned(), value.to_owned())));
    changed
}

/// The cookies that are set: the session's, then the browser's.
fn cookies_of(reply: &Reply) -> Vec<String> {
    let cookies = reply.headers.get_all(header::SET_COOKIE).into_iter();
    cookies
        .map(|cookie| cookie.to_str().unwrap().to_owned())
        .collect()
}

/// What a browser sends back of a cookie.
fn pair(cookie: &str) -> &str {
    cookie.split(';').next().unwrap_or_default()
}
