//! This gateway's connections as the commands of the cluster see them.

use std::sync::Arc;

use campanile_common::{ChannelName, Timestamp};
use campanile_shard_router::coordinator::{CoordinatorStatus, MoveProgress};
use tokio::sync::watch;

use super::Connection;
use super::host::Host;
use crate::cluster::{Leading, LocalGateway, NodeInfo, Progress, Standing, Target};
use crate::session::ServerCommand;

/// The connections of a host, for [`Cluster`](crate::cluster::Cluster).
pub struct LocalConnections {
    host: Arc<Host>,
    /// Unique per start of the process.
    uid: String,
    /// For people.
    name: String,
    started: Timestamp,
    coordinator: watch::Receiver<CoordinatorStatus>,
}

impl LocalConnections {
    /// Those of `host`, on the gateway of that name.
    #[must_use]
    pub fn new(
        host: Arc<Host>,
        uid: String,
        name: String,
        coordinator: watch::Receiver<CoordinatorStatus>,
    ) -> Self {
        let started = host.clock.now();
        Self {
            host,
            uid,
            name,
            started,
            coordinator,
        }
    }

    fn progress(&self, moves: &MoveProgress) -> Progress {
        let seconds = self
            .host
            .clock
            .now()
            .saturating_since(moves.started)
            .as_secs_f64();
        Progress {
            bytes: moves.bytes,
            // Not begun: it may have been decided just now.
            seconds: if moves.started == Timestamp::ZERO {
                0.0
            } else {
                seconds
            },
            stage: moves.stage.clone(),
            trouble: moves.trouble.clone(),
        }
    }

    fn find(&self, target: &Target) -> Vec<Arc<Connection>> {
        let registry = &self.host.registry;
        let mut found = match target.client.as_str() {
            "" if target.user.is_empty() => registry.all(),
            "" => registry.user(&target.user),
            client => client
                .parse()
                .ok()
                .and_then(|id| registry.client(id))
                .into_iter()
                .collect(),
        };
        // No transport here has sessions with a name of their own.
        found.retain(|connection| target.session.is_empty() && meant(connection, target));
        found
    }
}

/// Whether `target` means `connection`, as far as user and whitelist are concerned.
fn meant(connection: &Connection, target: &Target) -> bool {
    let by_user = target.user.is_empty() || target.user == connection.user();
    by_user && (target.whitelist.is_empty() || !target.whitelist.contains(&connection.id().to_string()))
}

impl LocalGateway for LocalConnections {
    fn command(&self, target: &Target, command: ServerCommand) -> usize {
        let found = self.find(target);
        for connection in &found {
            connection.handle_server(command.clone());
        }
        found.len()
    }

    fn visit_channels(&self, visit: &mut dyn FnMut(Standing)) {
        self.host.router.visit_channels(
            |members, delivered| (members.len(), delivered.cloned()),
            |channel, (subscribers, delivered)| {
                visit(Standing {
                    channel: channel.clone(),
                    subscribers,
                    delivered,
                });
            },
        );
    }

    fn info(&self) -> NodeInfo {
        let (mut num_channels, mut num_subs) = (0, 0);
        let count = |_: &ChannelName, subscribers: usize| {
            num_channels += 1;
            num_subs += subscribers;
        };
        self.host.router.visit_channels(|members, _| members.len(), count);
        NodeInfo {
            uid: self.uid.clone(),
            name: self.name.clone(),
            version: self.host.sessions.look().version.clone(),
            num_clients: self.host.registry.client_count(),
            num_users: self.host.registry.user_count(),
            num_subs,
            num_channels,
            uptime: self.host.clock.now().saturating_since(self.started).as_secs(),
            topology: self.host.router.topology().as_deref().map(Into::into),
        }
    }

    fn leading(&self) -> Option<Leading> {
        let status = self.coordinator.borrow();
        let troubles = status.troubles.iter();
        status.leading.then(|| Leading {
            gateway: self.name.clone(),
            troubles: troubles
                .map(|(shard, trouble)| (shard.to_string(), trouble.clone()))
                .collect(),
            moves: status.moves.as_ref().map(|moves| self.progress(moves)),
        })
    }
}
