//! Commands on their way: those that wait to be sent, and those that wait to be answered.

use std::collections::{HashMap, VecDeque};

use campanile_common::message::{Command, Request};

use super::output::{CallId, SubscriptionId};

/// What a command was sent for, and so what its answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Connect,
    Subscribe(SubscriptionId),
    Unsubscribe,
    Refresh,
    SubRefresh(SubscriptionId),
    Call(CallId),
}

/// The commands of a client. The number of the application's is bounded by whoever makes them; of each subscription there is
/// one at a time.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    /// The number of the last command of this connection.
    last: u32,
    /// The client's own commands, which go first.
    urgent: VecDeque<Command>,
    /// A pong among them; more than one at a time says nothing more.
    pong_due: bool,
    /// The application's, which wait for a connection and for room in it.
    waiting: VecDeque<(CallId, Request)>,
    pending: HashMap<u32, Purpose>,
    /// The numbers of the application's requests that were sent.
    sent: HashMap<CallId, u32>,
}

impl Calls {
    /// A new connection: nothing is on its way. What the application waits for goes on waiting if it was not sent.
    pub(crate) fn begin(&mut self) {
        self.last = 0;
        self.urgent.clear();
        self.pong_due = false;
        self.pending.clear();
        self.sent.clear();
    }

    /// The connection is gone: the requests that were sent and will not be answered.
    pub(crate) fn lose(&mut self) -> Vec<CallId> {
        let mut lost: Vec<_> = self.sent.keys().copied().collect();
        lost.sort_unstable();
        self.begin();
        lost
    }

    /// The commands of the client itself that are unanswered.
    pub(crate) fn unanswered(&self) -> impl Iterator<Item = u32> {
        self.pending.keys().copied()
    }

    /// All that waits, which from now on it does not.
    pub(crate) fn give_up_waiting(&mut self) -> Vec<CallId> {
        self.waiting.drain(..).map(|(call, _)| call).collect()
    }

    /// A command of the client itself that something else sends.
    pub(crate) fn prepare(&mut self, purpose: Purpose, request: impl Into<Request>) -> Command {
        let id = self.register(purpose);
        Command::new(id, request)
    }

    /// A command of the client itself. Its number.
    pub(crate) fn send(&mut self, purpose: Purpose, request: impl Into<Request>) -> u32 {
        let command = self.prepare(purpose, request);
        let id = command.id;
        self.urgent.push_back(command);
        id
    }

    pub(crate) fn pong(&mut self) {
        if !std::mem::replace(&mut self.pong_due, true) {
            self.urgent.push_back(Command::default());
        }
    }

    /// A request of the application waits from now on.
    pub(crate) fn wait(&mut self, call: CallId, request: Request) {
        self.waiting.push_back((call, request));
    }

    /// The next of the client's own commands.
    pub(crate) fn next_urgent(&mut self) -> Option<Command> {
        let command = self.urgent.pop_front()?;
        self.pong_due &= command.id != 0;
        Some(command)
    }

    /// The next request of the application, and its number if it will not be answered.
    pub(crate) fn next_waiting(&mut self) -> Option<(Command, Option<CallId>)> {
        let (call, request) = self.waiting.pop_front()?;
        if matches!(request, Request::Send(_)) {
            return Some((Command::new(0, request), Some(call)));
        }
        let id = self.register(Purpose::Call(call));
        self.sent.insert(call, id);
        Some((Command::new(id, request), None))
    }

    /// An answer came: what the command was for, if it is still wanted.
    pub(crate) fn answered(&mut self, id: u32) -> Option<Purpose> {
        let purpose = self.pending.remove(&id)?;
        if let Purpose::Call(call) = purpose {
            self.sent.remove(&call);
        }
        Some(purpose)
    }

    /// The application no longer waits for this.
    pub(crate) fn forget(&mut self, call: CallId) {
        if let Some(id) = self.sent.remove(&call) {
            self.pending.remove(&id);
        } else {
            self.waiting.retain(|(waiting, _)| *waiting != call);
        }
    }

    fn register(&mut self, purpose: Purpose) -> u32 {
        self.last = self.last.checked_add(1).unwrap_or(1);
        self.pending.insert(self.last, purpose);
        self.last
    }
}
