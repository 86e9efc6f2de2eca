//! How connections begin: the WebSocket endpoint.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any};
use http::header::{HOST, HeaderName, ORIGIN, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::counters::Refused;
use super::entrance::Entrance;
use crate::config::WebSocketOptions;
use crate::registry::Permit;
use crate::transport::TransportKind;
use crate::transport::websocket::{self, Accepted, Connected};

/// Seconds after which a client that was not let in may try again; SDKs have their own, random delays.
const RETRY_SECONDS: HeaderValue = HeaderValue::from_static("2");

struct Endpoint {
    entrance: Entrance,
    options: WebSocketOptions,
}

/// The handler of the path at which clients connect over WebSocket.
pub fn websocket<S: Clone + Send + Sync + 'static>(
    entrance: Entrance,
    options: WebSocketOptions,
) -> MethodRouter<S> {
    let endpoint = Endpoint { entrance, options };
    any(upgrade).with_state(Arc::new(endpoint))
}

async fn upgrade(State(endpoint): State<Arc<Endpoint>>, request: Request) -> Response {
    let (mut request, _) = request.into_parts();
    let header = |name: HeaderName| text(&request.headers, &name);
    if let Err(foreign) = endpoint.entrance.check_origin(header(ORIGIN), header(HOST)) {
        return (StatusCode::FORBIDDEN, format!("{foreign}\n")).into_response();
    }
    let accepted = match websocket::accept(&mut request) {
        Ok(accepted) => accepted,
        Err(error) => {
            endpoint.entrance.refused(Refused::Handshake);
            return (error.status(), error.headers(), format!("{error}\n")).into_response();
        }
    };
    let place = match endpoint.entrance.admit() {
        Ok(place) => place,
        Err(refusal) => {
            let retry = [(RETRY_AFTER, RETRY_SECONDS)];
            return (StatusCode::SERVICE_UNAVAILABLE, retry, format!("{refusal}\n")).into_response();
        }
    };
    let answer = (StatusCode::SWITCHING_PROTOCOLS, accepted.headers.clone()).into_response();
    tokio::spawn(begin(endpoint, accepted, place));
    answer
}

/// Opens the connection once the answer to the handshake is sent, and leaves it to a task that holds no more than it needs.
async fn begin(endpoint: Arc<Endpoint>, accepted: Accepted, place: Permit) {
    let codec = accepted.codec;
    let (entrance, kind) = (&endpoint.entrance, TransportKind::WebSocket);
    match accepted.connection(&endpoint.options).await {
        Some(Connected::Plain(transport)) => entrance.begin(kind, codec, transport, place),
        Some(Connected::Tls(transport)) => entrance.begin(kind, codec, transport, place),
        None => {}
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    // What is not text is no origin that anything allows.
    headers.get(name).map(|value| value.to_str().unwrap_or("invalid"))
}
