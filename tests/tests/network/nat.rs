//! A router that translates addresses, and forgets.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Result;
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// Carries datagrams between one client and a server, which sees them come from a port of the router.
pub(crate) struct Nat {
    address: SocketAddr,
    forget: mpsc::Sender<oneshot::Sender<()>>,
    task: JoinHandle<Result<()>>,
}

impl Nat {
    /// Starts a router on loopback, with the server behind it.
    pub(crate) async fn before(server: SocketAddr) -> Result<Self> {
        let inside = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = inside.local_addr()?;
        let (forget, requests) = mpsc::channel(1);
        let task = tokio::spawn(carry(inside, server, requests));
        Ok(Self {
            address,
            forget,
            task,
        })
    }

    /// Where the client finds the server.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Forgets the client, whose next datagram comes from another port: what is sent to the old one is lost.
    pub(crate) async fn forget(&self) -> Result<()> {
        let (done, wait) = oneshot::channel();
        self.forget.send(done).await?;
        Ok(wait.await?)
    }
}

impl Drop for Nat {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(
    inside: UdpSocket,
    server: SocketAddr,
    mut requests: mpsc::Receiver<oneshot::Sender<()>>,
) -> Result<()> {
    let (mut outbound, mut inbound) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut outside = towards(server).await?;
    let mut client = None;
    loop {
        tokio::select! {
            received = inside.recv_from(&mut outbound) => {
                let (size, from) = received?;
                client = Some(from);
                outside.send(&outbound[..size]).await?;
            }
            received = outside.recv(&mut inbound) => {
                let size = received?;
                if let Some(client) = client {
                    inside.send_to(&inbound[..size], client).await?;
                }
            }
            Some(done) = requests.recv() => {
                // Bound before the old one goes, so that it is another port.
                outside = towards(server).await?;
                // Whoever asked may have gone.
                let _ = done.send(());
            }
        }
    }
}

/// A socket with a port of its own.
async fn towards(server: SocketAddr) -> Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    socket.connect(server).await?;
    Ok(socket)
}
