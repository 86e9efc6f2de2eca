//! The listening sockets: the clients' and, if there is one, the internal one.

use std::net::SocketAddr;

use axum::Router;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::HttpOptions;
use crate::http::{BindError, Bound, bind};

/// Sockets that listen and are not served yet.
#[derive(Debug)]
pub(super) struct Sockets {
    public: Bound,
    internal: Option<Bound>,
}

/// Sockets that are served.
#[derive(Debug)]
pub(super) struct Serving {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Sockets {
    pub(super) async fn bind(options: &HttpOptions) -> Result<Self, BindError> {
        let public = bind(options.public).await?;
        let internal = match options.internal {
            Some(address) => Some(bind(address).await?),
            None => None,
        };
        Ok(Self { public, internal })
    }

    /// Where clients connect to.
    pub(super) fn public(&self) -> SocketAddr {
        self.public.address()
    }

    /// All addresses, the public one first.
    pub(super) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        let sockets = std::iter::once(&self.public).chain(&self.internal);
        sockets.map(Bound::address)
    }

    /// Serves the public and the internal router.
    pub(super) fn serve(self, (public, internal): (Router, Option<Router>)) -> Serving {
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(self.public.serve(public, stop.clone(), tasks.clone()));
        if let Some((socket, router)) = self.internal.zip(internal) {
            tasks.spawn(socket.serve(router, stop.clone(), tasks.clone()));
        }
        Serving { stop, tasks }
    }
}

impl Serving {
    /// Accepts no more connections, and waits until requests under way are answered.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}
