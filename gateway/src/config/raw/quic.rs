//! The QUIC endpoint.

use serde::{Deserialize, Serialize};

use super::super::describe::section;

section! {
    /// `quic`: the QUIC endpoint, for native clients and for WebTransport.
    #[derive(Clone, Debug, Serialize, Deserialize)]
    #[serde(default)]
    pub struct Quic {
        /// Whether there is one; without any configuration there is.
        pub enabled: bool,
        /// IP address; empty: that of `http_server.address`.
        pub address: String,
        /// UDP port; 0: the number of `http_server.port`. Ports of TCP and UDP are apart, so both can have one number; if
        /// another process has the UDP port, the gateway does not start.
        pub port: u16,
        /// Makes a certificate for `localhost`, 127.0.0.1, ::1 and the name of this machine if none is configured. For
        /// development: clients have to be told its SHA-256, and it is another one after each start.
        pub generated_certificate: bool,
        /// Longest message of a native client.
        pub message_size_limit: u32 as "bytes",
        /// Sends what is published in different channels on streams of their own to clients that take them, so that a lost
        /// packet holds up one channel and not all.
        pub stream_per_channel: bool,
        /// Clients that are about to begin, above which others have to prove their address first (one round trip more).
        pub handshakes_before_retry: u32 as "connections",
        /// Clients that are about to begin, above which others are refused. Each costs up to about 100 KiB for at most
        /// `client.stale_close_delay`.
        pub max_handshakes: u32 as "connections",
        /// Lets clients that come back connect with their first packets; [why that is safe](protocol.md#0-rtt).
        pub zero_rtt: bool,
        /// What decides how much is sent when packets are lost: `cubic` takes each loss for a full queue and slows down; `bbr`
        /// measures the path and keeps its pace on networks that lose packets by themselves, such as radio. QUIC's `bbr` is
        /// young; try it with your own clients.
        pub congestion_control: String,
    }
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
