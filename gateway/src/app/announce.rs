//! What the process says on standard output: where it listens, and what it made up.

use std::io::{self, Write as _};

use serde_json::{Value, json};

use super::sockets::Sockets;
use crate::config::Demo;
use crate::tls::{Acceptors, Fingerprint};

/// What whoever started the process wants to know.
pub(super) struct Announcement<'a> {
    /// Where it listens, as URLs, the clients' first.
    pub(super) listening: Vec<String>,
    /// The secrets that are valid until the process ends.
    pub(super) demo: Option<&'a Demo>,
    /// What clients pin where no authority vouches.
    pub(super) certificate: Option<Fingerprint>,
}

/// Where it listens, the clients' address first.
pub(super) fn addresses(sockets: &Sockets, tls: &Acceptors) -> Vec<String> {
    let public = (sockets.public(), tls.public.is_some());
    let internal = sockets
        .internal()
        .map(|address| (address, tls.internal.is_some()));
    let tcp = std::iter::once(public).chain(internal).map(|(address, is_tls)| {
        let scheme = if is_tls { "https" } else { "http" };
        format!("{scheme}://{address}")
    });
    let udp = sockets.udp().map(|address| format!("quic://{address}"));
    tcp.chain(udp).collect()
}

impl Announcement<'_> {
    /// Says it, in a form that other programs can read. Whoever closed the output does not want it.
    pub(super) fn say(&self, json: bool) {
        let mut out = io::stdout().lock();
        let lines = if json {
            vec![self.object().to_string()]
        } else {
            self.lines()
        };
        let _ = lines.iter().try_for_each(|line| writeln!(out, "{line}"));
    }

    fn lines(&self) -> Vec<String> {
        let listening = self.listening.iter().map(|url| format!("listening on {url}"));
        let mut lines: Vec<String> = listening.collect();
        if let Some(demo) = self.demo {
            lines.push(format!("API key: {}", demo.api_key));
            lines.push(format!("token secret: {}", demo.token_secret));
        }
        if let Some(fingerprint) = self.certificate {
            lines.push(format!("certificate SHA-256: {fingerprint}"));
            lines.push(format!("certificate SHA-256 in base64: {}", fingerprint.base64()));
        }
        lines
    }

    fn object(&self) -> Value {
        json!({
            "listening": self.listening,
            "api_key": self.demo.map(|demo| &demo.api_key),
            "token_secret": self.demo.map(|demo| &demo.token_secret),
            "certificate_sha256": self.certificate.map(|fingerprint| fingerprint.to_string()),
        })
    }
}
