//! A command lane: one connection, the queue before it, and the task that empties the queue in batches.
//!
//! Requests are carried out in the order in which they were submitted. What waits goes out as one pipeline; while that
//! travels, the next batch gathers. Nothing is ever sent twice: what was sent and not answered is reported as such.

use std::future::Future;
use std::sync::Arc;

use ::redis::{Arg, Cmd, Pipeline, PushInfo, PushKind, Value};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::connection::{Broken, Connection, pipeline};
use super::context::TaskContext;
use super::health::ConnectionState;
use super::memory::MemoryLimits;
use super::queue::{self, Queue, Requests};
use super::upkeep::{self, Life};
use super::{grants, reply, scripts};
use crate::shard::ShardError;
use crate::shard::intent::Intent;
use crate::topology::ShardId;

/// Requests in one pipeline at most: enough to make round trips cheap, few enough that the first does not wait long
/// for the answer of the last.
const BATCH: usize = 256;

/// The end into which requests are submitted.
pub(super) struct Lane(Queue<Commands, Answers>);

/// What a request asks. Nearly all ask one thing, which then takes no list.
pub(super) enum Commands {
    One(Cmd),
    Several(Vec<Cmd>),
}

/// As many as there were commands.
pub(super) enum Answers {
    One(Value),
    Several(Vec<Value>),
}

type Request = queue::Request<Commands, Answers>;

impl Lane {
    /// Spawns the task of the lane that reports its state in `slot`.
    pub(super) fn open(context: &TaskContext, slot: usize) -> Self {
        let (queue, requests) = queue::queue(context, slot);
        let task = LaneTask {
            context: context.clone(),
            slot,
        };
        tokio::spawn(upkeep::keep_up(task, context.clone(), slot, requests));
        Self(queue)
    }

    /// Queues a command now; resolves to its answer, or to why there is none.
    pub(super) fn submit(
        &self,
        command: Cmd,
    ) -> impl Future<Output = Result<Value, ShardError>> + Send + use<> {
        let bytes = size(&command);
        let answers = self.0.submit(Commands::One(command), bytes);
        async move {
            match answers.await? {
                Answers::One(answer) => Ok(answer),
                Answers::Several(mut answers) => Ok(answers.pop().unwrap_or(Value::Nil)),
            }
        }
    }

