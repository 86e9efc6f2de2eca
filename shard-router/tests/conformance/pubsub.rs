//! Pub/Sub links: what they bring, in which order, and how they end.

use campanile_common::{ChannelName, Offset};
use campanile_shard_router::partition::Partition;
use campanile_shard_router::publication::ShardMessage;
use campanile_shard_router::shard::{
    Announcement, LinkId, PublishRequest, ShardError, ShardOptions, ShardStatus, lane_of,
};

use crate::gateway::{Channel, Gateway, Told, channels_apart, eventually, info};
use crate::world::{World, options};

fn ups(told: &[Told]) -> Vec<LinkId> {
    told.iter()
        .filter_map(|told| {
            if let Told::Up(link) = told {
                Some(link.clone())
            } else {
                None
            }
        })
        .collect()
}

pub async fn messages_arrive_in_order_with_their_positions(world: impl World) {
    let channel = Channel::new("live");
    let (publisher, subscriber) = (world.gateway(), world.gateway());
    publisher.open_for(&channel).await;
    subscriber.trust_present_run().await;
    subscriber.subscribe(&channel).await;
    let (p, name) = (channel.partition, &channel.name);
    publisher
        .shard
        .announce(p, name, Announcement::Join(info("c")))
        .await
        .unwrap();
    let first = publisher.append(&channel, "one").await;
    let request = PublishRequest {
        stream: None,
        ..channel.request("passing")
    };
    publisher.shard.publish(p, request).await.unwrap();
    let second = publisher.append(&channel, "two").await;
    publisher
        .shard
        .announce(p, name, Announcement::Leave(info("c")))
        .await
        .unwrap();
    publisher.shard.remove_history(p, name).await.unwrap();

    let told = subscriber.events.until(|told| told.len() >= 7).await;
    let [link] = &ups(&told)[..] else {
        panic!("one link, up once: {told:?}")
    };
    assert_eq!(told[0], Told::Up(link.clone()));
    let messages: Vec<_> = told[1..]
        .iter()
        .map(|told| match told {
            Told::Message(from, channel, message) => {
                assert_eq!((from, channel.as_str()), (link, "live"));
                match message {
                    ShardMessage::Publication {
                        position,
                        publication,
                    } => {
                        let offset = position.as_ref().map_or(Offset::ZERO, |position| position.offset);
                        assert_eq!(publication.offset, offset);
                        (
                            position.clone(),
                            String::from_utf8(publication.data.to_vec()).unwrap(),
                        )
                    }
                    ShardMessage::Join(member) => (None, format!("join {}", member.client)),
                    ShardMessage::Leave(member) => (None, format!("leave {}", member.client)),
                    ShardMessage::Cleared => (None, "cleared".to_owned()),
                }
            }
            other => panic!("not a message: {other:?}"),
        })
        .collect();
    let expected = [
        (None, "join c".to_owned()),
        (Some(first), "one".to_owned()),
        (None, "passing".to_owned()),
        (Some(second), "two".to_owned()),
        (None, "leave c".to_owned()),
        (None, "cleared".to_owned()),
    ];
    assert_eq!(messages, expected);
}

pub async fn only_subscribed_links_hear_and_only_until_unsubscribed(world: impl World) {
    let channels = channels_apart(2);
    let (one, two) = (world.gateway(), world.gateway());
    one.open(channels.iter().map(|channel| channel.partition)).await;
    two.trust_present_run().await;
    one.subscribe(&channels[0]).await;
    two.subscribe(&channels[0]).await;
    two.subscribe(&channels[1]).await;
    one.append(&channels[0], "both").await;
    one.append(&channels[1], "two only").await;
    two.events.until(|told| told.len() >= 3).await;
    one.shard
        .unsubscribe(vec![(channels[0].partition, channels[0].name.clone())])
        .await
        .unwrap();
    one.append(&channels[0], "after").await;
    one.subscribe(&channels[1]).await;
    one.append(&channels[1], "again").await;
    one.events.until(|told| told.len() >= 3).await;
    two.events.until(|told| told.len() >= 5).await;
    assert_eq!(one.events.payloads(&channels[0].name), ["both"]);
    assert_eq!(one.events.payloads(&channels[1].name), ["again"]);
    assert_eq!(two.events.payloads(&channels[0].name), ["both", "after"]);
    assert_eq!(two.events.payloads(&channels[1].name), ["two only", "again"]);
}

