//! Publications through a gateway: to the partition's owner, again after a while where nobody accepts it, and after a lost
//! answer only under an idempotency key.

use std::rc::Rc;

use campanile_common::ChannelName;

use super::Gateway;
use crate::shard::{PublishOutcome, PublishRequest, ShardError};
use crate::simulator::cast::role;
use crate::simulator::connection::Connection;
use crate::simulator::kernel::{MS, Micros};
use crate::simulator::task::Reply;
use crate::simulator::world::World;

/// How long a publication waits for an owner.
const PUBLISH_WAIT: Micros = 800 * MS;

/// What became of a publication, as its publisher learns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::simulator) enum Published {
    /// Accepted, now or before.
    Accepted,
    /// Not accepted.
    Refused,
    /// Nobody knows.
    Unknown,
}

impl Gateway {
    pub(in crate::simulator) async fn publish(
        self: Rc<Self>,
        world: World,
        request: PublishRequest,
    ) -> Published {
        let partition = role(&request.channel).partition;
        let deadline = world.now() + PUBLISH_WAIT;
        let retried = request.idempotency.is_some();
        let mut unknown = false;
        while world.now() < deadline {
            let ask = |connection: &Connection| send(&world, connection, request.clone());
            match self.at_owner(partition, ask).await {
                Ok(_) => return Published::Accepted,
                Err(error) if error.had_no_effect() => {}
                Err(_) if retried => unknown = true,
                Err(_) => return Published::Unknown,
            }
            let pause = world.rng().between(2 * MS, 20 * MS);
            self.stirred.wait(&world, self.life, pause).await;
        }
        if unknown {
            Published::Unknown
        } else {
            Published::Refused
        }
    }
}

/// Sends a publication to the shard that a connection leads to, and notes its acceptance as the shard sees it.
pub(in crate::simulator) fn send(
    world: &World,
    connection: &Connection,
    request: PublishRequest,
) -> Reply<Result<PublishOutcome, ShardError>> {
    let partition = role(&request.channel).partition;
    // What is sent again, perhaps to another shard, brings another epoch.
    let request = PublishRequest {
        new_epoch: world.new_epoch(),
        ..request
    };
    let (of_world, at) = (world.clone(), connection.shard().clone());
    connection.call(world, world.profile().patience, move |state, now| {
        let sent = request.clone();
        let outcome = state.publish(now, partition, request)?;
        of_world.accepted(&at, state.run(), &sent, &outcome);
        Ok(outcome)
    })
}

/// Publishes to a shard without asking whether it is the owner: a gateway whose topology is older, or newer, than all others
/// may do that at any time.
pub(in crate::simulator) fn publish_astray(
    gateway: &Gateway,
    world: &World,
    shard: &crate::topology::ShardId,
    request: PublishRequest,
) {
    if let Some(connection) = gateway.connection(shard) {
        drop(send(world, &connection, request));
    }
}

impl Gateway {
    /// Empties a stream.
    pub(in crate::simulator) async fn remove_history(self: Rc<Self>, world: World, name: ChannelName) {
        let partition = role(&name).partition;
        let ask = |connection: &Connection| {
            let (of_world, channel) = (world.clone(), name.clone());
            connection.call(&world, world.profile().patience, move |state, _| {
                state.remove_history(partition, &channel)?;
                of_world.truth().note_emptied(&channel, of_world.now());
                Ok(())
            })
        };
        // Whether it was done is the truth's to know.
        let _ = self.at_owner(partition, ask).await;
    }

    /// Refreshes one subscriber's presence.
    pub(in crate::simulator) async fn refresh_presence(
        self: Rc<Self>,
        world: World,
        entry: crate::shard::PresenceEntry,
    ) {
        let partition = entry.partition;
        let ask = |connection: &Connection| {
            let entry = entry.clone();
            connection.call(&world, world.profile().patience, move |state, now| {
                state.refresh_presence(now, &entry)
            })
        };
        // The next refresh comes soon.
        let _ = self.at_owner(partition, ask).await;
    }
}
