//! A command lane: one connection, the queue before it, and the task that empties the queue in batches.
//!
//! Requests are carried out in the order in which they were submitted. What waits goes out as one pipeline; while that
//! travels, the next batch gathers. Nothing is ever sent twice: what was sent and not answered is reported as such.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ::redis::{Arg, Cmd, Pipeline, PushInfo, PushKind, Value};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;

use super::connection::{Backoff, Broken, Connection, Connector, pipeline};
use super::context::TaskContext;
use super::health::{ConnectionState, Health};
use super::reply;
use super::scripts;
use crate::shard::ShardError;
use crate::shard::intent::Intent;

/// Requests in one pipeline at most: enough to make round trips cheap, few enough that the first does not wait long
/// for the answer of the last.
const BATCH: usize = 256;

/// The end into which requests are submitted.
pub(super) struct Lane {
    queue: mpsc::Sender<Request>,
    health: Arc<Health>,
    slot: usize,
    waiting: Arc<AtomicUsize>,
    limit: usize,
    connector: Arc<Connector>,
}

/// One caller's commands.
struct Request {
    commands: Vec<Cmd>,
    deadline: Instant,
    answer: oneshot::Sender<Result<Vec<Value>, ShardError>>,
    reserved: Reserved,
}

impl Request {
    /// Gives the budget back, then the answer: whoever has it finds room for the next request.
    fn answer(self, answer: Result<Vec<Value>, ShardError>) {
        drop(self.reserved);
        // Nobody may wait for it any more.
        let _ = self.answer.send(answer);
    }
}

/// Bytes of the queue's budget, given back when the request has its answer.
pub(super) struct Reserved {
    waiting: Arc<AtomicUsize>,
    bytes: usize,
}

