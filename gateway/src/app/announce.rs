//! What the process says on standard output: where it listens, and what it made up.

use std::io::{self, Write};

use super::sockets::Sockets;
use crate::config::Demo;
use crate::tls::{Acceptors, Fingerprint};

/// One line for each address, the public one first, in a form that other programs can read.
pub(super) fn listening(sockets: &Sockets, tls: &Acceptors) {
    let mut out = io::stdout().lock();
    let public = (sockets.public(), tls.public.is_some());
    let internal = sockets
        .internal()
        .map(|address| (address, tls.internal.is_some()));
    for (address, is_tls) in std::iter::once(public).chain(internal) {
        let scheme = if is_tls { "https" } else { "http" };
        say(&mut out, &format!("listening on {scheme}://{address}"));
    }
    if let Some(address) = sockets.udp() {
        say(&mut out, &format!("listening on quic://{address}"));
    }
}

/// What clients pin where no authority vouches, also as `serverCertificateHashes` of browsers want it.
pub(super) fn generated(fingerprint: Fingerprint) {
    let mut out = io::stdout().lock();
    say(&mut out, &format!("certificate SHA-256: {fingerprint}"));
    say(
        &mut out,
        &format!("certificate SHA-256 in base64: {}", fingerprint.base64()),
    );
}

/// What whoever tries it out needs: these secrets are valid until the process ends.
pub(super) fn demo(demo: &Demo) {
    let mut out = io::stdout().lock();
    say(&mut out, &format!("API key: {}", demo.api_key));
    say(&mut out, &format!("token secret: {}", demo.token_secret));
}

/// Whoever closed the output does not want it.
fn say(out: &mut impl Write, line: &str) {
    let _ = writeln!(out, "{line}");
}
