//! The process: listening, logging, ending.

use std::fmt;

use campanile_common::HumanDuration;
use serde::{Deserialize, Serialize};

use super::super::describe::section;

section! {
    /// `http_server`: where to listen.
    #[derive(Clone, Debug, Serialize, Deserialize)]
    #[serde(default)]
    pub struct HttpServer {
        /// IP address for clients; empty: all interfaces (without any configuration 127.0.0.1).
        pub address: String,
        /// TCP port for clients; 0: any free one.
        pub port: u16,
        /// IP address of the internal port; empty: the same as `http_server.address`.
        pub internal_address: String,
        /// TCP port for API, health, readiness and metrics, which then are not on `http_server.port`; 0: that one serves
        /// everything.
        pub internal_port: u16,
        /// TLS, 1.2 and 1.3, on both TCP ports: `https://` and `wss://`. QUIC has the same certificate, also while this is off.
        pub tls: Tls,
        /// Leaves the internal port without TLS, unless it has its own.
        pub tls_external: bool,
        /// TLS on the internal port with a certificate of its own.
        pub internal_tls: Tls,
    }
}

impl Default for HttpServer {
    fn default() -> Self {
        Self {
            address: String::new(),
            port: 8000,
            internal_address: String::new(),
            internal_port: 0,
            tls: Tls::default(),
            tls_external: false,
            internal_tls: Tls::default(),
        }
    }
}

section! {
    /// `http_server.tls`, `http_server.internal_tls`: a server's side of TLS.
    #[derive(Clone, Default, Serialize, Deserialize)]
    #[serde(default)]
    pub struct Tls {
        /// Whether the port speaks TLS.
        pub enabled: bool,
        /// The certificate, those between it and its authority behind it: the path of a PEM file, or the PEM itself, or its
        /// base64.
        pub cert_pem: String,
        /// The same for its private key, without a password.
        pub key_pem: String,
    }
}

/// Shows no key.
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tls(enabled: {}, …)", self.enabled)
    }
}

section! {
    /// `log`: what to log, and how. Logs go to standard error.
    #[derive(Clone, Debug, Serialize, Deserialize)]
    #[serde(default)]
    pub struct Log {
        /// `trace`, `debug`, `info`, `warn`, `error` or `none`.
        pub level: String,
        /// `text` or `json`.
        pub format: String,
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            format: "text".to_owned(),
        }
    }
}

section! {
    /// `node`: this gateway.
    #[derive(Clone, Debug, Default, Serialize, Deserialize)]
    #[serde(default)]
    pub struct Node {
        /// Its name, for people; empty: host name and port.
        pub name: String,
    }
}

section! {
    /// `shutdown`: how the gateway ends.
    #[derive(Clone, Debug, Serialize, Deserialize)]
    #[serde(default)]
    pub struct Shutdown {
        /// The process ends after this long at the latest; the next two are part of it.
        pub timeout: HumanDuration,
        /// For this long it only says that it is not ready, and serves on: as long as load balancers may take to notice.
        pub delay: HumanDuration,
        /// Then clients are told to go elsewhere, in batches over this long, so that they do not return all at once.
        pub spread: HumanDuration,
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self {
            timeout: HumanDuration::from_secs(30),
            delay: HumanDuration::ZERO,
            spread: HumanDuration::from_secs(5),
        }
    }
}
