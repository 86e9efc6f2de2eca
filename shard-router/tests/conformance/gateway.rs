//! One gateway's way to the server under test, and a record of what its links told it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use campanile_common::message::ClientInfo;
use campanile_common::{ChannelName, Epoch, Offset, Position, Timestamp};
use campanile_shard_router::fence::{FenceCommand, FenceReply};
use campanile_shard_router::partition::Partition;
use campanile_shard_router::publication::{Publication, ShardMessage};
use campanile_shard_router::shard::{
    HistoryPage, HistoryRange, HistoryRequest, LinkId, PositionRequest, PublishOutcome, PublishRequest,
    Shard, ShardError, ShardEvents, ShardStatus, StreamLimits,
};
use campanile_shard_router::topology::{Generation, Incarnation, Token};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::counters::Counters;

/// What should happen soon happens within this.
pub const SOON: Duration = Duration::from_secs(20);
/// The generation and token at which cases open partitions.
pub const OPENED: (Generation, Token) = (Generation(1), Token(1));

/// What a link told.
#[allow(clippy::large_enum_variant)] // Nearly all are messages.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    Up(LinkId),
    Down(LinkId),
    Message(LinkId, String, ShardMessage),
    Marker(LinkId, Partition, Generation),
}

/// Keeps what links tell.
#[derive(Default)]
pub struct Recorder {
    told: std::sync::Mutex<Vec<Told>>,
    news: Notify,
    stalled: std::sync::Mutex<bool>,
    goes_on: std::sync::Condvar,
}

impl Recorder {
    pub fn told(&self) -> Vec<Told> {
        self.told.lock().unwrap().clone()
    }

    /// Waits until what was told satisfies `enough`, and returns it.
    pub async fn until(&self, enough: impl Fn(&[Told]) -> bool) -> Vec<Told> {
        let waiting = async {
            loop {
                let news = self.news.notified();
                let told = self.told();
                if enough(&told) {
                    return told;
                }
                news.await;
            }
        };
        timeout(SOON, waiting)
            .await
            .unwrap_or_else(|_| panic!("not told in time: {:?}", self.told()))
    }

    /// The payloads that arrived for a channel.
    pub fn payloads(&self, channel: &str) -> Vec<Bytes> {
        let payload = |told: Told| match told {
            Told::Message(_, name, ShardMessage::Publication { publication, .. }) if name == channel => {
                Some(publication.data)
            }
            _ => None,
        };
        self.told().into_iter().filter_map(payload).collect()
    }

    /// From now on messages are not taken: a router that does not keep up.
    pub fn stall(&self) {
        *self.stalled.lock().unwrap() = true;
    }

    /// The end of a [`stall`](Self::stall).
    pub fn go_on(&self) {
        *self.stalled.lock().unwrap() = false;
        self.goes_on.notify_all();
    }

    fn tell(&self, told: Told) {
        self.told.lock().unwrap().push(told);
        self.news.notify_waiters();
        self.news.notify_one();
    }
}

impl ShardEvents for Recorder {
    fn message(&self, link: &LinkId, channel: &str, message: ShardMessage) {
        let stalled = self.stalled.lock().unwrap();
        if *stalled {
            tokio::task::block_in_place(|| drop(self.goes_on.wait_while(stalled, |stalled| *stalled)));
        }
        self.tell(Told::Message(link.clone(), channel.to_owned(), message));
    }

    fn marker(&self, link: &LinkId, partition: Partition, generation: Generation) {
        self.tell(Told::Marker(link.clone(), partition, generation));
    }

    fn link_up(&self, link: &LinkId) {
        self.tell(Told::Up(link.clone()));
    }

    fn link_down(&self, link: &LinkId) {
        self.tell(Told::Down(link.clone()));
    }
}

/// One gateway's way to the server.
pub struct Gateway {
    pub shard: Arc<dyn Shard>,
    /// What the shard counts.
    pub counters: Counters,
    pub events: Arc<Recorder>,
}

impl Gateway {
    /// Opens a shard, noting what it counts.
    pub fn open_with(open: impl FnOnce(Arc<dyn ShardEvents>) -> Arc<dyn Shard>) -> Self {
        let (events, counters) = (Arc::new(Recorder::default()), Counters::default());
        let told = Arc::clone(&events) as Arc<dyn ShardEvents>;
        let shard = metrics::with_local_recorder(&counters, || open(told));
        Self {
            shard,
            counters,
            events,
        }
    }

    /// Trusts whichever run answers, and waits until it can be used.
    pub async fn trust_present_run(&self) -> Incarnation {
        let run = self.shard.probe().await.unwrap().incarnation;
        self.shard.trust(Some(run.clone()), OPENED.0);
        self.connected().await;
        run
    }

    pub async fn connected(&self) {
        self.status_becomes(|status| *status == ShardStatus::Connected)
            .await;
    }

    pub async fn status_becomes(&self, wanted: impl Fn(&ShardStatus) -> bool) {
        eventually(|| async { wanted(&self.shard.status()).then_some(()) }).await;
    }

