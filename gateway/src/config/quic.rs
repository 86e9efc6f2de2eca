//! The QUIC endpoint: validated.

use std::net::SocketAddr;

use super::raw::Raw;
use super::report::Report;
use super::server::ip;
use super::{HttpOptions, TlsOptions};

/// The QUIC endpoint.
#[derive(Clone, Debug)]
pub struct QuicOptions {
    /// Where to listen. Port 0: the number that the TCP port has.
    pub address: SocketAddr,
    /// Longest message of a native client in bytes.
    pub message_size_limit: usize,
    /// Whether clients that take them get streams for channels.
    pub stream_per_channel: bool,
    /// Connections that are about to begin, above which clients have to prove their address.
    pub handshakes_before_retry: usize,
    /// Connections that are about to begin at most.
    pub max_handshakes: usize,
    /// Whether clients that come back may connect with their first packets.
    pub zero_rtt: bool,
    /// How much is sent when packets are lost.
    pub congestion_control: CongestionControl,
}

/// How a connection finds out how much its path takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CongestionControl {
    /// CUBIC (RFC 9438): takes each lost packet for a full queue.
    Cubic,
    /// BBR: measures the path's rate and delay, and takes loss as it comes. quinn calls its own experimental.
    Bbr,
}

/// QUIC does not exist without a certificate, which is that of `tls`.
pub(super) fn quic(
    raw: &Raw,
    http: &HttpOptions,
    tls: &TlsOptions,
    report: &mut Report,
) -> Option<QuicOptions> {
    let quic = &raw.quic;
    if !quic.enabled {
        return None;
    }
    if tls.certificate.is_none() {
        report.error(
            "quic.enabled: QUIC needs a certificate: write http_server.tls.cert_pem and key_pem, or, for development, \
             quic.generated_certificate: true",
        );
    }
    let limits = [
        ("quic.message_size_limit", quic.message_size_limit, "65536"),
        ("quic.max_handshakes", quic.max_handshakes, "4096"),
    ];
    for (key, value, usual) in limits {
        if value == 0 {
            report.error(format!(
                "{key}: 0 lets nothing in; write a number such as {usual}"
            ));
        }
    }
    let congestion_control = match quic.congestion_control.as_str() {
        "cubic" => CongestionControl::Cubic,
        "bbr" => CongestionControl::Bbr,
        other => {
            report.error(format!(
                "quic.congestion_control: {other:?} is none; write cubic or bbr"
            ));
            return None;
        }
    };
    let address = ip("quic.address", &quic.address, http.public.ip(), report)?;
    let port = match quic.port {
        0 => http.public.port(),
        port => port,
    };
    Some(QuicOptions {
        address: SocketAddr::new(address, port),
        message_size_limit: quic.message_size_limit as usize,
        stream_per_channel: quic.stream_per_channel,
        handshakes_before_retry: quic.handshakes_before_retry as usize,
        max_handshakes: quic.max_handshakes as usize,
        zero_rtt: quic.zero_rtt,
        congestion_control,
    })
}
