//! What a publication's way through Redis costs a gateway, without Redis.

use std::hint::black_box;
use std::time::Duration;

use campanile_benches::sample::{CHANNEL, stored_publication};
use campanile_common::{ChannelName, Epoch};
use campanile_shard_router::redis::bench::{Publisher, decode_message, encode_publication, published};
use campanile_shard_router::shard::{PublishRequest, StreamLimits};

use crate::operation::Operation;

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::new("redis/publish_command", || {
            let (publisher, request) = (Publisher::new("campanile"), request());
            move || drop(black_box(publisher.command(black_box(&request))))
        }),
        Operation::new("redis/publish_reply", || {
            let reply = b"*3\r\n:0\r\n:123456\r\n$4\r\nfh3k\r\n".as_slice();
            assert!(published(reply).is_some(), "the reply is understood");
            move || drop(black_box(published(black_box(reply))))
        }),
        Operation::new("redis/encode_envelope", || {
            let publication = stored_publication();
            move || drop(black_box(encode_publication(black_box(&publication))))
        }),
        Operation::new("redis/decode_message", || {
            let mut message = b"123456 4 fh3k".to_vec();
            message.extend(encode_publication(&stored_publication()));
            assert!(decode_message(&message).is_some(), "the message is understood");
            move || drop(black_box(decode_message(black_box(&message))))
        }),
    ]
}

fn request() -> PublishRequest {
    PublishRequest {
        channel: ChannelName::from_trusted(CHANNEL),
        publication: stored_publication(),
        stream: Some(StreamLimits {
            size: 100,
            ttl: Duration::from_secs(300),
            meta_ttl: Duration::from_secs(3600),
        }),
        idempotency: None,
        version: None,
        new_epoch: Epoch::new("fh3k"),
    }
}
