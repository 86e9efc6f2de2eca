//! The server behind memory shards: the state, a clock, and the ways in which it can be made to fail.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use campanile_common::Timestamp;
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

use super::state::{Data, Delivery, LinkEvent, LinkKey, MemoryState};
use crate::partition::Partition;
use crate::shard::ShardError;
use crate::shard::inbox::Inbox;
use crate::topology::Incarnation;

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// How many operations a paused server lets wait.
const BACKLOG: usize = 65_536;
/// A fan-out is counted with this many bytes beside its payload.
const MESSAGE_COST: usize = 256;

/// The server that memory shards are ways to.
///
/// Operations are carried out in the order in which they are submitted, under one lock, at the call.
pub struct MemoryServer {
    inner: Mutex<Inner>,
    condition: watch::Sender<Condition>,
    clock: Clock,
    limit: usize,
}

struct Inner {
    state: MemoryState,
    inboxes: HashMap<LinkKey, Arc<Inbox<LinkEvent>>>,
    /// What was submitted while paused.
    backlog: VecDeque<Operation>,
    refusal: Option<String>,
    next_link: u64,
    next_collection: Partition,
}

type Operation = Box<dyn FnOnce(&mut MemoryState, Timestamp) + Send>;

/// How the server is, as seen from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) run: Incarnation,
    pub(super) up: bool,
    pub(super) paused: bool,
    pub(super) stalled: bool,
}

/// What a restarted server finds on its disk.
#[derive(Clone, Debug)]
pub enum RestartWith {
    /// All that it held.
    Data,
    /// Nothing.
    Nothing,
    /// What it held when this was taken.
    Snapshot(Snapshot),
}

/// What a server held at some moment.
#[derive(Clone, Debug)]
pub struct Snapshot(Data);

/// The answer to a submitted operation.
pub(super) enum Submitted<T> {
    Answered(Result<T, ShardError>),
    /// The server is paused; this resolves when it goes on.
    Pending(oneshot::Receiver<Result<T, ShardError>>),
}

impl MemoryServer {
    /// An empty server on the system's clock that holds `max_bytes` at most: what would exceed it is refused.
    #[must_use]
    pub fn new(max_bytes: usize) -> Self {
        Self::with_clock(max_bytes, Arc::new(system_time))
    }

    /// The same on another clock.
    #[must_use]
    pub fn with_clock(max_bytes: usize, clock: Clock) -> Self {
        let run = new_run();
        let inner = Inner {
            state: MemoryState::new(run.clone(), Data::default(), max_bytes),
            inboxes: HashMap::new(),
            backlog: VecDeque::new(),
            refusal: None,
            next_link: 0,
            next_collection: first_partition(),
        };
        let (condition, _) = watch::channel(Condition {
            run,
            up: true,
            paused: false,
            stalled: false,
        });
        Self {
            inner: Mutex::new(inner),
            condition,
            clock,
            limit: max_bytes,
        }
    }

    /// The present run's name.
    #[must_use]
    pub fn run(&self) -> Incarnation {
        self.inner.lock().state.run().clone()
    }

