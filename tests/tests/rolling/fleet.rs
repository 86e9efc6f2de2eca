//! What stands before the gateways: new connections go to those that say that they are ready, in turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use campanile_client::transport::{Dial, DialContext, Dialing, QuicDialer, WebSocketDialer};
use campanile_client::{OpenError, TlsOptions};
use campanile_tests::api::Api;
use campanile_tests::gateway::Gateway;
use parking_lot::RwLock;

/// How often gateways are asked whether they are ready.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// The gateways, as who stands before them knows them.
pub(crate) struct Fleet {
    doors: RwLock<Vec<Arc<Door>>>,
    next: AtomicUsize,
}

/// One gateway.
struct Door {
    base: String,
    websocket: WebSocketDialer,
    quic: QuicDialer,
    api: Api,
    is_ready: AtomicBool,
}

impl Fleet {
    /// No gateways yet. Whoever is added is asked at this path from then on, as long as the fleet is in use.
    pub(crate) fn watch(readiness: &str) -> Arc<Self> {
        let fleet = Arc::new(Self {
            doors: RwLock::default(),
            next: AtomicUsize::new(0),
        });
        let (weak, path) = (Arc::downgrade(&fleet), readiness.to_owned());
        tokio::spawn(async move {
            let http = reqwest::Client::new();
            while let Some(doors) = weak.upgrade().map(|fleet| fleet.doors.read().clone()) {
                for door in doors {
                    door.ask(&http, &path).await;
                }
                tokio::time::sleep(ASK_EVERY).await;
            }
        });
        fleet
    }

    /// A gateway that is ready.
    pub(crate) fn add(&self, gateway: &Gateway) -> Result<()> {
        let udp = gateway.udp();
        let trust = TlsOptions::default().certificate(format!("{:?}", udp.certificate).parse()?);
        let door = Door {
            base: gateway.url().to_owned(),
            websocket: WebSocketDialer::new(&gateway.websocket_url())?,
            quic: QuicDialer::new(&format!("quic://{}", udp.address), &trust)?,
            api: gateway.api(),
            is_ready: AtomicBool::new(true),
        };
        self.doors.write().push(Arc::new(door));
        Ok(())
    }

    /// A gateway that is no more.
    pub(crate) fn remove(&self, gateway: &Gateway) {
        self.doors.write().retain(|door| door.base != gateway.url());
    }

    /// The API of one that is ready.
    pub(crate) fn api(&self) -> Option<Api> {
        self.next().map(|door| door.api.clone())
    }

    fn next(&self) -> Option<Arc<Door>> {
        let doors = self.doors.read();
        let ready: Vec<_> = doors
            .iter()
            .filter(|door| door.is_ready.load(Ordering::Relaxed))
            .collect();
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        Some(Arc::clone(ready.get(turn.checked_rem(ready.len())?)?))
    }
}

impl Door {
    async fn ask(&self, http: &reqwest::Client, path: &str) {
        let url = format!("{}{path}", self.base);
        let answer = http.get(url).timeout(Duration::from_secs(5)).send().await;
        let is_ready = answer.is_ok_and(|answer| answer.status().is_success());
        self.is_ready.store(is_ready, Ordering::Relaxed);
    }
}

/// Over WebSocket, or over QUIC.
pub(crate) struct Way {
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) quic: bool,
}

impl Dial for Way {
    fn dial(&self, context: DialContext) -> Dialing<'_> {
        let door = self.fleet.next();
        Box::pin(async move {
            match door {
                None => Err(OpenError::Address("nobody is ready".to_owned())),
                Some(door) if self.quic => door.quic.dial(context).await,
                Some(door) => door.websocket.dial(context).await,
            }
        })
    }
}
