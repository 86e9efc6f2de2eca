//! What a client's handles and its driver share: the machine, and where its outputs go.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use campanile_common::message::{Answer, Command, Request};
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

use crate::events::{Event, Queue};
use crate::protocol::{
    Attempt, CallId, CallResult, Machine, Output, SubscriptionId, SubscriptionSettings, Ticket, TokenOwner,
};
use crate::subscription::SubscriptionHandle;
use crate::token::TokenSource;
use crate::{ClientEvent, Closed, Reason, RequestError, State, SubscriptionEvent, SubscriptionState};

/// Requests of one client that may be under way; more wait for their turn.
const MAX_REQUESTS: usize = 1024;

/// One client.
pub(crate) struct Shared {
    core: Mutex<Core>,
    /// Wakes the driver.
    pub(crate) waker: AtomicWaker,
    requests: Arc<Semaphore>,
    /// For each request.
    pub(crate) timeout: Duration,
    /// Bytes of events that may wait for one reader.
    pub(crate) event_buffer: usize,
}

/// A state, and why.
#[derive(Clone, Debug)]
pub(crate) struct Status<S> {
    pub(crate) state: S,
    pub(crate) reason: Reason,
}

/// What a client is made of besides its transport.
pub(crate) struct Core {
    pub(crate) machine: Machine,
    pub(crate) work: Work,
    calls: HashMap<CallId, (oneshot::Sender<CallResult>, OwnedSemaphorePermit)>,
    readers: Readers<ClientEvent>,
    subscriptions: HashMap<SubscriptionId, Entry>,
    status: watch::Sender<Status<State>>,
    /// The last handle is gone.
    pub(crate) leaving: bool,
    ended: bool,
}

/// What the driver has to do next, the first first.
#[derive(Default)]
pub(crate) struct Work {
    pub(crate) close: Option<Closed>,
    pub(crate) dial: Option<DialOrder>,
    pub(crate) tokens: Vec<(TokenOwner, Ticket)>,
}

/// A transport to be opened.
pub(crate) struct DialOrder {
    pub(crate) attempt: Attempt,
    pub(crate) deadline: Instant,
    pub(crate) connect: Box<Command>,
}

/// A subscription as its handles know it.
struct Entry {
    readers: Readers<SubscriptionEvent>,
    status: watch::Sender<Status<SubscriptionState>>,
    token_source: Option<TokenSource>,
    handle: Weak<SubscriptionHandle>,
}

/// Those who read events.
struct Readers<E>(Vec<Weak<Queue<E>>>);

impl<E: Event> Readers<E> {
    fn tell(&mut self, event: &E) {
        self.0.retain(|reader| match reader.upgrade() {
            Some(queue) => {
                queue.push(event.clone());
                true
            }
            None => false,
        });
    }

    fn add(&mut self, queue: &Arc<Queue<E>>) {
        self.0.retain(|reader| reader.strong_count() > 0);
        self.0.push(Arc::downgrade(queue));
    }

    fn end(&mut self) {
        for queue in self.0.drain(..).filter_map(|reader| reader.upgrade()) {
            queue.end();
        }
    }
}

/// The time of the machine: that of tokio, which tests can stop.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

impl Shared {
    pub(crate) fn new(machine: Machine, timeout: Duration, event_buffer: usize) -> Self {
        let reason = Reason::new(0, "connect was not called");
        Self {
            core: Mutex::new(Core {
                machine,
                work: Work::default(),
                calls: HashMap::new(),
                readers: Readers(Vec::new()),
                subscriptions: HashMap::new(),
                status: watch::Sender::new(Status {
                    state: State::Disconnected,
                    reason,
                }),
                leaving: false,
                ended: false,
            }),
            waker: AtomicWaker::new(),
            requests: Arc::new(Semaphore::new(MAX_REQUESTS)),
            timeout,
            event_buffer,
        }
    }

    /// Does something with the machine, and sees to what comes of it. For handles: wakes the driver.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut Core, Instant) -> T) -> T {
        let result = self.drive(act);
        self.waker.wake();
        result
    }

    /// [`Shared::with`] for the driver, which is awake.
    pub(crate) fn drive<T>(&self, act: impl FnOnce(&mut Core, Instant) -> T) -> T {
        let mut core = self.core.lock();
        let result = act(&mut core, now());
        core.settle();
        result
    }

    /// Sends a request, and waits for its end. If the future is dropped, the request goes on by itself.
    pub(crate) async fn call(&self, request: Request) -> Result<Option<Answer>, RequestError> {
        let permit = Arc::clone(&self.requests).acquire_owned();
        let Ok(Ok(permit)) = tokio::time::timeout(self.timeout, permit).await else {
            return Err(RequestError::Timeout);
        };
        let (done, answer) = oneshot::channel();
        self.with(|core, now| {
            if !core.ended {
                let call = core.machine.request(now, request, self.timeout);
                core.calls.insert(call, (done, permit));
            }
        });
        // Without an answer if the driver is gone.
        answer.await.unwrap_or(Err(RequestError::Disconnected))
    }
}

