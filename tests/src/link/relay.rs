//! Makes the namespaces with their devices, and carries packets between them.

use std::future::pending;
use std::io;
use std::net::Ipv4Addr;
use std::sync::mpsc::SyncSender;
use std::time::Instant;

use anyhow::{Context as _, Result};
use nix::sched::{CloneFlags, unshare};
use parking_lot::Mutex;
use tokio::runtime;
use tokio::sync::oneshot;
use tokio_tun::Tun;

use super::path::Path;
use super::{CLIENT, Namespace, Paths, SERVER};

/// The name of the device that leads to the other side, in both namespaces.
pub(super) const DEVICE: &str = "link";

/// The longest packet that the devices take.
const DEVICE_MTU: i32 = 1500;

/// The network that both ends are in: its bits.
pub(super) const PREFIX: u32 = 24;
const NETMASK: Ipv4Addr = Ipv4Addr::from_bits(u32::MAX << (32 - PREFIX));

/// The places of an address in the header of IPv4.
const VERSION: usize = 0;
const DESTINATION: std::ops::Range<usize> = 16..20;

/// What is at the ends of a link.
pub(super) struct Ends {
    pub(super) server: Namespace,
    pub(super) client: Namespace,
}

/// Makes the ends, tells `made`, and carries packets until `stopped` resolves.
///
/// The calling thread is left in the client's namespace.
pub(super) fn run(paths: &Paths, stopped: oneshot::Receiver<()>, made: &SyncSender<Result<Ends>>) {
    let work = async {
        let (ends, [to_server, to_client]) = match make() {
            Ok(it) => it,
            // If nobody waits any more, nobody needs to know.
            Err(error) => return drop(made.send(Err(error))),
        };
        let _ = made.send(Ok(ends));
        let carried = tokio::select! {
            result = carry(&to_client, &to_server, &paths.to_server) => result,
            result = carry(&to_server, &to_client, &paths.to_client) => result,
            _ = stopped => Ok(()),
        };
        carried.expect("the devices are there for as long as they are held here");
    };
    match runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => drop(made.send(Err(error.into()))),
    }
}

/// Both ends, and the devices in them, the server's first.
fn make() -> Result<(Ends, [Tun; 2])> {
    let to_server = device_in_new_namespace(SERVER)?;
    let server = Namespace::begin("server")?;
    let to_client = device_in_new_namespace(CLIENT)?;
    let client = Namespace::begin("client")?;
    Ok((Ends { server, client }, [to_server, to_client]))
}

fn device_in_new_namespace(address: Ipv4Addr) -> Result<Tun> {
    unshare(CloneFlags::CLONE_NEWNET).context(
        "making a network namespace: this needs root, or a user namespace: \
         `unshare --user --map-root-user make e2e TEST=network`",
    )?;
    let devices = Tun::builder()
        .name(DEVICE)
        .mtu(DEVICE_MTU)
        .address(address)
        .netmask(NETMASK)
        .up()
        .build()
        .context("making a TUN device: this needs /dev/net/tun (`modprobe tun`)")?;
    devices.into_iter().next().context("one device was asked for")
}

/// Carries what comes from one device to the other, each packet at its time.
async fn carry(from: &Tun, to: &Tun, path: &Mutex<Path>) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let next = path.lock().next_arrival();
        tokio::select! {
            size = from.recv(&mut buffer) => {
                let packet = &buffer[..size?];
                if is_between_the_ends(packet) {
                    path.lock().offer(packet, Instant::now());
                }
            }
            () = arrival(next) => {}
        }
        while let Some(packet) = take(path) {
            to.send(&packet).await?;
        }
    }
}

async fn arrival(next: Option<Instant>) {
    match next {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => pending().await,
    }
}

// A function, so that the lock is not held while the packet is sent.
fn take(path: &Mutex<Path>) -> Option<Vec<u8>> {
    path.lock().arrived(Instant::now())
}

/// Kernels announce themselves on new devices (IPv6, multicast): nobody's packets, that must not take part in the draw.
fn is_between_the_ends(packet: &[u8]) -> bool {
    let network = &SERVER.octets()[..3];
    packet.get(VERSION).is_some_and(|it| it >> 4 == 4)
        && packet
            .get(DESTINATION)
            .is_some_and(|it| it.starts_with(network) && it[3] != u8::MAX)
}
