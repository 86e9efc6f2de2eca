//! The hub: who of this gateway's clients is subscribed to a channel, and the fan-out to them.
//!
//! The router keeps one [`Members`] per channel beside the channel's continuity state and hands the hub one event at a
//! time. The hub encodes it once per codec that is in use among the members ([`Encoded`]) and puts the same bytes into
//! each member's queue. It never waits: a client that cannot keep up is its queue's business.

mod encoded;
mod losses;
mod members;
mod membership;

use std::sync::Arc;
use std::time::Duration;

use campanile_common::message::Push;
use campanile_common::{ChannelName, Codec};
use campanile_shard_router::audience::{Audience, Event, LossReason};

use crate::connection::delivery::DeliveryMeter;
use crate::connection::outbound::{Kind, Outbound};
pub use encoded::{Encoded, EncodedCounters};
use losses::Losses;
pub use members::Members;
pub use membership::{Interest, Membership};

/// A client that can be subscribed to channels.
pub trait Subscriber: Sized + Send + Sync + 'static {
    /// The queue of what is sent to it.
    fn outbound(&self) -> &Outbound;

    /// The codec that it speaks.
    fn codec(&self) -> Codec;

    /// What measures how long deliveries take; the same for all clients.
    fn delivery(&self) -> Option<&DeliveryMeter> {
        None
    }

    /// The continuity of this subscription of its, which was positioned, is lost; the subscription gets nothing any
    /// more. Called from a task of its own.
    fn lost(self: &Arc<Self>, membership: &Arc<Membership<Self>>, reason: LossReason);
}

/// Hands the events of channels to this gateway's clients.
#[derive(Debug)]
pub struct Hub<S> {
    encoded: EncodedCounters,
    losses: Arc<Losses<S>>,
}

impl<S: Subscriber> Hub<S> {
    /// A hub that counts with `encoded`. Clients whose subscriptions lose continuity at the same time, in whichever
    /// channels, are told over `spread`.
    #[must_use]
    pub fn new(encoded: EncodedCounters, spread: Duration) -> Self {
        Self {
            encoded,
            losses: Losses::new(spread),
        }
    }

    fn publish(&self, members: &Members<S>, message: &dyn Fn() -> Push) {
        let mut encoded = Encoded::new(message, Some(&self.encoded));
        let followed = follow(members, &mut encoded);
        for member in members.iter() {
            member.push(Kind::Publication, &mut encoded);
        }
        if let Some((member, meter)) = followed {
            member.check_followed(meter);
        }
    }

    fn announce(members: &Members<S>, message: &dyn Fn() -> Push) {
        let mut encoded = Encoded::new(message, None);
        for member in members.iter().filter(|member| member.interest().join_leave) {
            member.push(Kind::Notice, &mut encoded);
        }
    }

    /// Ends all positioned subscriptions at once, and tells the clients one after another. What comes meanwhile must
    /// not reach them: behind a gap, it would move the position that they return with over what they have missed.
    fn lose(&self, members: &Members<S>, reason: LossReason) {
        let positioned = |member: &&Arc<Membership<S>>| member.interest().positioned && member.end();
        self.losses
            .add(members.iter().filter(positioned).cloned().collect(), reason);
    }
}

/// Now and then, has a publication followed to one of the members, who is chosen by lot: that one, and who follows.
fn follow<'a, S: Subscriber>(
    members: &'a Members<S>,
    encoded: &mut Encoded<'_>,
) -> Option<(&'a Membership<S>, &'a DeliveryMeter)> {
    let meter = members.get(0)?.subscriber().delivery()?;
    let start = meter.begin()?;
    let member = members.get(start.lot(members.len()))?;
    member.follow(meter, &start, encoded);
    Some((member, meter))
}

impl<S: Subscriber> Audience for Hub<S> {
    type Members = Members<S>;

    fn is_empty(members: &Members<S>) -> bool {
        members.is_empty()
    }

    fn deliver(&self, channel: &ChannelName, members: &Members<S>, event: &Event) {
        let name = channel.as_str();
        match event {
            Event::Publication(publication) => {
                self.publish(members, &|| Push::publication(name, (&**publication).into()));
            }
            Event::Join(info) => Self::announce(members, &|| Push::join(name, (**info).clone())),
            Event::Leave(info) => Self::announce(members, &|| Push::leave(name, (**info).clone())),
            Event::Lost(reason) => self.lose(members, *reason),
        }
    }
}

#[cfg(test)]
mod tests;
