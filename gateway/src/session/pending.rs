//! Effects whose answers are awaited.

use super::RequestId;
use super::plan::Plan;

/// What an answer is for.
pub(super) enum Request {
    /// Making the connection known.
    Register,
    /// A subscription.
    Subscribe(Box<Attempt>),
    /// The publication of this command.
    Publish { command: u32 },
    /// The presence, or only its numbers, that this command asked for.
    Presence { command: u32, stats: bool },
    /// The history that this command asked for.
    History { command: u32 },
}

/// A subscription that is being made.
pub(super) struct Attempt {
    pub(super) plan: Plan,
    pub(super) origin: Origin,
    /// What must be done as soon as it is made.
    pub(super) ending: Option<Ending>,
}

/// Who wanted a subscription, and is told what came of it.
pub(super) enum Origin {
    /// This command.
    Command {
        /// Its number.
        command: u32,
        /// The client would rather fail than begin with something missing.
        reject_unrecovered: bool,
    },
    /// The connect command that is being carried out.
    Connect,
    /// The server, after `failures` attempts that failed.
    Server {
        /// How many have failed.
        failures: u8,
    },
}

/// The end of a subscription that has not yet begun.
#[derive(Default)]
pub(super) struct Ending {
    /// The unsubscribe command to answer.
    pub(super) command: Option<u32>,
    /// What the client is told if it was the server that ended it.
    pub(super) push: Option<campanile_common::message::Unsubscribe>,
}

/// The requests in flight, few at any time.
#[derive(Default)]
pub(super) struct Pending {
    requests: Vec<(RequestId, Request)>,
    last: u32,
}

impl Pending {
    /// Adds one and gives it a name.
    pub(super) fn add(&mut self, request: Request) -> RequestId {
        self.last = self.last.wrapping_add(1);
        let id = RequestId(self.last);
        self.requests.push((id, request));
        id
    }

    pub(super) fn take(&mut self, id: RequestId) -> Option<Request> {
        let index = self.requests.iter().position(|(found, _)| *found == id)?;
        let (_, request) = self.requests.swap_remove(index);
        if self.requests.is_empty() {
            self.requests = Vec::new();
        }
        Some(request)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.requests.capacity()
    }

    pub(super) fn attempt_mut(&mut self, id: RequestId) -> Option<&mut Attempt> {
        self.requests
            .iter_mut()
            .find_map(|(found, request)| match request {
                Request::Subscribe(attempt) if *found == id => Some(&mut **attempt),
                _ => None,
            })
    }

    /// How many commands of the client wait for an answer.
    pub(super) fn commands(&self) -> usize {
        let of_client = |request: &Request| match request {
            Request::Subscribe(attempt) => matches!(attempt.origin, Origin::Command { .. }),
            Request::Register => false,
            Request::Publish { .. } | Request::Presence { .. } | Request::History { .. } => true,
        };
        self.requests
            .iter()
            .filter(|(_, request)| of_client(request))
            .count()
    }

    /// Whether an unsubscribe command waits for the subscription that it ends to be made.
    pub(super) fn unsubscribing(&self) -> bool {
        let ends = |attempt: &Attempt| {
            attempt
                .ending
                .as_ref()
                .is_some_and(|ending| ending.command.is_some())
        };
        self.requests
            .iter()
            .any(|(_, request)| matches!(request, Request::Subscribe(attempt) if ends(attempt)))
    }

    /// Forgets all but subscriptions: what comes of those must be undone.
    pub(super) fn keep_subscriptions(&mut self) {
        self.requests
            .retain(|(_, request)| matches!(request, Request::Subscribe(_)));
    }
}
