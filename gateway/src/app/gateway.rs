//! The parts of a running gateway.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use campanile_shard_router::coordinator::{ConfiguredShards, Coordinator, CoordinatorParts, ShardRequests};
use campanile_shard_router::router::{Router, RouterConfig};
use campanile_shard_router::store::{GatewayId, TopologyStore};
use rand::Rng as _;
use tokio_util::sync::CancellationToken;

use super::gauges::Gauges;
use super::lists::{ListKeeper, Origin};
use super::readiness::{Beginning, Probe};
use super::requests::Requests;
use super::rules::Rules;
use super::shards::{Backend, coordinator_options};
use crate::api::Api;
use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::config::Config;
use crate::connection::Connection;
use crate::connection::endpoint::websocket;
use crate::connection::entrance::Entrance;
use crate::connection::host::Host;
use crate::connection::local::LocalConnections;
use crate::connection::shutdown::Departure;
use crate::exporter::Snapshot;
use crate::host_name::host_name;
use crate::http::Readiness;
use crate::hub::{EncodedCounters, Hub};
use crate::shards::ShardAdmin;

/// The router of client connections.
pub(super) type ClientRouter = Router<Hub<Connection>>;

/// The server API on it.
pub(super) type ClientApi = Api<Hub<Connection>>;

/// A running gateway.
pub(super) struct Gateway {
    name: String,
    store: Arc<dyn TopologyStore>,
    /// The shards that this gateway is told of.
    configured: ConfiguredShards,
    lists: ListKeeper,
    router: Arc<ClientRouter>,
    host: Arc<Host>,
    coordinator: Coordinator,
    shards: Arc<ShardAdmin>,
    rules: Rules,
    beginning: Arc<Beginning>,
    /// Cancelled once it was told to end.
    ending: CancellationToken,
}

impl Gateway {
    /// Makes the parts and begins their work. Nothing that is out of reach keeps it from starting.
    pub(super) fn start(
        config: &Config,
        origin: Origin,
        address: SocketAddr,
    ) -> anyhow::Result<(Self, Arc<ClientApi>)> {
        let name = config.node_name.clone().unwrap_or_else(|| made_up_name(address));
        let id = unique_id(&name);
        tracing::info!(gateway = %id.0, "starting");
        let mut backend = Backend::open(config)?;
        let router = Router::start(
            router_config(config),
            Arc::new(Hub::new(
                EncodedCounters::register(),
                config.client.resubscribe_spread,
            )),
            Arc::clone(&backend.store),
            Arc::clone(&backend.factory),
            id.clone(),
        );
        let rules = origin.rules.clone();
        let host = host(&rules, &router);
        let coordinator = coordinator(id.clone(), config, &backend, &router);
        let local = LocalConnections::new(
            Arc::clone(&host),
            id.0.to_string(),
            name.clone(),
            coordinator.status(),
        );
        let cluster = Arc::new(Cluster::join(
            id,
            Arc::clone(&backend.store),
            Arc::new(local),
            config.cluster.command_timeout,
        ));
        let shards = Arc::new(shard_admin(config, &backend, &router, &cluster));
        let api = Api::new(
            Arc::clone(&router),
            cluster,
            Arc::clone(&shards),
            rules.channels.clone(),
            host.clock,
        );
        let gateway = Self {
            name,
            lists: ListKeeper::start(config, origin, &mut backend, &router, &coordinator),
            coordinator,
            store: backend.store,
            configured: backend.configured,
            router,
            host,
            shards,
            rules,
            beginning: Arc::new(Beginning::now()),
            ending: CancellationToken::new(),
        };
        Ok((gateway, Arc::new(api)))
    }

    /// What tells the time to all parts.
    pub(super) fn clock(&self) -> Clock {
        self.host.clock
    }

    /// What operators see of the shards, and do about them.
    pub(super) fn shards(&self) -> Arc<ShardAdmin> {
        Arc::clone(&self.shards)
    }

    /// How clients come in.
    pub(super) fn entrance(&self) -> Entrance {
        Entrance::new(Arc::clone(&self.host), self.rules.origins.clone())
    }

