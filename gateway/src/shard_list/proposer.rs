//! Getting the list into the topology, whatever it takes.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use campanile_shard_router::coordinator::{ShardList, ShardRequests};
use campanile_shard_router::topology::Generation;
use rand::Rng as _;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::notes::{Notes, Subject};

/// How long the first topology is waited for in silence: at the first start of a deployment it comes once a coordinator has been
/// found and has opened the shards.
const FIRST_TOPOLOGY: Duration = Duration::from_secs(5);

/// The first wait before what failed is tried again.
const WAIT_FIRST: Duration = Duration::from_millis(250);

/// The longest.
const WAIT_MOST: Duration = Duration::from_secs(5);

/// Why a list is not in the topology.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotProposed {
    /// It may be another time: the store does not answer, or is empty still.
    #[error("{0}")]
    Later(String),
    /// It never will: something about it must be changed.
    #[error("{0}")]
    Refused(String),
}

/// The pending answer to a proposal.
pub type Proposing<'a> = Pin<Box<dyn Future<Output = Result<(), NotProposed>> + Send + 'a>>;

/// Who takes lists.
pub trait Propose: Send + Sync + 'static {
    /// Notes `list` in the topology as what is wanted. That it is noted already is as good.
    fn propose<'a>(&'a self, list: &'a ShardList) -> Proposing<'a>;
}

impl Propose for ShardRequests {
    fn propose<'a>(&'a self, list: &'a ShardList) -> Proposing<'a> {
        Box::pin(async move {
            match self.propose_list(list).await {
                Ok(_) => Ok(()),
                Err(error) if error.is_refusal() => Err(NotProposed::Refused(error.to_string())),
                Err(error) => Err(NotProposed::Later(error.to_string())),
            }
        })
    }
}