impl Reserved {
    /// Takes `bytes` of a budget; a request that is larger than all of it still passes alone.
    pub(super) fn take(waiting: &Arc<AtomicUsize>, bytes: usize, limit: usize) -> Result<Self, ShardError> {
        let before = waiting.fetch_add(bytes, Ordering::Relaxed);
        let reserved = Self {
            waiting: Arc::clone(waiting),
            bytes,
        };
        if before == 0 || before.saturating_add(bytes) <= limit {
            return Ok(reserved);
        }
        Err(ShardError::Overloaded)
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.waiting.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Lane {
    /// Spawns the task of the lane that reports its state in `slot`.
    pub(super) fn open(context: &TaskContext, slot: usize) -> Self {
        let (queue, requests) = mpsc::channel(context.options.queue_requests.max(1));
        let task = LaneTask {
            context: context.clone(),
            slot,
            requests,
            backoff: Backoff::default(),
        };
        tokio::spawn(task.run());
        Self {
            queue,
            health: Arc::clone(&context.health),
            slot,
            waiting: Arc::default(),
            limit: context.options.queue_bytes,
            connector: Arc::clone(&context.connector),
        }
    }

    /// Queues commands now; resolves to their answers, or to why there are none.
    pub(super) fn submit(
        &self,
        commands: Vec<Cmd>,
    ) -> impl Future<Output = Result<Vec<Value>, ShardError>> + Send + use<> {
        let queued = self.queue(commands);
        async move {
            // The task answers every request that it is handed, and ends only with its queue empty and closed.
            queued?
                .await
                .unwrap_or_else(|_| Err(ShardError::Unavailable("the shard is closed".to_owned())))
        }
    }

    fn queue(
        &self,
        commands: Vec<Cmd>,
    ) -> Result<oneshot::Receiver<Result<Vec<Value>, ShardError>>, ShardError> {
        self.health.check(self.slot)?;
        let bytes = commands.iter().map(size).sum();
        let reserved = Reserved::take(&self.waiting, bytes, self.limit)?;
        let (answer, receiver) = oneshot::channel();
        let request = Request {
            commands,
            deadline: self.connector.deadline(),
            answer,
            reserved,
        };
        match self.queue.try_send(request) {
            Ok(()) => Ok(receiver),
            Err(mpsc::error::TrySendError::Full(_)) => Err(ShardError::Overloaded),
            Err(mpsc::error::TrySendError::Closed(_)) => {
                Err(ShardError::Unavailable("the shard is closed".to_owned()))
            }
        }
    }
}

/// Roughly what a command takes in memory.
fn size(command: &Cmd) -> usize {
    let argument = |argument: Arg<&[u8]>| match argument {
        Arg::Simple(bytes) => bytes.len() + 16,
        _ => 16,
    };
    command.args_iter().map(argument).sum()
}

struct LaneTask {
    context: TaskContext,
    slot: usize,
    requests: mpsc::Receiver<Request>,
    backoff: Backoff,
}

impl LaneTask {
    async fn run(mut self) {
        loop {
            let intent = self.context.intent.borrow_and_update().clone();
            if intent.closed {
                break;
            }
            let state = match self.connect(&intent).await {
                Ok((connection, ended)) => {
                    self.backoff.succeeded();
                    let why = self.serve(connection, &ended).await;
                    self.context.metrics.lane_breaks.increment(1);
                    ConnectionState::Down(why)
                }
                Err(state) => state,
            };
            self.report(state);
            let wait = self.backoff.failed();
            let mut changed = self.context.intent.clone();
            self.refusing(async move {
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    _ = changed.changed() => {}
                }
            })
            .await;
        }
        self.report(ConnectionState::Down("the shard is closed".to_owned()));
        self.requests.close();
        while let Some(request) = self.requests.recv().await {
            request.answer(Err(ShardError::Unavailable("the shard is closed".to_owned())));
        }
    }

    /// Connects, unless the intent changes meanwhile.
    async fn connect(&mut self, intent: &Intent) -> Result<(Connection, Arc<Notify>), ConnectionState> {
        let ended = Arc::new(Notify::new());
        let connector = Arc::clone(&self.context.connector);
        let mut changed = self.context.intent.clone();
        let notify = Arc::clone(&ended);
        let intent = intent.clone();
        let connecting = async move {
            let attempt = async {
                let end = move |info: PushInfo| {
                    if info.kind == PushKind::Disconnection {
                        notify.notify_one();
                    }
                };
                let mut connection = connector.connect_trusted(&intent, end).await?;
                let deadline = connector.deadline();
                let loaded = connection.run_all(scripts::load_for_data(), deadline).await;
                loaded.map_err(ConnectionState::Down)?;
                Ok(connection)
            };
            tokio::select! {
                connected = attempt => connected,
                _ = changed.changed() => Err(ConnectionState::Down("not connected yet".to_owned())),
            }
        };
        self.refusing(connecting)
            .await
            .map(|connection| (connection, ended))
    }

    /// Awaits `future`; requests that come meanwhile are refused.
    async fn refusing<T>(&mut self, future: impl Future<Output = T>) -> T {
        tokio::pin!(future);
        loop {
            tokio::select! {
                biased;
                output = &mut future => return output,
                Some(request) = self.requests.recv() => {
                    let error = self.context.health.check(self.slot).err();
                    let error = error.unwrap_or_else(|| ShardError::Unavailable("connecting".to_owned()));
                    request.answer(Err(error));
                }
            }
        }
    }

    /// Carries requests out until the connection may or can no longer be used; says why.
    async fn serve(&mut self, mut connection: Connection, ended: &Notify) -> String {
        self.report(ConnectionState::Up);
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                biased;
                _ = self.context.intent.changed() => return "the trusted run changed".to_owned(),
                () = ended.notified() => return "the server closed the connection".to_owned(),
                count = self.requests.recv_many(&mut batch, BATCH) => {
                    if count == 0 {
                        return "the shard is closed".to_owned();
                    }
                    if let Err(broken) = self.carry_out(&mut connection, &mut batch).await {
                        return broken.words();
                    }
                }
                () = tokio::time::sleep(self.context.connector.ping_every()) => {
                    let deadline = Instant::now() + self.context.connector.ping_every();
                    if let Err(broken) = connection.ping(deadline).await {
                        return broken.words();
                    }
                }
            }
        }
    }

    /// Sends a batch and hands out its answers.
    async fn carry_out(&self, connection: &mut Connection, batch: &mut Vec<Request>) -> Result<(), Broken> {
        let now = Instant::now();
        let (late, mut batch): (Vec<_>, Vec<_>) =
            batch.drain(..).partition(|request| request.deadline <= now);
        for request in late {
            request.answer(Err(ShardError::Unavailable(
                "the request did not get its turn in time".to_owned(),
            )));
        }
        let Some(deadline) = batch.iter().map(|request| request.deadline).min() else {
            return Ok(());
        };
        let counts: Vec<usize> = batch.iter().map(|request| request.commands.len()).collect();
        let commands = batch
            .iter_mut()
            .flat_map(|request| std::mem::take(&mut request.commands));
        let answers = send(connection, &pipeline(commands), deadline).await;
        self.context.metrics.round_trip(now.elapsed());
        match answers {
            Ok(answers) => {
                let mut answers = answers.into_iter();
                for (request, count) in batch.into_iter().zip(counts) {
                    let own = answers.by_ref().take(count).collect();
                    request.answer(Ok(own));
                }
                Ok(())
            }
            Err(broken) => {
                for request in batch {
                    request.answer(Err(broken.unanswered()));
                }
                Err(broken)
            }
        }
    }

    fn report(&self, state: ConnectionState) {
        self.context.report(self.slot, state);
    }
}

/// Sends commands; those that met a server which does not know the scripts (any more) are sent once again after
/// loading them: they did nothing.
async fn send(
    connection: &mut Connection,
    commands: &Pipeline,
    deadline: Instant,
) -> Result<Vec<Value>, Broken> {
    let mut answers = connection.send(commands, deadline).await?;
    let unknown = |(index, answer)| reply::is_unknown_script(answer).then_some(index);
    let again: Vec<usize> = answers.iter().enumerate().filter_map(unknown).collect();
    if again.is_empty() {
        return Ok(answers);
    }
    connection
        .send(&pipeline(scripts::load_for_data()), deadline)
        .await?;
    let missed = commands
        .cmd_iter()
        .enumerate()
        .filter(|(index, _)| again.binary_search(index).is_ok());
    let repeated = connection
        .send(&pipeline(missed.map(|(_, command)| command.clone())), deadline)
        .await?;
    for (index, answer) in again.into_iter().zip(repeated) {
        answers[index] = answer;
    }
    Ok(answers)
}
