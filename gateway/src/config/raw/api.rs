//! What is served over HTTP.

use campanile_common::HumanDuration;
use serde::{Deserialize, Serialize};

/// `http_api`: the server API.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct HttpApi {
    /// Serves no API.
    pub disabled: bool,
    /// Where it is served.
    pub handler_prefix: String,
    /// The key that callers must present. Without one, nobody may call.
    pub key: String,
    /// `transport`: errors become HTTP statuses; empty: status 200 and an `error` object.
    pub error_mode: String,
    /// Serves the API on the clients' port although there is an internal one.
    pub external: bool,
    /// Lets anybody call, without a key. Only for networks where nobody else is.
    pub insecure: bool,
    /// Longest request body in bytes: its worst cost in memory per request.
    pub max_request_body_size: u32,
}

impl Default for HttpApi {
    fn default() -> Self {
        Self {
            disabled: false,
            handler_prefix: "/api".to_owned(),
            key: String::new(),
            error_mode: String::new(),
            external: false,
            insecure: false,
            max_request_body_size: 4 << 20,
        }
    }
}

/// `websocket`: the WebSocket endpoint.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct WebSocket {
    /// Serves no WebSocket.
    pub disabled: bool,
    /// Where it is served.
    pub handler_prefix: String,
    /// Longest message of a client in bytes: its worst cost in memory per connection that sends.
    pub message_size_limit: u32,
    /// A connection that takes no bytes for this long while some wait is closed.
    pub write_timeout: HumanDuration,
}

impl Default for WebSocket {
    fn default() -> Self {
        Self {
            disabled: false,
            handler_prefix: "/connection/websocket".to_owned(),
            message_size_limit: 65_536,
            write_timeout: HumanDuration::from_secs(1),
        }
    }
}

/// `webtransport`: the WebTransport endpoint, on the UDP port of `quic`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct WebTransport {
    /// Whether it is served; needs `quic.enabled`. Without any configuration it is.
    pub enabled: bool,
    /// Where it is served.
    pub handler_prefix: String,
    /// Longest message of a client in bytes: its worst cost in memory per connection that sends.
    pub message_size_limit: u32,
}

impl Default for WebTransport {
    fn default() -> Self {
        Self {
            enabled: false,
            handler_prefix: "/connection/webtransport".to_owned(),
            message_size_limit: 65_536,
        }
    }
}

/// `prometheus`: the metrics endpoint.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Prometheus {
    /// Whether it is served.
    pub enabled: bool,
    /// Where it is served.
    pub handler_prefix: String,
}

impl Default for Prometheus {
    fn default() -> Self {
        Self {
            enabled: true,
            handler_prefix: "/metrics".to_owned(),
        }
    }
}

/// `health`: the liveness endpoint; `/ready`, the readiness, is always there.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Health {
    /// Whether it is served.
    pub enabled: bool,
    /// Where it is served.
    pub handler_prefix: String,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            enabled: true,
            handler_prefix: "/health".to_owned(),
        }
    }
}

/// `page`: the demonstration page at `/`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Page {
    /// Whether it is served; without any configuration it is.
    pub enabled: bool,
}