/// Proposes each list until it is taken, refused, or followed by another one; ends only by being aborted. `applied`: the
/// topology that this gateway goes by.
pub async fn propose_all(
    mut proposals: watch::Receiver<Option<ShardList>>,
    to: Arc<dyn Propose>,
    mut applied: watch::Receiver<Generation>,
    notes: Notes,
) {
    loop {
        let list = proposals.borrow_and_update().clone();
        let settled = async {
            if let Some(list) = list {
                let first = applied.wait_for(|generation| *generation > Generation(0));
                // If it does not come, the attempt tells why.
                let _ = timeout(FIRST_TOPOLOGY, first).await;
                settle(&list, &*to, &notes).await;
            } else {
                notes.clear(Subject::Proposal);
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            changed = proposals.changed() => if changed.is_err() { return },
            () = settled => {}
        }
    }
}

/// Proposes `list` until there is an answer.
async fn settle(list: &ShardList, to: &dyn Propose, notes: &Notes) {
    let mut wait = WAIT_FIRST;
    loop {
        match to.propose(list).await {
            Ok(()) => {
                notes.clear(Subject::Proposal);
                tracing::info!(
                    shards = list.len(),
                    "this gateway's list of shards is the wanted one"
                );
                return;
            }
            Err(NotProposed::Refused(reason)) => {
                if notes.set(
                    Subject::Proposal,
                    format!("the list of shards is refused: {reason}"),
                ) {
                    tracing::error!(reason, "the list of shards is refused");
                }
                return;
            }
            Err(NotProposed::Later(reason)) => {
                let note = format!("the list of shards is not in the topology yet: {reason}");
                if notes.set(Subject::Proposal, note) {
                    tracing::warn!(reason, "the list of shards is not in the topology yet");
                }
            }
        }
        let share = rand::rng().random_range(0.5..1.0);
        sleep(wait.mul_f64(share)).await;
        wait = (wait * 2).min(WAIT_MOST);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use campanile_shard_router::topology::{ShardId, ShardUrl, WantedShard};
    use parking_lot::Mutex;

    use super::*;

    /// Answers as it is told to, and then with yes.
    #[derive(Default)]
    struct Taker {
        answers: Mutex<VecDeque<Result<(), NotProposed>>>,
        asked: Mutex<Vec<usize>>,
    }

    impl Propose for Taker {
        fn propose<'a>(&'a self, list: &'a ShardList) -> Proposing<'a> {
            self.asked.lock().push(list.len());
            let answer = self.answers.lock().pop_front().unwrap_or(Ok(()));
            Box::pin(async move { answer })
        }
    }

    /// A list of so many shards.
    fn list(count: usize) -> Option<ShardList> {
        let shard = |number| {
            let shard = WantedShard {
                url: ShardUrl::new("redis://host"),
                address: "host:6379".to_owned(),
                weight: 1,
                durable: false,
            };
            (ShardId::new(&format!("shard-{number}")), shard)
        };
        Some((0..count).map(shard).collect())
    }

    fn later() -> Result<(), NotProposed> {
        Err(NotProposed::Later("nobody is there".to_owned()))
    }

    async fn while_proposing(
        answers: impl IntoIterator<Item = Result<(), NotProposed>>,
        first: Option<ShardList>,
        then: impl AsyncFnOnce(&watch::Sender<Option<ShardList>>, &Notes),
    ) -> Vec<usize> {
        let taker = Arc::new(Taker::default());
        taker.answers.lock().extend(answers);
        let (proposals, notes) = (watch::Sender::new(first), Notes::default());
        let applied = watch::Sender::new(Generation(1));
        let proposing = tokio::spawn(propose_all(
            proposals.subscribe(),
            Arc::clone(&taker) as _,
            applied.subscribe(),
            notes.clone(),
        ));
        then(&proposals, &notes).await;
        proposing.abort();
        let asked = taker.asked.lock();
        asked.clone()
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_is_proposed_until_the_store_answers() {
        let asked = while_proposing([later(), later(), later()], list(3), async |_, notes| {
            sleep(Duration::from_millis(1)).await;
            assert!(notes.texts()[0].contains("nobody is there"));
            sleep(Duration::from_secs(60)).await;
            assert!(notes.texts().is_empty());
        });
        assert_eq!(asked.await, [3, 3, 3, 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_list_is_noted_until_there_is_another() {
        let refused = Err(NotProposed::Refused("that is none".to_owned()));
        let asked = while_proposing([refused], list(1), async |proposals, notes| {
            sleep(Duration::from_secs(60)).await;
            assert_eq!(notes.texts(), ["the list of shards is refused: that is none"]);
            proposals.send_replace(list(2));
            sleep(Duration::from_secs(1)).await;
            assert!(notes.texts().is_empty());
        });
        assert_eq!(asked.await, [1, 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_withdrawn_or_overtaken_is_not_proposed_any_more() {
        let answers = [later(), later(), later(), later()];
        let asked = while_proposing(answers, None, async |proposals, notes| {
            sleep(Duration::from_secs(60)).await;
            proposals.send_replace(list(1));
            sleep(Duration::from_millis(1)).await;
            proposals.send_replace(list(2));
            sleep(Duration::from_millis(1)).await;
            proposals.send_replace(None);
            sleep(Duration::from_secs(60)).await;
            assert!(notes.texts().is_empty());
        });
        assert_eq!(asked.await, [1, 2]);
    }

    /// A gateway without a topology that has a list to propose, which it has been doing for a while.
    async fn without_topology(
        answers: Option<Result<(), NotProposed>>,
    ) -> (Arc<Taker>, watch::Sender<Generation>, Notes) {
        let (taker, notes) = (Arc::new(Taker::default()), Notes::default());
        taker.answers.lock().extend(answers);
        let (proposals, applied) = (watch::Sender::new(list(2)), watch::Sender::new(Generation(0)));
        let (lists, to) = (proposals.subscribe(), Arc::clone(&taker) as _);
        let (topologies, noted) = (applied.subscribe(), notes.clone());
        tokio::spawn(async move {
            let _proposals = proposals;
            propose_all(lists, to, topologies, noted).await;
        });
        sleep(FIRST_TOPOLOGY / 2).await;
        assert!(taker.asked.lock().is_empty() && notes.texts().is_empty());
        (taker, applied, notes)
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_topology_is_waited_for_in_silence_and_the_list_is_proposed_at_once() {
        let (taker, applied, notes) = without_topology(None).await;
        applied.send_replace(Generation(1));
        sleep(Duration::from_millis(1)).await;
        assert_eq!(*taker.asked.lock(), [2]);
        assert!(notes.texts().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_first_topology_that_does_not_come_is_told() {
        let (taker, _applied, notes) = without_topology(Some(later())).await;
        sleep(FIRST_TOPOLOGY / 2).await;
        sleep(Duration::from_millis(1)).await;
        assert_eq!(*taker.asked.lock(), [2]);
        assert!(notes.texts()[0].contains("nobody is there"));
    }
}
