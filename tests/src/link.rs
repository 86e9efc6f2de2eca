//! Two network namespaces joined by an emulated link: delay, loss, reordering, a path's size, and what it does not let
//! through.
//!
//! A [`Link`] has a [`server`](Link::server) and a [`client`](Link::client): threads in namespaces of their own, with
//! nothing in them but a loopback and one device that leads to the other side. What a future does that runs there —
//! opening sockets, starting processes — happens in that namespace, so a gateway and its clients need know nothing of it.
//!
//! Every packet between the two passes through this process, where a [`Path`] for each direction decides its
//! fate from a seed. The namespaces have no names and their devices no permanence: the kernel removes both when the last
//! thread, process and socket in them is gone, however it went.
//!
//! Making a namespace needs privileges: see [`Link::between`].

mod namespace;
mod path;
mod relay;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::{Builder, JoinHandle};

use anyhow::{Context as _, Result};
use parking_lot::Mutex;
use tokio::sync::oneshot;

pub use namespace::{Namespace, change_address};
pub use path::{Conditions, Counts};

use path::Path;
use relay::Ends;

/// The address of the server's side, in a network that nothing outside the two namespaces can see.
pub const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

/// The address of the client's side.
pub const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);

/// Two namespaces and what is between them; all of it ends with this value.
#[derive(Debug)]
pub struct Link {
    server: Namespace,
    client: Namespace,
    paths: Paths,
    // Dropped before the thread is waited for, which ends it.
    stop: Option<oneshot::Sender<()>>,
    relay: Option<JoinHandle<()>>,
}

/// Both directions.
#[derive(Debug, Clone)]
struct Paths {
    to_server: Arc<Mutex<Path>>,
    to_client: Arc<Mutex<Path>>,
}

impl Link {
    /// Makes the namespaces and the link.
    ///
    /// # Errors
    /// When this process may not: it needs `CAP_SYS_ADMIN` and `CAP_NET_ADMIN`, in a user namespace of its own at least,
    /// and `/dev/net/tun`.
    pub fn between(conditions: Conditions) -> Result<Self> {
        let paths = Paths {
            to_server: Arc::new(Mutex::new(Path::new(conditions, 0))),
            to_client: Arc::new(Mutex::new(Path::new(conditions, 1))),
        };
        let (stop, stopped) = oneshot::channel();
        let (made, wait) = mpsc::sync_channel(1);
        let between = paths.clone();
        // A thread of its own, because the thread that makes a namespace finds itself in it.
        let relay = Builder::new()
            .name("link".to_owned())
            .spawn(move || relay::run(&between, stopped, &made))?;
        let Ends { server, client } = wait.recv().context("the link's thread has ended")??;
        Ok(Self {
            server,
            client,
            paths,
            stop: Some(stop),
            relay: Some(relay),
        })
    }

    /// The side of the gateway, at [`SERVER`].
    pub fn server(&self) -> &Namespace {
        &self.server
    }

    /// The side of the clients, at [`CLIENT`].
    pub fn client(&self) -> &Namespace {
        &self.client
    }

    /// Gives packets from now on, in both directions, another fate. Those that are under way keep theirs.
    pub fn change(&self, change: impl Fn(&mut Conditions)) {
        change(self.paths.to_server.lock().conditions_mut());
        change(self.paths.to_client.lock().conditions_mut());
    }

    /// What has become of the packets to the server so far.
    pub fn to_server(&self) -> Counts {
        self.paths.to_server.lock().counts()
    }

    /// What has become of the packets to the client so far.
    pub fn to_client(&self) -> Counts {
        self.paths.to_client.lock().counts()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.stop.take();
        let ended = self.relay.take().map(JoinHandle::join);
        assert!(
            std::thread::panicking() || matches!(ended, Some(Ok(()))),
            "the link's thread has failed"
        );
    }
}
