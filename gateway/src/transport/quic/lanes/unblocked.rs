//! Which streams go on.

use std::sync::Arc;
use std::task::{Wake, Waker};

use parking_lot::Mutex;

use crate::connection::outbound::LaneId;

/// The lanes whose streams were blocked and go on, so that those that stay blocked need not be tried.
#[derive(Debug, Default)]
pub(super) struct Unblocked(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    lanes: Vec<LaneId>,
    /// The connection's task, while it waits.
    task: Option<Waker>,
}

struct LaneWaker {
    lane: LaneId,
    unblocked: Arc<Unblocked>,
}

impl Unblocked {
    /// Takes the lanes; `task` is woken when there are others.
    pub(super) fn take(&self, task: &Waker) -> Vec<LaneId> {
        let mut state = self.0.lock();
        match &mut state.task {
            Some(waiting) => waiting.clone_from(task),
            None => state.task = Some(task.clone()),
        }
        std::mem::take(&mut state.lanes)
    }

    /// Notes when `lane` goes on.
    pub(super) fn waker(unblocked: &Arc<Self>, lane: LaneId) -> Waker {
        Waker::from(Arc::new(LaneWaker {
            lane,
            unblocked: Arc::clone(unblocked),
        }))
    }
}

impl Wake for LaneWaker {
    fn wake(self: Arc<Self>) {
        let mut state = self.unblocked.0.lock();
        state.lanes.push(self.lane);
        let task = state.task.take();
        drop(state);
        if let Some(task) = task {
            task.wake();
        }
    }
}