    /// Bytes held, as far as they are counted against the limit.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.inner.lock().state.bytes()
    }

    /// How many subscriptions of channels there are, on all links together.
    #[must_use]
    pub fn listeners(&self) -> usize {
        self.inner.lock().state.listeners()
    }

    /// Stops answering without closing anything, as a process does after SIGSTOP. Operations wait and are carried
    /// out on [`MemoryServer::resume`], whether or not somebody still waits for the answer.
    pub fn pause(&self) {
        let _inner = self.inner.lock();
        self.condition.send_modify(|condition| condition.paused = true);
    }

    /// Goes on after [`MemoryServer::pause`].
    pub fn resume(&self) {
        let mut inner = self.inner.lock();
        let now = (self.clock)();
        for operation in std::mem::take(&mut inner.backlog) {
            operation(&mut inner.state, now);
            inner.deliver();
        }
        self.condition.send_modify(|condition| condition.paused = false);
    }

    /// Holds up what links bring, as a slow network does, or lets it go on. Commands are carried out meanwhile.
    pub fn stall(&self, stalled: bool) {
        self.condition
            .send_modify(|condition| condition.stalled = stalled);
    }

    /// Ends the process; its data stays on its disk until a restart decides.
    pub fn stop(&self) {
        let mut inner = self.inner.lock();
        inner.break_links();
        inner.backlog.clear();
        self.condition.send_modify(|condition| condition.up = false);
    }

    /// Ends the process if it runs, and starts another: a new run.
    pub fn restart(&self, with: RestartWith) {
        let mut inner = self.inner.lock();
        inner.break_links();
        inner.backlog.clear();
        let data = match with {
            RestartWith::Data => inner.state.data(),
            RestartWith::Nothing => Data::default(),
            RestartWith::Snapshot(Snapshot(data)) => data,
        };
        let run = new_run();
        inner.state = MemoryState::new(run.clone(), data, self.limit);
        self.condition.send_replace(Condition {
            run,
            up: true,
            paused: false,
            stalled: false,
        });
    }

    /// What the server holds now, to be restarted with later.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.inner.lock().state.data())
    }

    /// Forgets everything in the midst of a run, owner records included.
    pub fn flush(&self) {
        self.inner.lock().state.flush();
    }

    /// Breaks all Pub/Sub links.
    pub fn break_links(&self) {
        self.inner.lock().break_links();
    }

    /// Refuses every operation with these words, or `None`: no longer.
    pub fn refuse(&self, words: Option<&str>) {
        self.inner.lock().refusal = words.map(str::to_owned);
    }

    /// Asks on the server itself that the shard be drained.
    pub fn ask_to_drain(&self) {
        self.inner.lock().state.ask_to_drain();
    }

    /// Whether it was noted on the server that nothing is left there.
    #[must_use]
    pub fn drained(&self) -> bool {
        self.inner.lock().state.drained()
    }

    /// Frees a share of what has expired: each partition gets its turn every sixteenth call.
    pub(super) fn collect(&self) {
        let now = (self.clock)();
        let mut inner = self.inner.lock();
        let start = inner.next_collection;
        inner.next_collection = inner
            .state
            .collect(now, start, usize::from(Partition::COUNT) / 16);
    }

    pub(super) fn condition(&self) -> watch::Receiver<Condition> {
        self.condition.subscribe()
    }

    /// Carries `operation` out on the run `on` (`None`: on whichever runs), now or when the server goes on.
    pub(super) fn submit<T: Send + 'static>(
        &self,
        on: Option<&Incarnation>,
        operation: impl FnOnce(&mut MemoryState, Timestamp) -> Result<T, ShardError> + Send + 'static,
    ) -> Submitted<T> {
        let mut inner = self.inner.lock();
        if let Err(error) = self.admits(&inner, on) {
            return Submitted::Answered(Err(error));
        }
        if !self.condition.borrow().paused {
            let result = operation(&mut inner.state, (self.clock)());
            inner.deliver();
            return Submitted::Answered(result);
        }
        if inner.backlog.len() >= BACKLOG {
            return Submitted::Answered(Err(ShardError::Overloaded));
        }
        let (answer, pending) = oneshot::channel();
        inner.backlog.push_back(Box::new(move |state, now| {
            // Nobody may be waiting any more; the operation counts nevertheless, as it does on a real server.
            let _ = answer.send(operation(state, now));
        }));
        Submitted::Pending(pending)
    }

    fn admits(&self, inner: &Inner, on: Option<&Incarnation>) -> Result<(), ShardError> {
        if !self.condition.borrow().up {
            return Err(ShardError::Unavailable("the memory server is stopped".to_owned()));
        }
        if on.is_some_and(|run| run != inner.state.run()) {
            return Err(ShardError::Unavailable(format!(
                "another run answers: {}",
                inner.state.run()
            )));
        }
        inner
            .refusal
            .clone()
            .map_or(Ok(()), |words| Err(ShardError::Refused(words)))
    }

    /// Adds a link on the run `on`; `None` if that is not what runs.
    pub(super) fn attach(&self, on: &Incarnation, inbox: Arc<Inbox<LinkEvent>>) -> Option<LinkKey> {
        let mut inner = self.inner.lock();
        let usable = {
            let condition = self.condition.borrow();
            condition.up && !condition.paused && condition.run == *on
        };
        usable.then(|| {
            let key = LinkKey(inner.next_link);
            inner.next_link += 1;
            inner.state.attach(key);
            inner.inboxes.insert(key, inbox);
            key
        })
    }

    pub(super) fn detach(&self, link: LinkKey) {
        let mut inner = self.inner.lock();
        inner.state.detach(link);
        inner.inboxes.remove(&link);
    }
}

impl Inner {
    /// Moves what the state wants delivered into the links' inboxes. Under the lock, so that every link sees one
    /// order.
    fn deliver(&mut self) {
        for Delivery { link, event } in self.state.take_outbox() {
            if let Some(inbox) = self.inboxes.get(&link) {
                let size = event_size(&event);
                inbox.push(event, size);
            }
        }
    }

    fn break_links(&mut self) {
        for (link, inbox) in self.inboxes.drain() {
            self.state.detach(link);
            inbox.close();
        }
    }
}

fn event_size(event: &LinkEvent) -> usize {
    use crate::publication::ShardMessage;
    let payload = match event {
        LinkEvent::Message {
            message: ShardMessage::Publication { publication, .. },
            ..
        } => publication.data.len(),
        LinkEvent::Message { .. } | LinkEvent::Marker { .. } => 0,
    };
    MESSAGE_COST + payload
}

fn first_partition() -> Partition {
    Partition::all().next().expect("there are 4096 partitions")
}

fn new_run() -> Incarnation {
    Incarnation::new(&format!("{:032x}", rand::random::<u128>()))
}

fn system_time() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}
