//! A wire between a client and a server on which datagrams can be held up, and copied.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::net::UdpSocket;
use tokio::sync::watch;

/// A proxy for one client.
pub(super) struct Proxy {
    /// What the client takes for the server.
    pub(super) address: SocketAddr,
    /// What the client has sent before the server's first answer.
    first: Arc<Mutex<Vec<Vec<u8>>>>,
    open: watch::Sender<bool>,
}

impl Proxy {
    /// Passes on what the client sends before the server's first answer, and what the server sends; the rest of what the
    /// client sends waits until the proxy is [opened](Self::open).
    pub(super) async fn start(server: SocketAddr) -> Self {
        let near = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let far = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        far.connect(server).await.unwrap();
        let address = near.local_addr().unwrap();
        let (open, is_open) = watch::channel(false);
        let first = Arc::new(Mutex::new(Vec::new()));
        tokio::spawn(pass(near, far, Arc::clone(&first), is_open));
        Self { address, first, open }
    }

    /// Passes everything on from now on.
    pub(super) fn open(&self) {
        self.open.send_replace(true);
    }

    /// Copies of what the client has sent before the server's first answer.
    pub(super) fn first_flight(&self) -> Vec<Vec<u8>> {
        self.first.lock().clone()
    }
}

async fn pass(
    near: UdpSocket,
    far: UdpSocket,
    first: Arc<Mutex<Vec<Vec<u8>>>>,
    mut is_open: watch::Receiver<bool>,
) {
    let (mut there, mut back) = ([0; 2000], [0; 2000]);
    let (mut held, mut client, mut is_answered) = (Vec::<Vec<u8>>::new(), None, false);
    loop {
        tokio::select! {
            Ok(()) = is_open.changed() => {
                for datagram in held.drain(..) {
                    send(&far, &datagram).await;
                }
            }
            Ok((length, from)) = near.recv_from(&mut there) => {
                client = Some(from);
                let datagram = there[..length].to_vec();
                if !is_answered {
                    first.lock().push(datagram.clone());
                }
                if !is_answered || *is_open.borrow() {
                    send(&far, &datagram).await;
                } else {
                    held.push(datagram);
                }
            }
            Ok(length) = far.recv(&mut back), if client.is_some() => {
                is_answered = true;
                let _ = near.send_to(&back[..length], client.unwrap()).await;
            }
            else => return,
        }
    }
}

/// The server may have gone; then it is lost, as datagrams may be.
async fn send(far: &UdpSocket, datagram: &[u8]) {
    let _ = far.send(datagram).await;
}