    /// The routes at which clients connect.
    pub(super) fn clients(&self, config: &Config) -> axum::Router {
        let Some(options) = &config.websocket else {
            return axum::Router::new();
        };
        let handler = websocket(self.entrance(), options.clone());
        axum::Router::new().route(&options.path, handler)
    }

    /// What `/ready` asks.
    pub(super) fn readiness(&self) -> Arc<dyn Readiness> {
        Arc::new(Probe {
            gateway: self.name.clone(),
            store: Arc::clone(&self.store),
            router: Arc::clone(&self.router),
            configured: self.configured.clone(),
            notes: self.lists.notes(),
            coordinator: self.coordinator.status(),
            beginning: Arc::clone(&self.beginning),
            ending: self.ending.clone(),
        })
    }

    /// What is looked up for the metrics.
    pub(super) fn gauges(&self) -> Arc<dyn Snapshot> {
        Arc::new(Gauges {
            readiness: self.readiness(),
            router: Arc::clone(&self.router),
            host: Arc::clone(&self.host),
        })
    }

    /// Says that it is not ready any more, and serves on for a while: until nobody sends clients here.
    pub(super) async fn be_avoided(&self, delay: Duration) {
        self.ending.cancel();
        self.host.shutdown.begin();
        tokio::time::sleep(delay).await;
    }

    /// Lets nobody in any more, and tells all clients to go elsewhere.
    pub(super) async fn send_clients_away(&self, departure: Departure) {
        let departed = self.host.shut_down(departure).await;
        let (clients, batches) = (departed.told, departed.batches);
        tracing::info!(clients, batches, "clients have been told to go elsewhere");
        if !departed.all_gone() {
            tracing::warn!(left = departed.left, "not all clients have gone in time");
        }
    }

    /// Lets others take over what this gateway did for all. The router takes it off the list of gateways.
    pub(super) async fn leave(self) {
        self.lists.stop().await;
        self.coordinator.stop().await;
        self.router.shutdown().await;
    }
}

/// The connections, none yet, and what wakes them.
fn host(rules: &Rules, router: &Arc<ClientRouter>) -> Arc<Host> {
    let host = Host::new(Arc::clone(router), rules.sessions.clone(), Clock::start());
    tokio::spawn({
        let host = Arc::clone(&host);
        async move { host.timers.run().await }
    });
    host
}

fn coordinator(
    gateway: GatewayId,
    config: &Config,
    backend: &Backend,
    router: &Arc<ClientRouter>,
) -> Coordinator {
    Coordinator::start(CoordinatorParts {
        gateway,
        configured: backend.configured.clone(),
        options: coordinator_options(&config.cluster),
        store: Arc::clone(&backend.store),
        shards: Arc::clone(router) as _,
    })
}

fn shard_admin(
    config: &Config,
    backend: &Backend,
    router: &Arc<ClientRouter>,
    cluster: &Arc<Cluster>,
) -> ShardAdmin {
    let requests = ShardRequests::new(Arc::clone(&backend.store), Arc::clone(router) as _);
    ShardAdmin {
        view: Arc::clone(router) as _,
        changes: Arc::new(Requests::new(requests, router.applied(), &config.shards)),
        cluster: Arc::clone(cluster),
        managed_by: config.cluster.managed_by.clone(),
    }
}

fn router_config(config: &Config) -> RouterConfig {
    RouterConfig {
        command_timeout: config.cluster.command_timeout,
        publish_wait: config.cluster.publish_wait,
        recovery_limit: config.client.recovery_max_publication_limit,
        position_check_interval: config.client.channel_position_check_delay,
        presence_refresh_interval: config.client.presence_update_interval,
        presence_ttl: config.cluster.presence_ttl,
        ..RouterConfig::default()
    }
}

/// Unique per start of the process, and readable.
fn unique_id(name: &str) -> GatewayId {
    let random: u64 = rand::rng().random();
    GatewayId(format!("{name}-{random:016x}").into())
}

/// Host name and port.
fn made_up_name(address: SocketAddr) -> String {
    let host = host_name().unwrap_or_else(|| "gateway".to_owned());
    format!("{host}:{}", address.port())
}