/// Subscribes as soon as a link is there.
async fn subscribe_when_up(gateway: &Gateway, channel: &Channel) {
    eventually(|| async {
        let channels = vec![(channel.partition, channel.name.clone())];
        match gateway.shard.subscribe(channels).await {
            Ok(()) => Some(()),
            Err(ShardError::Unavailable(_)) => None,
            Err(error) => panic!("{error}"),
        }
    })
    .await;
}

pub async fn a_broken_link_reports_down_then_up_and_has_nothing_subscribed(world: impl World) {
    let channel = Channel::new("broken");
    let gateway = world.gateway();
    gateway.open_for(&channel).await;
    gateway.subscribe(&channel).await;
    gateway.append(&channel, "before").await;
    gateway.events.until(|told| told.len() >= 2).await;
    world.break_links();
    let told = gateway.events.until(|told| ups(told).len() == 2).await;
    let [first, second] = &ups(&told)[..] else {
        panic!("{told:?}")
    };
    assert_eq!(told[2..], [Told::Down(first.clone()), Told::Up(second.clone())]);
    assert_ne!(first.serial, second.serial);

    gateway.append(&channel, "nobody hears").await;
    subscribe_when_up(&gateway, &channel).await;
    gateway.append(&channel, "after").await;
    let told = gateway.events.until(|told| told.len() >= 5).await;
    assert_eq!(gateway.events.payloads(&channel.name), ["before", "after"]);
    assert!(matches!(&told[4], Told::Message(link, ..) if link == second));
}

pub async fn an_inbox_that_overflows_breaks_the_link_and_it_comes_back(world: impl World) {
    let channel = Channel::new("flood");
    let publisher = world.gateway();
    let slow = world.gateway_with(ShardOptions {
        inbox_messages: 10,
        ..options()
    });
    publisher.open_for(&channel).await;
    slow.trust_present_run().await;
    slow.subscribe(&channel).await;
    slow.events.stall();
    let publish = |number: i32| {
        publisher
            .shard
            .publish(channel.partition, channel.request(&number.to_string()))
    };
    let published: Vec<_> = (0..100).map(publish).collect();
    for outcome in published {
        outcome.await.unwrap();
    }
    slow.status_becomes(|status| *status != ShardStatus::Connected)
        .await;
    slow.events.go_on();
    let told = slow.events.until(|told| ups(told).len() == 2).await;
    let heard = slow.events.payloads(&channel.name);
    assert!(
        heard.len() < 100,
        "{} messages went through an inbox for 10",
        heard.len()
    );
    let prefix: Vec<_> = (0..heard.len()).map(|number| number.to_string()).collect();
    assert_eq!(heard, prefix, "what was heard has no gap");
    assert!(matches!(told[heard.len() + 1], Told::Down(_)));
    assert_eq!(slow.counters.get("campanile_shard_link_overflows_total"), 1);
    assert_eq!(publisher.counters.get("campanile_shard_link_overflows_total"), 0);
    subscribe_when_up(&slow, &channel).await;
    publisher.append(&channel, "again").await;
    slow.events
        .until(|told| matches!(told.last(), Some(Told::Message(..))) && ups(told).len() == 2)
        .await;
    assert_eq!(slow.events.payloads(&channel.name).last().unwrap(), "again");
}

