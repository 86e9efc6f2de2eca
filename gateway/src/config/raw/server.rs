//! The process: listening, logging, ending.

use std::fmt;

use campanile_common::HumanDuration;
use serde::{Deserialize, Serialize};

/// `http_server`: where to listen.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct HttpServer {
    /// IP address for clients; empty: all interfaces (without any configuration: 127.0.0.1).
    pub address: String,
    /// TCP port for clients; 0: any free one.
    pub port: u16,
    /// IP address of the internal endpoints; empty: the same as `address`.
    pub internal_address: String,
    /// TCP port for API, health and metrics, which then are not on `port`; 0: `port` serves everything.
    pub internal_port: u16,
    /// TLS on `port`, and with the same certificate on `internal_port`, and QUIC's certificate.
    pub tls: Tls,
    /// Leaves `internal_port` without TLS unless it has its own.
    pub tls_external: bool,
    /// TLS on `internal_port` with a certificate of its own.
    pub internal_tls: Tls,
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

/// `http_server.tls`, `http_server.internal_tls`: a server's side of TLS.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Tls {
    /// Whether the port speaks TLS.
    pub enabled: bool,
    /// Path of a PEM file with the certificate, those between it and its authority behind it; or the PEM, or its base64.
    pub cert_pem: String,
    /// The same for the private key.
    pub key_pem: String,
}

/// Shows no key.
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tls(enabled: {}, …)", self.enabled)
    }
}

/// `log`: what to log, and how. Logs go to standard error.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Log {
    /// `trace`, `debug`, `info`, `warn`, `error` or `none`.
    pub level: String,
    /// `text` or `json`.
    pub format: String,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            format: "text".to_owned(),
        }
    }
}

/// `node`: this gateway.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Node {
    /// Its name in `info` and in logs, for people; empty: host name and port.
    pub name: String,
}

/// `shutdown`: how the gateway ends.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Shutdown {
    /// After this long it ends whether connections are closed or not.
    pub timeout: HumanDuration,
    /// Connections are closed one after the other over this long, so that they do not return all at once.
    pub spread: HumanDuration,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self {
            timeout: HumanDuration::from_secs(30),
            spread: HumanDuration::from_secs(5),
        }
    }
}