    /// Queues commands now; resolves to their answers, or to why there are none.
    pub(super) fn submit_all(
        &self,
        commands: Vec<Cmd>,
    ) -> impl Future<Output = Result<Vec<Value>, ShardError>> + Send + use<> {
        let bytes = commands.iter().map(size).sum();
        let answers = self.0.submit(Commands::Several(commands), bytes);
        async move {
            match answers.await? {
                Answers::One(answer) => Ok(vec![answer]),
                Answers::Several(answers) => Ok(answers),
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
}

/// A connection to the trusted run that knows the scripts.
struct Established {
    connection: Connection,
    /// Notified when the server closes the connection.
    ended: Arc<Notify>,
}

impl Life for LaneTask {
    type Work = Commands;
    type Answer = Answers;
    type Established = Established;

    fn connect(
        &self,
        intent: Intent,
    ) -> impl Future<Output = Result<Established, ConnectionState>> + Send + use<> {
        let connector = Arc::clone(&self.context.connector);
        // One of them is enough to ask.
        let asks = (self.slot == 0).then(|| self.context.shard.clone());
        async move {
            let ended = Arc::new(Notify::new());
            let notify = Arc::clone(&ended);
            let push = move |info: PushInfo| {
                if info.kind == PushKind::Disconnection {
                    notify.notify_one();
                }
            };
            let mut connection = connector.connect_trusted(&intent, push).await?;
            let rehearsal = grants::for_data(&connector.keys);
            let prepared = connection.prepare(scripts::load_for_data(), rehearsal, connector.deadline());
            prepared.await.map_err(ConnectionState::Down)?;
            if let Some(shard) = asks {
                warn_of_eviction(&shard, &mut connection, connector.deadline()).await;
            }
            Ok(Established { connection, ended })
        }
    }

    async fn live(
        &mut self,
        established: Established,
        intent: &mut watch::Receiver<Intent>,
        requests: &mut Requests<Commands, Answers>,
    ) -> String {
        self.context.report(self.slot, ConnectionState::Up);
        let why = self.serve(established, intent, requests).await;
        // Told before it is counted: who has seen the count finds the lane down.
        self.context.report(self.slot, ConnectionState::Down(why.clone()));
        self.context.metrics.lane_breaks.increment(1);
        why
    }
}

impl LaneTask {
    async fn serve(
        &mut self,
        Established {
            mut connection,
            ended,
        }: Established,
        intent: &mut watch::Receiver<Intent>,
        requests: &mut Requests<Commands, Answers>,
    ) -> String {
        let mut batch = Vec::with_capacity(BATCH);
        let check_every = self.context.connector.check_every();
        loop {
            let worked = tokio::select! {
                biased;
                _ = intent.changed() => return "the trusted run, or the primary, has become another one".to_owned(),
                () = ended.notified() => return "the server closed the connection".to_owned(),
                count = requests.take(&mut batch, BATCH) => {
                    if count == 0 {
                        return "the shard is closed".to_owned();
                    }
                    self.carry_out(&mut connection, std::mem::take(&mut batch)).await
                }
                // Only a quiet lane is tried: on a busy one each batch is a trial.
                () = tokio::time::sleep(check_every) => connection.check(Instant::now() + check_every).await,
            };
            if let Err(broken) = worked {
                return broken.words();
            }
        }
    }

    /// Sends a batch and hands out its answers.
    async fn carry_out(&self, connection: &mut Connection, batch: Vec<Request>) -> Result<(), Broken> {
        let now = Instant::now();
        let mut batch = Request::refuse_late(batch, now);
        let Some(deadline) = batch.iter().map(|request| request.deadline).min() else {
            return Ok(());
        };
        let mut commands = Pipeline::with_capacity(batch.len());
        let counts: Vec<Option<usize>> = batch
            .iter_mut()
            .map(|request| request.work.move_to(&mut commands))
            .collect();
        let answers = send(connection, &commands, deadline).await;
        self.context.metrics.round_trip(now.elapsed());
        match answers {
            Ok(answers) => {
                let ends = self.look_at(&answers);
                let mut answers = answers.into_iter();
                for (request, count) in batch.into_iter().zip(counts) {
                    request.answer(Ok(match count {
                        None => Answers::One(answers.next().unwrap_or(Value::Nil)),
                        Some(count) => Answers::Several(answers.by_ref().take(count).collect()),
                    }));
                }
                ends.map_or(Ok(()), |why| Err(Broken::Ended(why.to_owned())))
            }
            Err(broken) => {
                for request in batch {
                    request.answer(Err(broken.unanswered()));
                }
                Err(broken)
            }
        }
    }
}

impl LaneTask {
    /// Why the connection must not be used any more, from what the server answered.
    fn look_at(&self, answers: &[Value]) -> Option<&'static str> {
        if answers.iter().any(reply::is_full) && self.context.complaints.are_due() {
            tracing::warn!(
                shard = %self.context.shard,
                "the server is full (maxmemory): it refuses publications until it has room again"
            );
        }
        if answers.iter().any(reply::is_from_replica) {
            return Some("the server has become a replica");
        }
        let denied = answers.iter().any(reply::is_denied);
        denied.then_some("the Redis user lacks a permission")
    }
}

/// Warns if the server may throw away what is needed.
async fn warn_of_eviction(shard: &ShardId, connection: &mut Connection, deadline: Instant) {
    let Ok(answer) = connection.ask(MemoryLimits::question(), deadline).await else {
        return;
    };
    let limits = MemoryLimits::read(answer);
    if let Some(policy) = limits.as_ref().and_then(MemoryLimits::dangerous_policy) {
        tracing::warn!(
            %shard,
            policy,
            "maxmemory-policy lets the server evict streams, positions and owner records: set it to noeviction"
        );
    }
}

impl Commands {
    /// Leaves nothing behind; says how many they were where they are a list.
    fn move_to(&mut self, pipeline: &mut Pipeline) -> Option<usize> {
        match std::mem::replace(self, Self::Several(Vec::new())) {
            Self::One(command) => {
                pipeline.add_command(command);
                None
            }
            Self::Several(commands) => {
                let count = commands.len();
                for command in commands {
                    pipeline.add_command(command);
                }
                Some(count)
            }
        }
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
