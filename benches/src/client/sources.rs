//! Where connections come from: a server's address takes only as many from one address as there are ports.

use std::net::{IpAddr, Ipv4Addr};

/// Connections that come from one address: well below the 28,232 ports that Linux gives out by itself.
const EACH: usize = 20_000;

/// The address from which the client of this number connects to a server on this machine. `None`: whatever the system likes.
pub(super) fn of(client: usize) -> Option<IpAddr> {
    let number = u32::try_from(client / EACH).ok().filter(|number| *number > 0)?;
    // 127.0.0.2 and on: all of 127.0.0.0/8 is this machine's.
    Some(Ipv4Addr::from_bits(Ipv4Addr::LOCALHOST.to_bits() + number % 0xff_ff00).into())
}
