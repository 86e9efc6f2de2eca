//! Streams: offsets, epochs, ranges, and how they end.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use campanile_common::{Offset, Timestamp};
use campanile_shard_router::fence::FenceCommand::{Admit, Reopen};
use campanile_shard_router::publication::Publication;
use campanile_shard_router::shard::{HistoryRange, PublishRequest, ShardError};
use campanile_shard_router::topology::Generation;

use crate::gateway::{ALL, Channel, Gateway, channels_apart, info, publication};
use crate::world::World;

async fn opened(world: &impl World, channel: &Channel) -> Gateway {
    let gateway = world.gateway();
    gateway.open_for(channel).await;
    gateway
}

pub async fn offsets_are_dense_and_pages_say_where_they_end(world: impl World) {
    let channel = Channel::new("news");
    let gateway = opened(&world, &channel).await;
    let empty = gateway.content(&channel).await;
    assert_eq!((empty.0.offset, empty.1.len()), (Offset(0), 0));
    for number in 1..=5 {
        let position = gateway.append(&channel, &format!("m{number}")).await;
        assert_eq!(position.offset, Offset(number));
        assert_eq!(position.epoch, empty.0.epoch);
    }
    let page = gateway.history(&channel, ALL).await.unwrap();
    assert_eq!(page.position.offset, Offset(5));
    assert_eq!(page.position.epoch, empty.0.epoch);
    let offsets: Vec<_> = page
        .publications
        .iter()
        .map(|publication| publication.offset.0)
        .collect();
    assert_eq!(offsets, [1, 2, 3, 4, 5]);
}

pub async fn a_stream_is_trimmed_to_its_size(world: impl World) {
    let mut channel = Channel::new("trimmed");
    channel.limits.size = 3;
    let gateway = opened(&world, &channel).await;
    for number in 1..=10 {
        gateway.append(&channel, &number.to_string()).await;
    }
    let (position, content) = gateway.content(&channel).await;
    assert_eq!(
        (position.offset, content),
        (Offset(10), vec!["8".to_owned(), "9".to_owned(), "10".to_owned()])
    );
    channel.limits.size = 1;
    gateway.append(&channel, "11").await;
    assert_eq!(gateway.content(&channel).await.1, ["11"]);
}

pub async fn ranges_go_both_ways_from_any_offset(world: impl World) {
    let channel = Channel::new("ranged");
    let gateway = opened(&world, &channel).await;
    for number in 1..=6 {
        gateway.append(&channel, &number.to_string()).await;
    }
    let range = |since: Option<u64>, limit, reverse| HistoryRange {
        since: since.map(Offset),
        limit,
        reverse,
    };
    let table: [(HistoryRange, &[u64]); 16] = [
        (range(None, None, false), &[1, 2, 3, 4, 5, 6]),
        (range(None, Some(2), false), &[1, 2]),
        (range(None, Some(0), false), &[]),
        (range(Some(0), None, false), &[1, 2, 3, 4, 5, 6]),
        (range(Some(4), None, false), &[5, 6]),
        (range(Some(2), Some(3), false), &[3, 4, 5]),
        (range(Some(6), None, false), &[]),
        (range(Some(u64::MAX), None, false), &[]),
        (range(None, None, true), &[6, 5, 4, 3, 2, 1]),
        (range(None, Some(2), true), &[6, 5]),
        (range(Some(4), None, true), &[3, 2, 1]),
        (range(Some(4), Some(2), true), &[3, 2]),
        (range(Some(1), None, true), &[]),
        (range(Some(0), None, true), &[]),
        (range(Some(u64::MAX), Some(1), true), &[6]),
        (range(Some(3), Some(0), true), &[]),
    ];
    for (range, expected) in table {
        let page = gateway.history(&channel, range).await.unwrap();
        let offsets: Vec<_> = page
            .publications
            .iter()
            .map(|publication| publication.offset.0)
            .collect();
        assert_eq!(offsets, expected, "{range:?}");
        assert_eq!(page.position.offset, Offset(6), "{range:?}");
    }
}