    /// Trusts the present run and opens partitions on it, empty.
    pub async fn open(&self, partitions: impl IntoIterator<Item = Partition>) -> Incarnation {
        let run = self.trust_present_run().await;
        let (generation, token) = OPENED;
        for partition in partitions {
            let fresh = (
                partition,
                FenceCommand::Fresh {
                    generation,
                    token,
                    unless_open: None,
                },
            );
            let open = (partition, FenceCommand::Open { generation, token });
            let replies = self.shard.fence(&run, vec![fresh, open]).await.unwrap();
            assert_eq!(replies, [FenceReply::Done, FenceReply::Done]);
        }
        run
    }

    /// Opens the partition of one channel.
    pub async fn open_for(&self, channel: &Channel) -> Incarnation {
        self.open([channel.partition]).await
    }

    pub async fn fence(&self, run: &Incarnation, partition: Partition, command: FenceCommand) -> FenceReply {
        self.shard
            .fence(run, vec![(partition, command)])
            .await
            .unwrap()
            .remove(0)
    }

    pub async fn publish(&self, channel: &Channel, data: &str) -> Result<PublishOutcome, ShardError> {
        self.shard.publish(channel.partition, channel.request(data)).await
    }

    /// Publishes, and expects a place in the stream.
    pub async fn append(&self, channel: &Channel, data: &str) -> Position {
        self.publish(channel, data)
            .await
            .unwrap()
            .position
            .expect("a position")
    }

    pub async fn history(&self, channel: &Channel, range: HistoryRange) -> Result<HistoryPage, ShardError> {
        self.shard.history(channel.partition, channel.read(range)).await
    }

    /// The whole stream: position and payloads.
    pub async fn content(&self, channel: &Channel) -> (Position, Vec<String>) {
        let page = self.history(channel, ALL).await.unwrap();
        let text = |publication: Publication| String::from_utf8(publication.data.to_vec()).unwrap();
        (page.position, page.publications.into_iter().map(text).collect())
    }

    pub async fn subscribe(&self, channel: &Channel) {
        self.shard
            .subscribe(vec![(channel.partition, channel.name.clone())])
            .await
            .unwrap();
    }
}

pub const ALL: HistoryRange = HistoryRange {
    since: None,
    limit: None,
    reverse: false,
};

/// A channel of a case, with the limits of its stream.
#[derive(Clone, Debug)]
pub struct Channel {
    pub name: ChannelName,
    pub partition: Partition,
    pub limits: StreamLimits,
}

impl Channel {
    pub fn new(name: &str) -> Self {
        let minute = Duration::from_secs(60);
        Self {
            name: ChannelName::from_trusted(name),
            partition: Partition::of(name),
            limits: StreamLimits {
                size: 100,
                ttl: minute,
                meta_ttl: 10 * minute,
            },
        }
    }

    pub fn request(&self, data: &str) -> PublishRequest {
        PublishRequest {
            channel: self.name.clone(),
            publication: publication(data.as_bytes()),
            stream: Some(self.limits),
            idempotency: None,
            version: None,
            new_epoch: new_epoch(),
        }
    }

    pub fn read(&self, range: HistoryRange) -> HistoryRequest {
        HistoryRequest {
            channel: self.name.clone(),
            range,
            meta_ttl: self.limits.meta_ttl,
            new_epoch: new_epoch(),
        }
    }

    pub fn position_request(&self) -> PositionRequest {
        PositionRequest {
            partition: self.partition,
            channel: self.name.clone(),
            meta_ttl: self.limits.meta_ttl,
            new_epoch: new_epoch(),
        }
    }
}

/// Channels of one prefix that are all in partitions of their own.
pub fn channels_apart(count: usize) -> Vec<Channel> {
    let mut found = BTreeMap::new();
    for number in 0.. {
        let channel = Channel::new(&format!("apart:{number}"));
        found.entry(channel.partition).or_insert(channel);
        if found.len() == count {
            break;
        }
    }
    found.into_values().collect()
}

pub fn publication(data: &[u8]) -> Publication {
    Publication {
        offset: Offset::ZERO,
        data: Bytes::copy_from_slice(data),
        info: None,
        tags: BTreeMap::new(),
        time: Timestamp::from_millis(1_700_000_000_123),
    }
}

pub fn info(client: &str) -> ClientInfo {
    ClientInfo {
        user: format!("user of {client}"),
        client: client.to_owned(),
        conn_info: Bytes::from_static(b"{\"c\":1}"),
        chan_info: Bytes::from_static(&[0, 1, 255]),
    }
}

/// An epoch that no other request has.
pub fn new_epoch() -> Epoch {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    Epoch::from(format!("epoch-{}", NEXT.fetch_add(1, Ordering::Relaxed)))
}

/// Polls until there is a value.
pub async fn eventually<T, F: Future<Output = Option<T>>>(poll: impl Fn() -> F) -> T {
    let polling = async {
        loop {
            if let Some(value) = poll().await {
                return value;
            }
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(SOON, polling)
        .await
        .expect("it should have happened by now")
}
