//! What all actors of a run share: where the gateways are, how far the run is, and the model.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use campanile_client::{Closed, Connection};
use campanile_common::Codec;
use campanile_common::message::ConnectRequest;
use campanile_tests::api::Api;
use campanile_tests::gateway::{API_KEY, Gateway};
use campanile_tests::token;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::model::Model;

/// Longer than anything takes on a busy machine that is not stuck.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Faults, publications, clients that come and go.
    Storm,
    /// Everything is mended; clients stay, and must arrive at the truth.
    Calm,
    /// The end.
    Over,
}

/// What all actors share.
pub(crate) struct World {
    /// What was seen.
    pub(crate) model: Model,
    /// The channels that keep a stream, then those that do not.
    pub(crate) channels: Vec<Channel>,
    /// The only shard that is broken, if it is only one; then gateways live, and all other channels must not notice.
    pub(crate) focus: Option<usize>,
    /// How far the run is.
    pub(crate) phase: watch::Sender<Phase>,
    gateways: Mutex<Vec<Seat>>,
}

/// A channel of the run.
#[derive(Clone, Debug)]
pub(crate) struct Channel {
    /// Its name.
    pub(crate) name: String,
    /// Whether it keeps a stream.
    pub(crate) stream: bool,
    /// The shard that keeps it, as far as is known.
    pub(crate) shard: Option<usize>,
}

/// Where a gateway is, and how often it has been killed.
#[derive(Clone, Debug)]
pub(crate) struct Seat {
    /// Its place in the list.
    pub(crate) index: usize,
    /// Its WebSocket endpoint.
    pub(crate) url: String,
    /// Its API.
    pub(crate) api: Api,
    /// Whether it runs.
    alive: bool,
    /// Counts its deaths and pauses: what ends because of one is no surprise.
    deaths: u32,
}

impl World {
    /// A world with these channels and gateways.
    pub(crate) fn new(channels: Vec<Channel>, gateways: &[Gateway], focus: Option<usize>) -> Arc<Self> {
        let seats = gateways.iter().enumerate().map(|(index, gateway)| Seat {
            index,
            url: gateway.websocket_url(),
            api: gateway.api(),
            alive: true,
            deaths: 0,
        });
        Arc::new(Self {
            model: Model::default(),
            channels,
            focus,
            phase: watch::Sender::new(Phase::Storm),
            gateways: Mutex::new(seats.collect()),
        })
    }

    /// How far the run is.
    pub(crate) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Where gateway `index` is now; counted round.
    pub(crate) fn seat(&self, index: usize) -> Seat {
        let seats = self.gateways.lock();
        seats[index % seats.len()].clone()
    }

    /// How many gateways there are.
    pub(crate) fn gateway_count(&self) -> usize {
        self.gateways.lock().len()
    }

    /// Gateway `index` is about to be killed or paused.
    pub(crate) fn dies(&self, index: usize) {
        let seat = &mut self.gateways.lock()[index];
        seat.alive = false;
        seat.deaths += 1;
    }

    /// Gateway `index` is back, perhaps elsewhere.
    pub(crate) fn returns(&self, index: usize, gateway: &Gateway) {
        let mut seats = self.gateways.lock();
        seats[index].alive = true;
        seats[index].url = gateway.websocket_url();
        seats[index].api = Api::new(gateway.url(), API_KEY);
    }

    /// A channel was in trouble: a reason to wonder if nothing that it depends on is broken.
    pub(crate) fn trouble(&self, channel: &Channel, what: impl Display) {
        let elsewhere = |focus| channel.shard.is_some_and(|shard| shard != focus);
        if self.focus.is_some_and(elsewhere) {
            let name = &channel.name;
            self.model
                .violation(format!("{name}, whose shard is whole: {what}"));
        }
    }

    /// Connects to a gateway, if it is there.
    pub(crate) async fn connect(&self, seat: &Seat, user: &str, codec: Codec) -> Option<Connection> {
        let connecting = async {
            let mut connection = Connection::open(&seat.url, codec).await.ok()?;
            let request = ConnectRequest {
                token: token::connection(user),
                ..ConnectRequest::default()
            };
            connection.connect(request).await.ok().map(|_| connection)
        };
        let connected = timeout(PATIENCE, connecting).await.ok().flatten();
        if connected.is_none() && self.still(seat) {
            self.model
                .violation(format!("{user} cannot connect to gateway {}", seat.index));
        }
        connected
    }

    /// A connection ended by itself: only its gateway's death is a reason.
    pub(crate) fn lost(&self, seat: &Seat, user: &str, closed: &Closed) {
        if self.still(seat) {
            self.model.violation(format!(
                "{user}: gateway {} ended the connection: {closed}",
                seat.index
            ));
        }
    }

    /// Whether the gateway has lived since `seat` was looked up.
    pub(crate) fn still(&self, seat: &Seat) -> bool {
        seat.alive && self.seat(seat.index).deaths == seat.deaths
    }
}
