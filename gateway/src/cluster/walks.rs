//! Walks over all channels of this gateway: one at a time, and on threads that serve no connections. Somebody who looks at the
//! deployment does not hold it up.

use std::sync::Arc;
use std::time::Duration;

use campanile_shard_router::store::GatewayId;
use metrics::{Counter, counter, describe_counter};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};

use super::Shared;
use super::local::Walk;
use super::message::Envelope;
use super::survey::Looks;

/// Walks that wait for the one under way. Whoever asks for one more gets no answer, as from a gateway that is too busy.
const MAX_WAITING: usize = 16;

/// How often something is forgotten that nobody has asked for again.
const FORGETTING: Duration = Duration::from_secs(60);

/// A walk that somebody waits for.
#[derive(Debug)]
pub(super) struct Wanted {
    /// That of the request.
    pub(super) id: u64,
    /// Who asks.
    pub(super) from: GatewayId,
    pub(super) walk: Walk,
}

/// Where walks wait.
pub(super) struct Walks {
    queue: mpsc::Sender<Wanted>,
    dropped: Counter,
}

impl Walks {
    /// None yet, and those to be taken.
    pub(super) fn new() -> (Self, mpsc::Receiver<Wanted>) {
        describe_counter!(
            "campanile_cluster_walks_dropped_total",
            "Looks at all channels of this gateway that were not taken because too many waited"
        );
        let (queue, wanted) = mpsc::channel(MAX_WAITING);
        let dropped = counter!("campanile_cluster_walks_dropped_total");
        (Self { queue, dropped }, wanted)
    }

    /// Has it taken when its turn comes.
    pub(super) fn add(&self, wanted: Wanted) {
        if self.queue.try_send(wanted).is_err() {
            self.dropped.increment(1);
        }
    }
}

/// Takes them, one after another.
pub(super) async fn take_all(shared: Arc<Shared>, mut wanted: mpsc::Receiver<Wanted>) {
    let mut looks = Looks::default();
    loop {
        match timeout(FORGETTING, wanted.recv()).await {
            Ok(Some(wanted)) => looks = shared.take(wanted, looks).await,
            Ok(None) => return,
            Err(_) => {}
        }
        looks.forget_old(Instant::now());
    }
}

impl Shared {
    /// Takes one and answers whoever waits for it; gives back what the next one is compared with.
    async fn take(self: &Arc<Self>, wanted: Wanted, mut looks: Looks) -> Looks {
        let Wanted { id, from, walk } = wanted;
        let shared = Arc::clone(self);
        let walked = spawn_blocking(move || {
            let answer = Envelope::Answer {
                id,
                from: shared.gateway.clone(),
                answer: walk.take(shared.local.as_ref(), &mut looks),
            };
            (answer.encode(), looks)
        });
        match walked.await {
            Ok((answer, looks)) => {
                self.answer(&from, answer).await;
                looks
            }
            Err(error) => {
                tracing::error!(%error, "the channels of this gateway could not be looked at");
                Looks::default()
            }
        }
    }
}
