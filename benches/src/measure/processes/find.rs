//! Which processes of this machine listen on a port: from the kernel's table of sockets to who holds them open.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _, UdpSocket};

use super::watch::Watched;
use crate::target::{Target, address};

/// Why the process behind an address cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum NotFound {
    /// The address says nothing to this machine.
    #[error("{0} has no address that is known here")]
    Unknown(String),
    /// It is on another machine.
    #[error("{0} is not an address of this machine")]
    Elsewhere(SocketAddr),
    /// Nothing listens there, as far as this machine's tables say.
    #[error("nothing listens on port {0} in this network namespace (is the server in a container?)")]
    NobodyListens(u16),
    /// Something listens there, but whose it is may not be seen.
    #[error("the process that listens on port {0} belongs to another user")]
    NotOurs(u16),
    /// The tables cannot be read, as on other systems than Linux.
    #[error("the kernel's table of sockets cannot be read")]
    NoTable(#[source] io::Error),
}

/// `TCP_LISTEN` in the kernel's tables, and `TCP_CLOSE`, which is how they show a UDP socket that is not connected.
const TCP_LISTEN: &str = "0A";
const UDP_UNCONNECTED: &str = "07";

/// What the names of gateways and of shards begin with: figures are of those.
const KINDS: [&str; 2] = ["gateway", "redis"];

/// The processes of a target: those that it names and, of a kind of which it names none, those that listen at its addresses on
/// this machine; and for each server that cannot be watched why not, in words.
#[must_use]
pub fn of(target: &Target) -> (Vec<Watched>, Vec<String>) {
    let mut watched = target.processes.clone();
    let mut missing = Vec::new();
    let shards = target.shards.iter().chain(&target.spares);
    let addresses: [Vec<&String>; 2] = [
        target.urls.iter().collect(),
        shards.map(|shard| &shard.url).collect(),
    ];
    for (kind, urls) in KINDS.into_iter().zip(addresses) {
        if target.processes.iter().any(|it| it.name.starts_with(kind)) {
            continue;
        }
        for (url, number) in urls.into_iter().zip(1..) {
            let name = format!("{kind}-{number}");
            match address(url).and_then(listening_at) {
                // Several addresses of one process.
                Ok(pids) if watched.iter().any(|it| pids.contains(&it.pid)) => {}
                Ok(pids) => watched.extend(Watched::named(&name, &pids)),
                Err(reason) => missing.push(format!("{name}: {reason}")),
            }
        }
    }
    (watched, missing)
}

/// What a URL leads to.
fn address(url: &str) -> Result<SocketAddr, NotFound> {
    let unknown = || NotFound::Unknown(url.to_owned());
    let (host, port) = address::of(url).ok_or_else(unknown)?;
    let mut addresses = (host.as_str(), port).to_socket_addrs().map_err(|_| unknown())?;
    addresses.next().ok_or_else(unknown)
}

/// The processes that take connections at `address`, TCP or UDP, in ascending order.
///
/// # Errors
///
/// When there is none that can be watched.
pub fn listening_at(address: SocketAddr) -> Result<Vec<u32>, NotFound> {
    if !is_ours(address.ip()) {
        return Err(NotFound::Elsewhere(address));
    }
    let sockets = sockets_on(address.port()).map_err(NotFound::NoTable)?;
    if sockets.is_empty() {
        return Err(NotFound::NobodyListens(address.port()));
    }
    let mut pids: Vec<_> = all_pids()
        .map_err(NotFound::NoTable)?
        .filter(|pid| holds_one_of(*pid, &sockets))
        .collect();
    pids.sort_unstable();
    if pids.is_empty() {
        return Err(NotFound::NotOurs(address.port()));
    }
    Ok(pids)
}

/// Only to an address of its own does the system bind a socket.
fn is_ours(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

/// The inodes of sockets that wait for peers on `port`, on whichever of this machine's addresses.
fn sockets_on(port: u16) -> io::Result<HashSet<u64>> {
    let mut inodes = inodes(&fs::read_to_string("/proc/net/tcp")?, port, TCP_LISTEN);
    for (table, state) in [
        ("tcp6", TCP_LISTEN),
        ("udp", UDP_UNCONNECTED),
        ("udp6", UDP_UNCONNECTED),
    ] {
        // Without IPv6 there is no such table.
        let text = fs::read_to_string(format!("/proc/net/{table}")).unwrap_or_default();
        inodes.extend(self::inodes(&text, port, state));
    }
    Ok(inodes)
}

/// Of the sockets in `table` that are bound to `port` and in `state`.
pub(super) fn inodes(table: &str, port: u16, state: &str) -> HashSet<u64> {
    let inode = |line: &str| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let (_, bound) = fields.next()?.rsplit_once(':')?;
        let bound = u16::from_str_radix(bound, 16).ok()?;
        // Behind the local address come the remote one and the state; the inode is the tenth field.
        let in_state = fields.nth(1)? == state;
        let inode = fields.nth(5)?.parse().ok()?;
        (bound == port && in_state).then_some(inode)
    };
    table.lines().skip(1).filter_map(inode).collect()
}

fn all_pids() -> io::Result<impl Iterator<Item = u32>> {
    let entries = fs::read_dir("/proc")?;
    Ok(entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok()))
}

fn holds_one_of(pid: u32, sockets: &HashSet<u64>) -> bool {
    // Unreadable: another user's, or gone by now.
    let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    let socket = |link: &str| {
        link.strip_prefix("socket:[")?
            .strip_suffix(']')?
            .parse::<u64>()
            .ok()
    };
    files
        .flatten()
        .filter_map(|file| fs::read_link(file.path()).ok())
        .filter_map(|link| socket(link.to_str()?))
        .any(|inode| sockets.contains(&inode))
}
