use std::collections::BTreeMap;
use std::task::{Context, Waker};

use bytes::Bytes;
use campanile_common::message::ClientInfo;
use campanile_common::{DisconnectCode, Offset, Timestamp};
use campanile_shard_router::publication::Publication;
use parking_lot::Mutex;

use crate::connection::outbound::Route;

use super::losses::{AT_LEAST, STEP};
use super::*;

struct Client {
    outbound: Outbound,
    codec: Codec,
    meter: Option<Arc<DeliveryMeter>>,
    lost: Mutex<Vec<(ChannelName, LossReason)>>,
}

impl Subscriber for Client {
    fn outbound(&self) -> &Outbound {
        &self.outbound
    }

    fn codec(&self) -> Codec {
        self.codec
    }

    fn delivery(&self) -> Option<&DeliveryMeter> {
        self.meter.as_deref()
    }

    fn lost(self: &Arc<Self>, membership: &Arc<Membership<Self>>, reason: LossReason) {
        self.lost.lock().push((membership.channel().clone(), reason));
    }
}

impl Client {
    fn received(&self) -> Vec<Bytes> {
        let mut batch = Vec::new();
        let _ = self
            .outbound
            .poll_next(&mut Context::from_waker(Waker::noop()), &mut batch);
        batch
    }
}

fn channel() -> ChannelName {
    ChannelName::from_trusted("news")
}

fn member(codec: Codec, interest: Interest) -> Arc<Membership<Client>> {
    metered(codec, interest, None)
}

fn metered(codec: Codec, interest: Interest, meter: Option<Arc<DeliveryMeter>>) -> Arc<Membership<Client>> {
    let client = Client {
        outbound: Outbound::new(1000),
        codec,
        meter,
        lost: Mutex::default(),
    };
    client.outbound.push("connected".into());
    assert_eq!(client.received().len(), 1);
    Membership::new(Arc::new(client), channel(), interest, Route::Control)
}

fn members(list: &[Arc<Membership<Client>>]) -> Members<Client> {
    let mut members = Members::default();
    list.iter().for_each(|member| members.insert(Arc::clone(member)));
    members
}

const SPREAD: Duration = Duration::from_secs(20);

fn hub() -> Hub<Client> {
    Hub::new(EncodedCounters::register(), SPREAD)
}

fn publication() -> Event {
    Event::Publication(Arc::new(Publication {
        offset: Offset(3),
        data: "{\"a\":1}".into(),
        info: None,
        tags: BTreeMap::from([("t".into(), "v".into())]),
        time: Timestamp::from_millis(5),
    }))
}

#[test]
fn all_members_of_a_codec_share_one_encoding() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let hub = metrics::with_local_recorder(&recorder, hub);
    let list: Vec<_> = [Codec::Json, Codec::Json, Codec::Protobuf, Codec::Json]
        .map(|codec| member(codec, Interest::default()))
        .into();
    hub.deliver(&channel(), &members(&list), &publication());
    let received = |i: usize| list[i].subscriber().received();
    let (first, second, protobuf) = (received(0), received(1), received(2));
    assert_eq!(
        first,
        [
            "{\"push\":{\"channel\":\"news\",\"pub\":{\"data\":{\"a\":1},\"offset\":3,\"tags\":{\"t\":\"v\"},\"time\":5}}}\n"
        ]
    );
    assert_eq!(first[0].as_ptr(), second[0].as_ptr());
    let replies: Vec<_> = Codec::Protobuf
        .decode_replies(&protobuf[0])
        .map(Result::unwrap)
        .collect();
    assert_eq!(replies[0].push.as_ref().unwrap().channel, "news");
    let metrics = recorder.handle().render();
    for line in [
        "{codec=\"json\"} 1",
        "{codec=\"protobuf\"} 1",
        "{codec=\"msgpack\"} 0",
    ] {
        let line = format!("campanile_publications_encoded_total{line}\n");
        assert!(metrics.contains(&line), "{line} is not in\n{metrics}");
    }
}

#[test]
fn joins_and_leaves_reach_those_who_want_them() {
    let curious = Interest {
        join_leave: true,
        ..Interest::default()
    };
    let list = [
        member(Codec::Json, curious),
        member(Codec::Json, Interest::default()),
    ];
    let info = Arc::new(ClientInfo {
        user: "u".into(),
        client: "c".into(),
        ..ClientInfo::default()
    });
    let (hub, members) = (hub(), members(&list));
    hub.deliver(&channel(), &members, &Event::Join(Arc::clone(&info)));
    hub.deliver(&channel(), &members, &Event::Leave(info));
    let received = list[0].subscriber().received();
    let text = |what| {
        format!(
            "{{\"push\":{{\"channel\":\"news\",\"{what}\":{{\"info\":{{\"user\":\"u\",\"client\":\"c\"}}}}}}}}\n"
        )
    };
    assert_eq!(received, [text("join"), text("leave")]);
    assert_eq!(list[1].subscriber().received(), Vec::<Bytes>::new());
}

