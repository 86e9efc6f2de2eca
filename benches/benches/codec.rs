//! What messages cost to decode and encode, per codec.

use std::hint::black_box;

use campanile_benches::publication;
use campanile_common::Codec;
use campanile_common::message::{Command, PublishRequest};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn encode_publication(c: &mut Criterion) {
    let mut group = c.benchmark_group("encode_publication");
    group.throughput(Throughput::Elements(1));
    for codec in Codec::ALL {
        group.bench_function(codec.label(), |b| {
            b.iter(|| codec.encode_publication(black_box("chat:lobby"), publication()));
        });
    }
    group.finish();
}

fn decode_publish(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode_publish");
    group.throughput(Throughput::Elements(1));
    let command = Command {
        id: 7,
        publish: Some(Box::new(PublishRequest {
            channel: "chat:lobby".into(),
            data: publication().data,
            ..PublishRequest::default()
        })),
        ..Command::default()
    };
    for codec in Codec::ALL {
        let frame = codec.encode_command(&command);
        group.bench_function(codec.label(), |b| {
            b.iter(|| codec.decode_commands(black_box(&frame)).next());
        });
    }
    group.finish();
}

criterion_group!(benches, encode_publication, decode_publish);
criterion_main!(benches);
