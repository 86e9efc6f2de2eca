//! A UDP relay between clients and a gateway, which a test can cut.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use tokio::net::UdpSocket;
use tokio::task::{JoinHandle, JoinSet};

/// Longest datagram.
const MAX_DATAGRAM: usize = 65_536;

/// A relay on a port of its own. What comes while it is cut is lost, in both directions.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    cut: Arc<AtomicBool>,
    relaying: JoinHandle<()>,
}

impl Relay {
    /// Starts a relay that leads to `target`.
    pub async fn start(target: SocketAddr) -> Result<Self> {
        let socket = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?);
        let address = socket.local_addr()?;
        let cut = Arc::new(AtomicBool::new(false));
        let relaying = tokio::spawn(relay(socket, target, Arc::clone(&cut)));
        Ok(Self {
            address,
            cut,
            relaying,
        })
    }

    /// Where clients connect to.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets nothing through any more.
    pub fn cut(&self) {
        self.cut.store(true, Ordering::Relaxed);
    }

    /// Lets everything through again.
    pub fn mend(&self) {
        self.cut.store(false, Ordering::Relaxed);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.relaying.abort();
    }
}

/// Gives each client a socket of its own towards the target, so that answers find their way back.
async fn relay(socket: Arc<UdpSocket>, target: SocketAddr, cut: Arc<AtomicBool>) {
    let mut ways: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
    let mut answers = JoinSet::new();
    let mut datagram = vec![0; MAX_DATAGRAM];
    loop {
        // The system tells of ports that nobody listens on as errors of the next call.
        let Ok((length, client)) = socket.recv_from(&mut datagram).await else {
            continue;
        };
        if cut.load(Ordering::Relaxed) {
            continue;
        }
        let way = match ways.get(&client) {
            Some(way) => Arc::clone(way),
            None => {
                let Ok(way) = towards(target).await else { continue };
                let way = Arc::new(way);
                answers.spawn(answer(
                    Arc::clone(&way),
                    Arc::clone(&socket),
                    client,
                    Arc::clone(&cut),
                ));
                ways.insert(client, Arc::clone(&way));
                way
            }
        };
        let _ = way.send(&datagram[..length]).await;
    }
}

async fn towards(target: SocketAddr) -> std::io::Result<UdpSocket> {
    let way = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    way.connect(target).await?;
    Ok(way)
}

async fn answer(way: Arc<UdpSocket>, socket: Arc<UdpSocket>, client: SocketAddr, cut: Arc<AtomicBool>) {
    let mut datagram = vec![0; MAX_DATAGRAM];
    loop {
        let Ok(length) = way.recv(&mut datagram).await else {
            continue;
        };
        if !cut.load(Ordering::Relaxed) {
            let _ = socket.send_to(&datagram[..length], client).await;
        }
    }
}