#[tokio::test(start_paused = true)]
async fn lost_continuity_ends_positioned_subscriptions_before_anything_else_arrives() {
    let positioned = Interest {
        positioned: true,
        ..Interest::default()
    };
    let list = [
        member(Codec::Json, positioned),
        member(Codec::Json, Interest::default()),
    ];
    let (hub, members) = (hub(), members(&list));
    hub.deliver(&channel(), &members, &Event::Lost(LossReason::EpochChanged));
    hub.deliver(&channel(), &members, &publication());
    hub.deliver(&channel(), &members, &Event::Lost(LossReason::EpochChanged));
    assert_eq!(list[0].subscriber().received(), Vec::<Bytes>::new());
    assert_eq!(list[1].subscriber().received().len(), 1);
    tokio::time::sleep(STEP * 3).await;
    let lost = |i: usize| list[i].subscriber().lost.lock().clone();
    assert_eq!(lost(0), [(channel(), LossReason::EpochChanged)]);
    assert_eq!(lost(1), []);
}

/// So many channels, lost at the same time, of ten subscribers each; how many of these have been told.
fn lose_channels(hub: &Hub<Client>, channels: usize) -> impl Fn() -> usize + use<> {
    let positioned = Interest {
        positioned: true,
        ..Interest::default()
    };
    let lists: Vec<Vec<_>> = (0..channels)
        .map(|_| (0..10).map(|_| member(Codec::Json, positioned)).collect())
        .collect();
    for list in &lists {
        hub.deliver(&channel(), &members(list), &Event::Lost(LossReason::ShardLost));
    }
    move || {
        let told = |member: &&Arc<Membership<Client>>| !member.subscriber().lost.lock().is_empty();
        lists.iter().flatten().filter(told).count()
    }
}

#[tokio::test(start_paused = true)]
async fn the_subscribers_of_all_lost_channels_are_told_evenly_over_the_spread() {
    const CHANNELS: usize = 4000;
    let hub = hub();
    let told = lose_channels(&hub, CHANNELS);
    assert_eq!(told(), 0);
    let mut before = 0;
    for quarter in 1..=4 {
        tokio::time::sleep(SPREAD / 4).await;
        let expected = CHANNELS * 10 * quarter / 4;
        let now = told();
        assert!(
            now.abs_diff(expected) <= CHANNELS / 10,
            "{now} instead of {expected}"
        );
        assert!(now > before, "they come one after the other");
        before = now;
    }
    tokio::time::sleep(STEP * 2).await;
    assert_eq!(told(), CHANNELS * 10);
}

#[tokio::test(start_paused = true)]
async fn few_wait_for_nothing() {
    let hub = hub();
    for _ in 0..2 {
        let told = lose_channels(&hub, 3);
        tokio::time::sleep(STEP / 2).await;
        assert_eq!(told(), AT_LEAST);
        tokio::time::sleep(STEP * 3).await;
        assert_eq!(told(), 30);
    }
}

#[tokio::test(start_paused = true)]
async fn those_who_join_the_queue_late_do_not_make_the_others_wait_for_ever() {
    let hub = hub();
    let first = lose_channels(&hub, 1000);
    for _ in 0..10 {
        tokio::time::sleep(SPREAD / 10).await;
        let _ = lose_channels(&hub, 100);
    }
    tokio::time::sleep(SPREAD / 2).await;
    assert_eq!(first(), 10_000);
}

#[test]
fn members_leave_in_any_order() {
    let list: Vec<_> = (0..10)
        .map(|_| member(Codec::Json, Interest::default()))
        .collect();
    let mut members = members(&list);
    let snapshot = members.clone();
    for (left, index) in [3, 9, 0, 5, 1, 8, 2, 4, 7, 6].into_iter().enumerate() {
        assert!(members.remove(&list[index]));
        assert!(!members.remove(&list[index]), "it has left already");
        assert_eq!(members.len(), 9 - left);
    }
    assert!(Hub::<Client>::is_empty(&members));
    assert_eq!(snapshot.len(), 10);
    members.insert(Arc::clone(&list[3]));
    assert!(members.remove(&list[3]));
}

#[test]
fn only_what_was_queued_is_followed() {
    let (hub, meter) = (hub(), Arc::new(DeliveryMeter::register()));
    let client = || metered(Codec::Json, Interest::default(), Some(Arc::clone(&meter)));
    // Of so many one is followed.
    let publish = |client: &Arc<Membership<Client>>| {
        for _ in 0..16 {
            hub.deliver(&channel(), &members(std::slice::from_ref(client)), &publication());
            client.subscriber().received();
        }
    };
    let live = client();
    publish(&live);
    assert!(!meter.is_idle());
    meter.forget(live.subscriber().outbound());
    // Whoever fans out may have looked at the list before.
    live.end();
    publish(&live);
    assert!(meter.is_idle(), "the subscription has ended");
    let leaving = client();
    leaving
        .subscriber()
        .outbound()
        .close(DisconnectCode::Closed.into());
    publish(&leaving);
    assert!(meter.is_idle(), "the connection ends");
}
