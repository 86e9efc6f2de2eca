//! What it costs to give one publication to the subscribers of a channel: into each one's queue, and out of it again.

use std::hint::black_box;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::Bytes;
use campanile_benches::sample::{CHANNEL, stored_publication};
use campanile_common::{ChannelName, Codec};
use campanile_gateway::connection::outbound::{Outbound, Route};
use campanile_gateway::hub::{EncodedCounters, Hub, Interest, Members, Membership, Subscriber};
use campanile_shard_router::audience::{Audience, Event, LossReason};

use crate::operation::Operation;

/// A client without connection.
struct Client {
    outbound: Outbound,
    codec: Codec,
}

impl Subscriber for Client {
    fn outbound(&self) -> &Outbound {
        &self.outbound
    }

    fn codec(&self) -> Codec {
        self.codec
    }

    fn lost(self: &Arc<Self>, _: &Arc<Membership<Self>>, _: LossReason) {}
}

pub(crate) fn operations() -> Vec<Operation> {
    let one = [Codec::Json].as_slice();
    vec![
        fan_out("1", 1, one),
        fan_out("100", 100, one),
        fan_out("10000", 10_000, one),
        fan_out("100_of_three_codecs", 100, &Codec::ALL),
    ]
}

/// To `count` members, who speak `codecs` in turn.
fn fan_out(what: &str, count: u32, codecs: &'static [Codec]) -> Operation {
    let prepare = move || {
        let clients: Vec<_> = codecs
            .iter()
            .cycle()
            .take(count as usize)
            .map(|codec| client(*codec))
            .collect();
        let channel = ChannelName::from_trusted(CHANNEL);
        let mut members = Members::default();
        for client in &clients {
            let interest = Interest::default();
            members.insert(Membership::new(
                Arc::clone(client),
                channel.clone(),
                interest,
                Route::Control,
            ));
        }
        let hub = Hub::new(EncodedCounters::register(), Duration::from_secs(1));
        let event = Event::Publication(Arc::new(stored_publication()));
        let mut batch = Vec::new();
        move || {
            hub.deliver(black_box(&channel), &members, black_box(&event));
            for client in &clients {
                take(client, &mut batch);
            }
        }
    };
    Operation::new(format!("hub/fan_out/{what}"), prepare).of(count)
}

fn client(codec: Codec) -> Arc<Client> {
    let client = Client {
        outbound: Outbound::new(1024 * 1024),
        codec,
    };
    // Before the connect command is answered, nothing goes out.
    client.outbound.push(Bytes::from_static(b"{}"));
    take(&client, &mut Vec::new());
    Arc::new(client)
}

/// What the connection's writer does, but for writing.
fn take(client: &Client, batch: &mut Vec<Bytes>) {
    let mut cx = Context::from_waker(Waker::noop());
    let next = client.outbound.poll_next(&mut cx, batch);
    drop(black_box(next));
    batch.clear();
}