pub async fn content_expires_and_the_position_stays(world: impl World) {
    let mut channel = Channel::new("expiring");
    channel.limits.ttl = Duration::from_millis(200);
    let gateway = opened(&world, &channel).await;
    gateway.append(&channel, "a").await;
    let before = gateway.append(&channel, "b").await;
    world.pass(channel.limits.ttl).await;
    let (position, content) = gateway.content(&channel).await;
    assert_eq!(content, Vec::<String>::new());
    assert_eq!(position, before);
    // What follows is not to expire.
    channel.limits.ttl = Duration::from_secs(60);
    let next = gateway.append(&channel, "c").await;
    assert_eq!((next.epoch, next.offset), (before.epoch, Offset(3)));
    assert_eq!(gateway.content(&channel).await.1, ["c"]);
}

pub async fn a_forgotten_position_begins_a_new_epoch(world: impl World) {
    let mut channel = Channel::new("forgotten");
    channel.limits.ttl = Duration::from_millis(50);
    channel.limits.meta_ttl = Duration::from_millis(200);
    let gateway = opened(&world, &channel).await;
    let before = gateway.append(&channel, "a").await;
    world.pass(channel.limits.meta_ttl).await;
    let after = gateway.append(&channel, "b").await;
    assert_ne!(after.epoch, before.epoch);
    assert_eq!(after.offset, Offset(1));
}

pub async fn a_position_lives_as_long_as_its_content(world: impl World) {
    let mut channel = Channel::new("lasting");
    channel.limits.meta_ttl = Duration::from_millis(50);
    let gateway = opened(&world, &channel).await;
    let before = gateway.append(&channel, "a").await;
    world.pass(channel.limits.meta_ttl).await;
    // A reader that asks for less does not shorten it either.
    for _ in 0..2 {
        let (position, content) = gateway.content(&channel).await;
        assert_eq!((position, content), (before.clone(), vec!["a".to_owned()]));
        world.pass(channel.limits.meta_ttl).await;
    }
}

pub async fn a_raised_floor_renews_the_epoch_at_the_next_touch_and_offsets_go_on(world: impl World) {
    for (number, touch_by_read) in [true, false].into_iter().enumerate() {
        let channel = Channel::new(&format!("renewed-{number}"));
        let gateway = world.gateway();
        let run = gateway.open_for(&channel).await;
        let before = gateway.append(&channel, "a").await;
        let generation = Generation(10);
        gateway
            .fence(
                &run,
                channel.partition,
                Admit {
                    generation,
                    keep_epochs: false,
                },
            )
            .await;
        gateway
            .fence(&run, channel.partition, Reopen { generation })
            .await;
        let after = if touch_by_read {
            gateway.content(&channel).await.0
        } else {
            gateway.append(&channel, "b").await
        };
        assert_ne!(after.epoch, before.epoch);
        assert_eq!(after.offset, Offset(if touch_by_read { 1 } else { 2 }));
        let last = gateway.append(&channel, "c").await;
        assert_eq!(
            (&last.epoch, last.offset),
            (&after.epoch, after.offset.next()),
            "renewed once"
        );
        assert_eq!(
            gateway.content(&channel).await.1.first().map(String::as_str),
            Some("a"),
            "content stays"
        );
    }
}

pub async fn a_kept_floor_keeps_the_epoch(world: impl World) {
    let channel = Channel::new("kept");
    let gateway = world.gateway();
    let run = gateway.open_for(&channel).await;
    let before = gateway.append(&channel, "a").await;
    let generation = Generation(10);
    gateway
        .fence(
            &run,
            channel.partition,
            Admit {
                generation,
                keep_epochs: true,
            },
        )
        .await;
    gateway
        .fence(&run, channel.partition, Reopen { generation })
        .await;
    assert_eq!(gateway.content(&channel).await, (before, vec!["a".to_owned()]));
}

pub async fn removing_history_keeps_the_position(world: impl World) {
    let channel = Channel::new("removed");
    let gateway = opened(&world, &channel).await;
    gateway.append(&channel, "a").await;
    let before = gateway.append(&channel, "b").await;
    gateway
        .shard
        .remove_history(channel.partition, &channel.name)
        .await
        .unwrap();
    assert_eq!(gateway.content(&channel).await, (before.clone(), vec![]));
    assert_eq!(gateway.append(&channel, "c").await.offset, before.offset.next());
    let never_used = Channel::new("never used");
    gateway.open_for(&never_used).await;
    gateway
        .shard
        .remove_history(never_used.partition, &never_used.name)
        .await
        .unwrap();
}

