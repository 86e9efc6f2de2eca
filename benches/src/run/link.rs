//! A worker's way to the controller.

use tokio::sync::{Mutex, mpsc};

use super::Stamp;
use crate::Failure;
use crate::check::Ledger;
use crate::workers::{FromWorker, ToWorker};

/// Messages that may wait for the controller. Progress is dropped when it is full; whatever else is said waits.
const QUEUE: usize = 64;

/// A worker's way to the controller.
#[derive(Debug)]
pub struct Link {
    up: mpsc::Sender<FromWorker>,
    down: Mutex<mpsc::Receiver<ToWorker>>,
}

/// The controller's end of a [`Link`].
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) from: mpsc::Receiver<FromWorker>,
    pub(crate) to: mpsc::Sender<ToWorker>,
}

/// Both ends of a way.
pub(crate) fn pair() -> (Link, Port) {
    let (up, from) = mpsc::channel(QUEUE);
    let (to, down) = mpsc::channel(QUEUE);
    let link = Link {
        up,
        down: Mutex::new(down),
    };
    (link, Port { from, to })
}

impl Link {
    /// Waits for every worker; the time at which all go on.
    pub(crate) async fn barrier(&self, name: &str) -> Result<Stamp, Failure> {
        match self.ask(FromWorker::Arrived { at: name.to_owned() }).await? {
            ToWorker::Go { at } => Ok(at),
            other => Err(unexpected(&other)),
        }
    }

    /// Waits for every worker; all ledgers as one.
    pub(crate) async fn exchange(&self, ledger: Ledger) -> Result<Ledger, Failure> {
        match self.ask(FromWorker::Ledger(ledger)).await? {
            ToWorker::Ledger(merged) => merged.complete(),
            other => Err(unexpected(&other)),
        }
    }

    /// Says how far this worker is, if there is room to say it.
    pub(crate) fn progress(&self, done: u64, of: u64, what: &str) {
        // The next one says more.
        let _ = self.up.try_send(FromWorker::Progress {
            done,
            of,
            what: what.to_owned(),
        });
    }

    /// What the controller says next, between runs.
    pub(crate) async fn hear(&self) -> Option<ToWorker> {
        self.down.lock().await.recv().await
    }

    /// Says something that is not answered.
    pub(crate) async fn say(&self, message: FromWorker) -> Result<(), Failure> {
        self.up.send(message).await.map_err(|_| gone())
    }

    async fn ask(&self, message: FromWorker) -> Result<ToWorker, Failure> {
        let mut down = self.down.lock().await;
        self.say(message).await?;
        match down.recv().await {
            Some(ToWorker::Stop) => Err(Failure::Interrupted),
            Some(answer) => Ok(answer),
            None => Err(gone()),
        }
    }
}

fn gone() -> Failure {
    Failure::run("the controller is gone")
}

fn unexpected(message: &ToWorker) -> Failure {
    Failure::run(format!("the controller says what nobody asked: {message:?}"))
}