pub async fn many_channels_in_one_subscription(world: impl World) {
    let gateway = world.gateway();
    let channels: Vec<_> = (0..2000)
        .map(|number| Channel::new(&format!("many:{number}")))
        .collect();
    let pairs: Vec<(Partition, ChannelName)> = channels
        .iter()
        .map(|channel| (channel.partition, channel.name.clone()))
        .collect();
    let last = &channels[1999];
    gateway.open_for(last).await;
    // Submitted together: each resolves for its own channels.
    let (first, second) = pairs.split_at(1000);
    let (one, two) = (
        gateway.shard.subscribe(first.to_vec()),
        gateway.shard.subscribe(second.to_vec()),
    );
    two.await.unwrap();
    gateway.append(last, "x").await;
    gateway.events.until(|told| told.len() >= 2).await;
    one.await.unwrap();
    gateway.shard.unsubscribe(pairs).await.unwrap();
    gateway.append(last, "unheard").await;
    gateway.subscribe(last).await;
    gateway.append(last, "y").await;
    gateway.events.until(|told| told.len() >= 3).await;
    assert_eq!(gateway.events.payloads(&last.name), ["x", "y"]);
    gateway.shard.subscribe(Vec::new()).await.unwrap();
}

pub async fn changes_submitted_together_are_carried_out_in_order(world: impl World) {
    let channels = channels_apart(3);
    let gateway = world.gateway();
    gateway
        .open(channels.iter().map(|channel| channel.partition))
        .await;
    let pair = |index: usize| vec![(channels[index].partition, channels[index].name.clone())];
    let submitted = [
        gateway.shard.subscribe(pair(0)),
        gateway.shard.subscribe(pair(1)),
        gateway.shard.unsubscribe(pair(0)),
        gateway.shard.subscribe(pair(0)),
        gateway.shard.unsubscribe(pair(1)),
        gateway.shard.subscribe(pair(2)),
    ];
    for change in submitted {
        change.await.unwrap();
    }
    for channel in &channels {
        gateway.append(channel, "x").await;
    }
    gateway.events.until(|told| told.len() >= 3).await;
    let heard: Vec<_> = channels
        .iter()
        .map(|channel| gateway.events.payloads(&channel.name).len())
        .collect();
    assert_eq!(heard, [1, 0, 1]);
}

pub async fn several_links_share_the_channels_by_partition(world: impl World) {
    let gateway = world.gateway_with(ShardOptions {
        links: 3,
        ..options()
    });
    let channels = channels_apart(12);
    gateway
        .open(channels.iter().map(|channel| channel.partition))
        .await;
    assert_eq!(gateway.shard.lanes(), 3);
    let pairs = channels
        .iter()
        .map(|channel| (channel.partition, channel.name.clone()))
        .collect();
    gateway.shard.subscribe(pairs).await.unwrap();
    for channel in &channels {
        gateway.append(channel, "x").await;
    }
    let told = gateway
        .events
        .until(|told| told.len() >= 3 + channels.len())
        .await;
    let mut heard = 0;
    for told in &told {
        if let Told::Message(link, channel, _) = told {
            assert_eq!(link.lane, lane_of(Partition::of(channel), 3));
            heard += 1;
        }
    }
    assert_eq!(heard, channels.len());
}

pub async fn what_came_before_an_unsubscription_is_handed_over_before_its_answer(world: impl World) {
    const MESSAGES: usize = 300;
    let channel = Channel::new("leaving");
    let (publisher, subscriber) = (world.gateway(), world.gateway());
    publisher.open_for(&channel).await;
    subscriber.trust_present_run().await;
    subscriber.subscribe(&channel).await;
    for _ in 0..MESSAGES {
        let request = PublishRequest {
            stream: None,
            ..channel.request("live")
        };
        publisher.shard.publish(channel.partition, request).await.unwrap();
    }
    let leaving = vec![(channel.partition, channel.name.clone())];
    subscriber.shard.unsubscribe(leaving).await.unwrap();
    let messages = |told: &[Told]| {
        let messages = told.iter().filter(|told| matches!(told, Told::Message(..)));
        messages.count()
    };
    assert_eq!(messages(&subscriber.events.told()), MESSAGES);
}
