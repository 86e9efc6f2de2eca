//! The QUIC endpoint.

use serde::{Deserialize, Serialize};

/// `quic`: the QUIC endpoint, for native clients and for WebTransport.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Quic {
    /// Whether there is one; without any configuration there is.
    pub enabled: bool,
    /// IP address; empty: that of `http_server.address`.
    pub address: String,
    /// UDP port; 0: the number of `http_server.port`.
    pub port: u16,
    /// Makes a certificate on the spot if none is configured. Only for development.
    pub generated_certificate: bool,
    /// Longest message of a client in bytes.
    pub message_size_limit: u32,
    /// Sends what is published in different channels on streams of their own to clients that take them.
    pub stream_per_channel: bool,
    /// Connections that are about to begin, above which clients have to prove their address.
    pub handshakes_before_retry: u32,
    /// Connections that are about to begin, above which others are refused.
    pub max_handshakes: u32,
    /// Lets clients that come back connect with their first packets.
    pub zero_rtt: bool,
    /// How much is sent when packets are lost: cubic or bbr.
    pub congestion_control: String,
}

impl Default for Quic {
    fn default() -> Self {
        Self {
            enabled: false,
            address: String::new(),
            port: 0,
            generated_certificate: false,
            message_size_limit: 65_536,
            stream_per_channel: true,
            handshakes_before_retry: 256,
            max_handshakes: 4096,
            zero_rtt: true,
            congestion_control: "cubic".into(),
        }
    }
}
