//! Where a gateway takes connections, by transport.

use std::fmt;
use std::net::SocketAddr;

use anyhow::{Context as _, Result};

/// What a connection goes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// WebSocket over TCP.
    WebSocket,
    /// The native protocol over QUIC.
    Quic,
    /// WebTransport over HTTP/3.
    WebTransport,
}

impl Transport {
    /// Every transport.
    pub const ALL: [Self; 3] = [Self::WebSocket, Self::Quic, Self::WebTransport];
}

/// One way into a gateway.
#[derive(Clone, Debug)]
pub enum Endpoint {
    /// The URL of its WebSocket endpoint.
    WebSocket(String),
    /// Its UDP port, for native clients.
    Quic(Udp),
    /// Its UDP port, for browsers.
    WebTransport(Udp),
}

/// A gateway's UDP port.
#[derive(Clone, Debug)]
pub struct Udp {
    /// Where it is.
    pub address: SocketAddr,
    /// The certificate that is expected there.
    pub certificate: Fingerprint,
}

/// The SHA-256 of a certificate.
#[derive(Clone, PartialEq, Eq)]
pub struct Fingerprint([u8; Self::LENGTH]);

impl Endpoint {
    /// What connections to it go over.
    pub fn transport(&self) -> Transport {
        match self {
            Self::WebSocket(_) => Transport::WebSocket,
            Self::Quic(_) => Transport::Quic,
            Self::WebTransport(_) => Transport::WebTransport,
        }
    }
}

impl From<&str> for Endpoint {
    /// A WebSocket URL.
    fn from(url: &str) -> Self {
        Self::WebSocket(url.to_owned())
    }
}

impl From<&String> for Endpoint {
    /// A WebSocket URL.
    fn from(url: &String) -> Self {
        Self::WebSocket(url.clone())
    }
}

impl From<&Self> for Endpoint {
    fn from(endpoint: &Self) -> Self {
        endpoint.clone()
    }
}

impl Fingerprint {
    const LENGTH: usize = 32;

    /// As 64 hexadecimal digits.
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Reads 64 hexadecimal digits, with or without colons between them.
    pub fn parse(text: &str) -> Result<Self> {
        let digits = text.replace(':', "");
        let byte = |index: usize| {
            let pair = digits.get(2 * index..2 * index + 2)?;
            u8::from_str_radix(pair, 16).ok()
        };
        let bytes: Option<Vec<u8>> = (0..Self::LENGTH).map(byte).collect();
        let bytes = bytes.filter(|_| digits.len() == 2 * Self::LENGTH);
        let bytes = bytes.with_context(|| format!("{text} is no SHA-256"))?;
        Ok(Self(bytes.try_into().expect("as many as were asked for")))
    }

    /// Whether it is that of a certificate with this digest.
    pub(super) fn is(&self, digest: &[u8]) -> bool {
        self.0 == digest
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::Fingerprint;

    #[test]
    fn a_fingerprint_is_read_with_and_without_colons() {
        let plain = "0123456789abcdef".repeat(4);
        let read = Fingerprint::parse(&plain).expect("64 digits");
        assert_eq!(format!("{read:?}"), plain);
        let pairs: Vec<String> = (0..32).map(|at| plain[2 * at..2 * at + 2].to_owned()).collect();
        assert_eq!(Fingerprint::parse(&pairs.join(":")).expect("with colons"), read);
        for wrong in [
            "",
            "01",
            &plain[1..],
            &format!("{plain}0"),
            &plain.replace('a', "g"),
        ] {
            assert!(Fingerprint::parse(wrong).is_err(), "{wrong}");
        }
    }
}
