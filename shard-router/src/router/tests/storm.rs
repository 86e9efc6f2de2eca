//! Partitions that go round and round under publishing throughout, while links are slow at random.

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::cluster::Cluster;
use super::mover::{Mover, acknowledged};
use super::*;
use crate::partition::Partition;
use crate::safeguard::{Safeguard, without};
use crate::topology::MoveHistory;

const GATEWAYS: usize = 2;
const MOVES: usize = 6;

/// One channel, and all that was published in it.
struct Story {
    channel: ChannelName,
    stream: Option<StreamLimits>,
    witnesses: Vec<Witness>,
}

impl Story {
    async fn begin(
        routers: &[Arc<Router<Witnesses>>],
        channel: ChannelName,
        stream: Option<StreamLimits>,
    ) -> Self {
        let options = || SubscribeOptions {
            stream,
            limit: 100,
            ..SubscribeOptions::default()
        };
        let subscribe = |router| Witness::subscribe_with(router, &channel, options());
        let witnesses = join_all(routers.iter().map(|router| subscribe(router))).await;
        Self {
            witnesses: witnesses.into_iter().map(Result::unwrap).collect(),
            channel,
            stream,
        }
    }

    /// Publishes one number after another until told to stop; how many it were.
    fn tell(
        &self,
        router: &Arc<Router<Witnesses>>,
        mut pause: impl FnMut() -> Duration + Send + 'static,
        ended: &CancellationToken,
    ) -> tokio::task::JoinHandle<u64> {
        let (router, channel, stream, ended) = (
            Arc::clone(router),
            self.channel.clone(),
            self.stream,
            ended.clone(),
        );
        tokio::spawn(async move {
            let mut number = 0;
            while !ended.is_cancelled() {
                number += 1;
                let publish = Publish {
                    stream,
                    ..publish(&channel, number)
                };
                router.publish(publish).await.unwrap();
                tokio::time::sleep(pause()).await;
            }
            number
        })
    }

    async fn was_heard(&self, published: u64) {
        for witness in &self.witnesses {
            let number = |seen: &Seen| match seen {
                Seen::Publication(_, data) => data.parse().ok(),
                _ => None,
            };
            let heard = || -> Vec<u64> { witness.seen().iter().filter_map(number).collect() };
            eventually("the last is heard", || heard().last() == Some(&published)).await;
            assert_eq!(heard(), (1..=published).collect::<Vec<_>>(), "{}", self.channel);
            assert_eq!(witness.seen().len(), heard().len(), "nobody was told of a loss");
        }
    }
}

async fn storm(seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let cluster = Cluster::open(3).await;
    let config = || RouterConfig {
        publish_wait: Duration::from_secs(30),
        ..RouterConfig::default()
    };
    let routers: Vec<_> = (0..GATEWAYS).map(|_| cluster.router_with(config())).collect();
    let partition = Partition::of(&cluster.channel_on(1));
    let names = (0..).map(|number| ChannelName::from_trusted(&format!("storm:{number}")));
    let mut names = names.filter(|name| Partition::of(name) == partition);
    let mut stories = Vec::new();
    for number in 0..4 {
        let kept = (number % 2 == 0).then(|| stream(1000)).flatten();
        stories.push(Story::begin(&routers, names.next().unwrap(), kept).await);
    }
    let ended = CancellationToken::new();
    let tellers: Vec<_> = stories
        .iter()
        .zip(routers.iter().cycle())
        .map(|(story, router)| {
            let mut random = StdRng::seed_from_u64(random.random());
            let pause = move || Duration::from_micros(random.random_range(0..6000));
            story.tell(router, pause, &ended)
        })
        .collect();
    let mut at = 1;
    for _ in 0..MOVES {
        let to = (at + random.random_range(0..2)) % 3 + 1;
        let history = if random.random_bool(0.5) {
            MoveHistory::Keep
        } else {
            MoveHistory::Drop
        };
        let slow = random.random_range(1..=3);
        cluster.server(slow).stall(true);
        let moving = Mover::new(&cluster, partition, (at, to), history).carry_out();
        let calm = async {
            tokio::time::sleep(Duration::from_millis(random.random_range(0..200))).await;
            cluster.server(slow).stall(false);
        };
        tokio::join!(moving, calm);
        at = to;
    }
    ended.cancel();
    for (story, published) in stories.iter().zip(join_all(tellers).await) {
        story.was_heard(published.unwrap()).await;
    }
    acknowledged(&cluster, routers[0].core.generation()).await;
    for router in &routers {
        for story in &stories {
            story.witnesses.iter().for_each(|witness| witness.leave(router));
        }
    }
    let left = |number| cluster.server(number).listeners() == 0;
    eventually("all is let go", || (1..=3).all(left)).await;
}

#[tokio::test(start_paused = true)]
async fn everything_is_heard_once_and_in_order_however_often_a_partition_moves() {
    for seed in 0..12 {
        storm(seed).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_on_several_threads() {
    storm(99).await;
}

/// The tests above would notice if a rule were missing: without it, one of some storms goes wrong.
#[test]
fn a_missing_rule_is_noticed() {
    for rule in [Safeguard::HoldBack, Safeguard::HoldPastCommit] {
        let goes_wrong = |seed: &u64| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .start_paused(true)
                .build()
                .unwrap();
            std::panic::catch_unwind(|| runtime.block_on(storm(*seed))).is_err()
        };
        let noticed = without(rule, || (0..20).find(goes_wrong));
        assert!(noticed.is_some(), "{rule:?} makes no difference");
    }
}
