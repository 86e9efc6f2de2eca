//! What is served over HTTP.

use campanile_common::HumanDuration;
use serde::{Deserialize, Serialize};

use super::super::describe::section;

section! {
    /// `http_api`: the server API.
    #[derive(Clone, Debug, Serialize, Deserialize)]
    #[serde(default)]
    pub struct HttpApi {
        /// Serves no API.
        pub disabled: bool,
        /// Where it is served.
        pub handler_prefix: String,
        /// The key that callers present; empty: nobody may call.
        pub key: String,
        /// `transport`: errors become HTTP statuses; empty: status 200 and an `error` object.
        pub error_mode: String,
        /// Serves the API on the clients' port although there is an internal one.
        pub external: bool,
        /// Lets everybody call, without a key. Only for networks where nobody else is.
        pub insecure: bool,
        /// Longest request body. A request costs up to three times this in memory; a broadcast to the shortest names that there are,
        /// some sixty times.
        pub max_request_body_size: u32 as "bytes",
    }
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

section! {
    /// `websocket`: the WebSocket endpoint.
    #[derive(Clone, Debug, Serialize, Deserialize)]
    #[serde(default)]
    pub struct WebSocket {
        /// Serves no WebSocket.
        pub disabled: bool,
        /// Where it is served.
        pub handler_prefix: String,
        /// Longest message of a client: its worst cost in memory for each connection that sends.
        pub message_size_limit: u32 as "bytes",
        /// A connection that takes no bytes for this long while some wait is closed.
        pub write_timeout: HumanDuration,
    }
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

section! {
    /// `webtransport`: the WebTransport endpoint, on the UDP port of `quic`.
    #[derive(Clone, Debug, Serialize, Deserialize)]
    #[serde(default)]
    pub struct WebTransport {
        /// Whether it is served, on the UDP port of `quic`, which must be on; without any configuration it is.
        pub enabled: bool,
        /// Where it is served.
        pub handler_prefix: String,
        /// Longest message of a client: its worst cost in memory for each connection that sends.
        pub message_size_limit: u32 as "bytes",
    }
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

section! {
    /// `prometheus`: the metrics endpoint.
    #[derive(Clone, Debug, Serialize, Deserialize)]
    #[serde(default)]
    pub struct Prometheus {
        /// Whether it is served.
        pub enabled: bool,
        /// Where it is served.
        pub handler_prefix: String,
    }
}

impl Default for Prometheus {
    fn default() -> Self {
        Self {
            enabled: true,
            handler_prefix: "/metrics".to_owned(),
        }
    }
}

section! {
    /// `health`: another path of the liveness endpoint; `/live`, and `/ready`, the readiness, are always there.
    #[derive(Clone, Debug, Serialize, Deserialize)]
    #[serde(default)]
    pub struct Health {
        /// Whether it is served.
        pub enabled: bool,
        /// Where it is served.
        pub handler_prefix: String,
    }
}

impl Default for Health {
    fn default() -> Self {
        Self {
            enabled: true,
            handler_prefix: "/health".to_owned(),
        }
    }
}

section! {
    /// `page`: the demonstration page at `/`.
    #[derive(Clone, Debug, Default, Serialize, Deserialize)]
    #[serde(default)]
    pub struct Page {
        /// Whether it is served; without any configuration it is.
        pub enabled: bool,
    }
}
