//! A TCP proxy such as stands before a fleet: clients know its one address, the test decides where it leads.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::gateway::websocket_url;

/// Where connections go; every change ends those that are open.
type Target = Option<Arc<str>>;

/// A proxy whose connections can be cut and pointed elsewhere.
#[derive(Debug)]
pub struct Balancer {
    address: SocketAddr,
    target: watch::Sender<Target>,
    accepting: JoinHandle<()>,
}

impl Balancer {
    /// Starts a proxy that leads to `target`, a host and port.
    pub async fn start(target: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (sender, receiver) = watch::channel(Some(Arc::from(target)));
        let accepting = tokio::spawn(accept(listener, receiver));
        Ok(Self {
            address,
            target: sender,
            accepting,
        })
    }

    /// The URL of the WebSocket endpoint behind it.
    pub fn websocket_url(&self) -> String {
        websocket_url(&self.address())
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Its host and port.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Ends all connections and closes every new one at once.
    pub fn cut(&self) {
        self.target.send_replace(None);
    }

    /// Ends all connections and leads new ones to `target`.
    pub fn point_to(&self, target: &str) {
        self.target.send_replace(Some(Arc::from(target)));
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.cut();
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, target: watch::Receiver<Target>) {
    while let Ok((client, _)) = listener.accept().await {
        tokio::spawn(forward(client, target.clone()));
    }
}

/// Passes bytes both ways until either side ends or the target changes; then both sockets close.
async fn forward(mut client: TcpStream, mut target: watch::Receiver<Target>) {
    let Some(address) = target.borrow_and_update().clone() else {
        return;
    };
    let Ok(mut server) = TcpStream::connect(&*address).await else {
        return;
    };
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
        _ = target.changed() => {}
    }
}