pub async fn positions_are_answered_one_by_one(world: impl World) {
    let channels = channels_apart(6);
    let gateway = world.gateway();
    // Every second one is served.
    gateway
        .open(channels.iter().step_by(2).map(|channel| channel.partition))
        .await;
    let mut expected = BTreeMap::new();
    for (count, channel) in channels.iter().enumerate().step_by(2) {
        for _ in 0..count {
            expected.insert(channel.name.clone(), gateway.append(channel, "x").await);
        }
    }
    let requests = channels.iter().map(Channel::position_request).collect();
    let answers = gateway.shard.positions(requests).await.unwrap();
    assert_eq!(answers.len(), channels.len());
    for (index, (channel, answer)) in channels.iter().zip(answers).enumerate() {
        match answer {
            Ok(position) if index % 2 == 0 => {
                assert_eq!(position.offset.0, u64::try_from(index).unwrap());
                assert!(!position.epoch.is_empty());
                assert!(expected.get(&channel.name).is_none_or(|known| *known == position));
            }
            Err(ShardError::NotOwner) if index % 2 == 1 => {}
            other => panic!("{index}: {other:?}"),
        }
    }
    assert!(gateway.shard.positions(Vec::new()).await.unwrap().is_empty());
}

pub async fn payloads_of_any_bytes_and_size_come_back(world: impl World) {
    let channel = Channel::new("binary");
    let gateway = opened(&world, &channel).await;
    gateway.subscribe(&channel).await;
    let large: Vec<u8> = (0..3 << 20)
        .map(|index: u32| index.to_le_bytes()[0] ^ index.to_le_bytes()[1])
        .collect();
    let sent = [
        Publication {
            info: Some(info("c")),
            tags: BTreeMap::from([
                ("k\n".to_owned(), "v \u{1f514}".to_owned()),
                (String::new(), String::new()),
            ]),
            time: Timestamp::from_millis(u64::MAX),
            ..publication(&[])
        },
        publication(&(0..=255).collect::<Vec<u8>>()),
        publication(b"\r\n$5\r\nhello\r\n 1 2 "),
        publication(&large),
    ];
    for publication in &sent {
        let request = PublishRequest {
            publication: publication.clone(),
            ..channel.request("")
        };
        gateway.shard.publish(channel.partition, request).await.unwrap();
    }
    let numbered = |(index, publication): (usize, &Publication)| Publication {
        offset: Offset(u64::try_from(index + 1).unwrap()),
        ..publication.clone()
    };
    let expected: Vec<_> = sent.iter().enumerate().map(numbered).collect();
    let stored = gateway.history(&channel, ALL).await.unwrap().publications;
    assert!(stored == expected, "what is stored differs");
    gateway.events.until(|told| told.len() > sent.len()).await;
    let heard = gateway.events.payloads(&channel.name);
    let payloads: Vec<Bytes> = sent.iter().map(|publication| publication.data.clone()).collect();
    assert!(heard == payloads, "what arrived differs");
}

pub async fn channel_names_of_any_text_stay_apart(world: impl World) {
    let long = "\u{1f514}".repeat(63) + "abc";
    assert_eq!(long.len(), 255);
    let names = [
        "plain",
        "with:colon",
        "with:colon:",
        "{17}",
        "}{",
        "a b",
        "new\nline",
        "nul\0byte",
        "*",
        "?[x]",
        "owner",
        "dirty",
        "\u{e9}\u{5d0}",
        "$private#1,2",
        &long,
    ];
    let gateway = world.gateway();
    for name in names {
        let channel = Channel::new(name);
        gateway.open_for(&channel).await;
        gateway.subscribe(&channel).await;
        gateway.append(&channel, name).await;
    }
    gateway.events.until(|told| told.len() > names.len()).await;
    for name in names {
        let channel = Channel::new(name);
        assert_eq!(gateway.content(&channel).await.1, [name]);
        assert_eq!(gateway.events.payloads(name), [name]);
    }
}

pub async fn a_channel_without_a_stream_keeps_nothing(world: impl World) {
    let channel = Channel::new("passing");
    let gateway = opened(&world, &channel).await;
    let request = PublishRequest {
        stream: None,
        ..channel.request("x")
    };
    let outcome = gateway.shard.publish(channel.partition, request).await.unwrap();
    assert_eq!((outcome.position, outcome.suppressed), (None, None));
    let (position, content) = gateway.content(&channel).await;
    assert_eq!((position.offset, content.len()), (Offset(0), 0));
}
