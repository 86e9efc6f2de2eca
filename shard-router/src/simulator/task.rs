//! What tasks wait for.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::kernel::{Life, Micros, TaskId};
use super::world::World;

/// An answer to come. Whoever fills it first decides.
pub(super) struct Reply<T> {
    slot: Rc<RefCell<Slot<T>>>,
    world: World,
}

/// The other end of a [`Reply`].
pub(super) struct Filler<T>(Rc<RefCell<Slot<T>>>);

struct Slot<T> {
    value: Option<T>,
    filled: bool,
    task: Option<TaskId>,
}

impl<T> Clone for Filler<T> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<T> Filler<T> {
    /// Answers, unless that has been done.
    pub(super) fn fill(&self, world: &World, value: T) {
        let mut slot = self.0.borrow_mut();
        if slot.filled {
            return;
        }
        slot.filled = true;
        slot.value = Some(value);
        if let Some(task) = slot.task.take() {
            world.kernel().wake(task);
        }
    }

    pub(super) fn is_filled(&self) -> bool {
        self.0.borrow().filled
    }
}

impl<T> Future for Reply<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<T> {
        let mut slot = self.slot.borrow_mut();
        match slot.value.take() {
            Some(value) => Poll::Ready(value),
            None => {
                slot.task = self.world.kernel().current();
                Poll::Pending
            }
        }
    }
}

impl World {
    /// Both ends of an answer.
    pub(super) fn reply<T>(&self) -> (Filler<T>, Reply<T>) {
        let slot = Rc::new(RefCell::new(Slot {
            value: None,
            filled: false,
            task: None,
        }));
        let reply = Reply {
            slot: Rc::clone(&slot),
            world: self.clone(),
        };
        (Filler(slot), reply)
    }

    /// Runs `future` as a task of `life`, within the present event as far as it gets.
    pub(super) fn spawn(&self, life: Life, future: impl Future<Output = ()> + 'static) {
        self.kernel().spawn(life, Box::pin(future));
    }

    /// Has `act` happen to `life` after `delay`.
    pub(super) fn after(&self, life: Life, delay: Micros, act: impl FnOnce(&World) + 'static) {
        let at = self.now() + delay;
        self.kernel().schedule(Some(life), at, Box::new(act));
    }

    /// Waits, as `life`.
    pub(super) fn sleep(&self, life: Life, delay: Micros) -> Reply<()> {
        let (filler, reply) = self.reply();
        self.after(life, delay, move |world| filler.fill(world, ()));
        reply
    }
}

/// Something that changes, and those who wait for it to change.
#[derive(Clone, Default)]
pub(super) struct Signal(Rc<RefCell<Vec<Filler<bool>>>>);

impl Signal {
    /// It has changed: everybody who waits goes on.
    pub(super) fn notify(&self, world: &World) {
        let waiting = std::mem::take(&mut *self.0.borrow_mut());
        for filler in waiting {
            filler.fill(world, true);
        }
    }

    /// Waits for the next change, or for `delay`; true if it changed.
    pub(super) fn wait(&self, world: &World, life: Life, delay: Micros) -> Reply<bool> {
        let (filler, reply) = world.reply();
        let mut waiting = self.0.borrow_mut();
        waiting.retain(|filler| !filler.is_filled());
        waiting.push(filler.clone());
        drop(waiting);
        world.after(life, delay, move |world| filler.fill(world, false));
        reply
    }
}