impl Core {
    /// Sees to all that the machine wants done.
    fn settle(&mut self) {
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Dial {
                    attempt,
                    deadline,
                    connect,
                } => {
                    self.work.dial = Some(DialOrder {
                        attempt,
                        deadline,
                        connect,
                    });
                }
                Output::Close(closed) => {
                    self.work.dial = None;
                    self.work.close = Some(closed);
                }
                Output::FetchToken(owner, ticket) => {
                    self.work.tokens.retain(|(other, _)| *other != owner);
                    self.work.tokens.push((owner, ticket));
                }
                Output::Complete(call, result) => {
                    if let Some((done, _permit)) = self.calls.remove(&call) {
                        // Nobody may be waiting any more.
                        let _ = done.send(result);
                    }
                }
                Output::Client(event) => self.tell(&event),
                Output::Subscription(id, event) => self.tell_subscription(id, &event),
            }
        }
    }

    fn tell(&mut self, event: &ClientEvent) {
        let status = match event {
            ClientEvent::Connecting(reason) => Some((State::Connecting, reason.clone())),
            ClientEvent::Connected(_) => Some((State::Connected, Reason::new(0, "connected"))),
            ClientEvent::Disconnected(reason) => Some((State::Disconnected, reason.clone())),
            _ => None,
        };
        if let Some((state, reason)) = status {
            self.status.send_replace(Status { state, reason });
        }
        self.readers.tell(event);
    }

    fn tell_subscription(&mut self, id: SubscriptionId, event: &SubscriptionEvent) {
        let Some(entry) = self.subscriptions.get_mut(&id) else {
            return;
        };
        let status = match event {
            SubscriptionEvent::Subscribing(reason) => Some((SubscriptionState::Subscribing, reason.clone())),
            SubscriptionEvent::Subscribed(_) => {
                Some((SubscriptionState::Subscribed, Reason::new(0, "subscribed")))
            }
            SubscriptionEvent::Unsubscribed(reason) => {
                Some((SubscriptionState::Unsubscribed, reason.clone()))
            }
            _ => None,
        };
        if let Some((state, reason)) = status {
            entry.status.send_replace(Status { state, reason });
        }
        entry.readers.tell(event);
    }

    pub(crate) fn connect(&mut self, now: Instant) {
        if !self.ended {
            self.machine.connect(now);
        }
    }

    pub(crate) fn subscribe(&mut self, now: Instant, id: SubscriptionId) {
        if !self.ended {
            self.machine.subscribe(now, id);
        }
    }

    pub(crate) fn status(&self) -> watch::Receiver<Status<State>> {
        self.status.subscribe()
    }

    pub(crate) fn add_reader(&mut self, queue: &Arc<Queue<ClientEvent>>) {
        self.readers.add(queue);
        if self.ended {
            queue.end();
        }
    }

    /// Makes a subscription, of which `handle` makes the handle; `None` if there is one to that channel.
    pub(crate) fn add_subscription(
        &mut self,
        settings: SubscriptionSettings,
        token_source: Option<TokenSource>,
        handle: impl FnOnce(SubscriptionId, watch::Receiver<Status<SubscriptionState>>) -> Arc<SubscriptionHandle>,
    ) -> Option<Arc<SubscriptionHandle>> {
        let id = self.machine.add_subscription(settings)?;
        let status = watch::Sender::new(Status {
            state: SubscriptionState::Unsubscribed,
            reason: Reason::new(0, "subscribe was not called"),
        });
        let handle = handle(id, status.subscribe());
        let entry = Entry {
            readers: Readers(Vec::new()),
            status,
            token_source,
            handle: Arc::downgrade(&handle),
        };
        self.subscriptions.insert(id, entry);
        Some(handle)
    }

    pub(crate) fn remove_subscription(&mut self, now: Instant, id: SubscriptionId) {
        self.subscriptions.remove(&id);
        self.machine.remove_subscription(now, id);
    }

    pub(crate) fn subscription(&self, channel: &str) -> Option<Arc<SubscriptionHandle>> {
        let id = self.machine.subscription(channel)?;
        self.subscriptions.get(&id)?.handle.upgrade()
    }

    pub(crate) fn add_subscription_reader(
        &mut self,
        id: SubscriptionId,
        queue: &Arc<Queue<SubscriptionEvent>>,
    ) {
        match self.subscriptions.get_mut(&id) {
            Some(entry) if !self.ended => entry.readers.add(queue),
            _ => queue.end(),
        }
    }

    pub(crate) fn token_source(&self, id: SubscriptionId) -> Option<TokenSource> {
        self.subscriptions.get(&id)?.token_source.clone()
    }

    /// The driver is gone: nothing will happen any more.
    pub(crate) fn end(&mut self, now: Instant) {
        self.machine.end(now);
        self.settle();
        self.ended = true;
        self.calls.clear();
        self.readers.end();
        for entry in self.subscriptions.values_mut() {
            entry.readers.end();
        }
    }
}
