//! The scheduler: virtual time, events in the order of their time, processes that stop, go on and die.
//!
//! Everything that happens is an event of the heap. An event belongs to one life of a process, or to the world itself. What
//! belongs to a process that is paused waits until it goes on; what belongs to an earlier life is forgotten. Tasks are
//! futures that wait for [`Reply`](super::task::Reply)s: they run within the event that filled one, so that a process
//! that is paused does nothing at all.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, VecDeque};
use std::future::Future;
use std::pin::Pin;

use super::world::World;

/// Microseconds of virtual time.
pub(super) type Micros = u64;

/// One millisecond.
pub(super) const MS: Micros = 1000;
/// One second.
pub(super) const SECOND: Micros = 1_000_000;

/// What happens.
pub(super) type Act = Box<dyn FnOnce(&World)>;

/// What a task does.
pub(super) type Work = Pin<Box<dyn Future<Output = ()>>>;

/// A process of the world: a gateway, a coordinator, a shard's server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Pid(pub(super) usize);

/// One life of a process, from its start to its death.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Life {
    pub(super) pid: Pid,
    number: u32,
}

/// A task's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TaskId(usize);

pub(super) struct Kernel {
    pub(super) now: Micros,
    /// Events so far.
    pub(super) steps: u64,
    sequence: u64,
    heap: BinaryHeap<Reverse<Entry>>,
    processes: Vec<Process>,
    tasks: Vec<Option<Task>>,
    free: Vec<usize>,
    ready: VecDeque<TaskId>,
    /// The task that is being polled.
    current: Option<TaskId>,
}

struct Process {
    life: u32,
    alive: bool,
    paused: bool,
    /// What came while it was paused.
    late: Vec<Entry>,
}

struct Task {
    life: Life,
    /// Taken out while it is polled.
    future: Option<Work>,
}

struct Entry {
    at: Micros,
    sequence: u64,
    owner: Option<Life>,
    act: Act,
}

impl Kernel {
    pub(super) fn new() -> Self {
        Self {
            now: 0,
            steps: 0,
            sequence: 0,
            heap: BinaryHeap::new(),
            processes: Vec::new(),
            tasks: Vec::new(),
            free: Vec::new(),
            ready: VecDeque::new(),
            current: None,
        }
    }

    pub(super) fn schedule(&mut self, owner: Option<Life>, at: Micros, act: Act) {
        self.sequence += 1;
        self.heap.push(Reverse(Entry {
            at: at.max(self.now),
            sequence: self.sequence,
            owner,
            act,
        }));
    }

    /// The next event that can happen, if there is one at or before `until`.
    pub(super) fn pop(&mut self, until: Micros) -> Option<Act> {
        loop {
            if self.heap.peek()?.0.at > until {
                return None;
            }
            let Reverse(entry) = self.heap.pop()?;
            self.now = entry.at;
            let Some(owner) = entry.owner else {
                self.steps += 1;
                return Some(entry.act);
            };
            let process = &mut self.processes[owner.pid.0];
            if !process.alive || process.life != owner.number {
                continue;
            }
            if process.paused {
                process.late.push(entry);
                continue;
            }
            self.steps += 1;
            return Some(entry.act);
        }
    }

    /// A new process in its first life.
    pub(super) fn process(&mut self) -> Life {
        self.processes.push(Process {
            life: 1,
            alive: true,
            paused: false,
            late: Vec::new(),
        });
        Life {
            pid: Pid(self.processes.len() - 1),
            number: 1,
        }
    }

    pub(super) fn is_alive(&self, life: Life) -> bool {
        let process = &self.processes[life.pid.0];
        process.alive && process.life == life.number
    }

    pub(super) fn pause(&mut self, pid: Pid) {
        self.processes[pid.0].paused = true;
    }

    /// Goes on: what came meanwhile happens now, in its order.
    pub(super) fn resume(&mut self, pid: Pid) {
        let process = &mut self.processes[pid.0];
        process.paused = false;
        for entry in std::mem::take(&mut process.late) {
            self.heap.push(Reverse(Entry {
                at: self.now,
                ..entry
            }));
        }
    }

    /// Everybody goes on.
    pub(super) fn resume_all(&mut self) {
        for pid in 0..self.processes.len() {
            self.resume(Pid(pid));
        }
    }

    /// Ends a life; its tasks are handed back to be dropped while nothing of the kernel is borrowed.
    pub(super) fn kill(&mut self, pid: Pid) -> Vec<Work> {
        let process = &mut self.processes[pid.0];
        process.alive = false;
        process.paused = false;
        process.late.clear();
        let mut dropped = Vec::new();
        for (index, slot) in self.tasks.iter_mut().enumerate() {
            if slot.as_ref().is_some_and(|task| task.life.pid == pid) {
                dropped.extend(slot.take().and_then(|task| task.future));
                self.free.push(index);
            }
        }
        dropped
    }

    /// Ends all there is; handed back to be dropped while nothing is borrowed.
    pub(super) fn dissolve(&mut self) -> impl Sized + use<> {
        let events = std::mem::take(&mut self.heap);
        let late: Vec<_> = self
            .processes
            .iter_mut()
            .map(|process| std::mem::take(&mut process.late))
            .collect();
        (events, late, std::mem::take(&mut self.tasks))
    }

    /// Starts the next life of a process that is dead.
    pub(super) fn revive(&mut self, pid: Pid) -> Life {
        let process = &mut self.processes[pid.0];
        process.life += 1;
        process.alive = true;
        Life {
            pid,
            number: process.life,
        }
    }

    /// Adds a task, to be polled within the present event.
    pub(super) fn spawn(&mut self, life: Life, future: Work) {
        let task = Some(Task {
            life,
            future: Some(future),
        });
        let index = match self.free.pop() {
            Some(index) => {
                self.tasks[index] = task;
                index
            }
            None => {
                self.tasks.push(task);
                self.tasks.len() - 1
            }
        };
        self.ready.push_back(TaskId(index));
    }

    /// The task that is being polled.
    pub(super) fn current(&self) -> Option<TaskId> {
        self.current
    }

    /// Has `task` polled within the present event. A task that has ended meanwhile, or another in its place, is polled in
    /// vain: every future of this world can bear that.
    pub(super) fn wake(&mut self, task: TaskId) {
        self.ready.push_back(task);
    }

    /// Takes the next task that is ready.
    pub(super) fn begin_poll(&mut self) -> Option<(TaskId, Work)> {
        while let Some(id) = self.ready.pop_front() {
            if let Some(future) = self.tasks[id.0].as_mut().and_then(|task| task.future.take()) {
                self.current = Some(id);
                return Some((id, future));
            }
        }
        None
    }

    /// Puts a task back, or (`None`) notes its end.
    pub(super) fn end_poll(&mut self, id: TaskId, pending: Option<Work>) {
        self.current = None;
        match (pending, &mut self.tasks[id.0]) {
            (Some(future), Some(task)) => task.future = Some(future),
            (_, slot) => {
                *slot = None;
                self.free.push(id.0);
            }
        }
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.sequence == other.sequence
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.sequence).cmp(&(other.at, other.sequence))
    }
}
