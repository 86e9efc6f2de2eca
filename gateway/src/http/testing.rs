//! Visitors who need no socket, and a gateway that is well or is not, for tests of what is served.

use std::net::SocketAddr;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use serde_json::Value;
use tower::Service as _;

use super::{Readiness, ReadyReport, StoreReport};

/// A gateway that is ready and complete, or neither.
pub(crate) struct Ready(pub(crate) bool);

impl Readiness for Ready {
    fn report(&self) -> ReadyReport {
        ReadyReport {
            ready: self.0,
            complete: self.0,
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

/// Somebody who calls some routes from one address.
pub(crate) struct Visitor {
    pub(crate) router: Router,
    pub(crate) from: [u8; 4],
}

/// What was answered.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Visitor {
    /// A request with these headers.
    pub(crate) async fn send(
        &self,
        method: &Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Reply {
        let peer = ConnectInfo(SocketAddr::from((self.from, 1234)));
        let mut request = Request::builder().method(method).uri(path).extension(peer);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let response = self.router.clone().call(request).await.unwrap();
        let (head, body) = response.into_parts();
        Reply {
            status: head.status,
            headers: head.headers,
            body: to_bytes(body, 1 << 20).await.unwrap(),
        }
    }
}

impl Reply {
    /// The body; `null` where it is no JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The body as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}
